"""As much of MQTT 3.1.1 as a device needs to say that it is there; pure."""

_CONNECT = 0x10
_DISCONNECT = 0xE0
_CLEAN_SESSION = 0x02
_KEEP_ALIVE_S = 60

# Session present 0, return code 0: accepted (OASIS MQTT 3.1.1, 3.2)
CONNACK = b"\x20\x02\x00\x00"
DISCONNECT = bytes((_DISCONNECT, 0))


def connect(client_id: str) -> bytes:
    """Return a CONNECT packet (OASIS MQTT 3.1.1, 3.1); the name may have up to 100 bytes."""
    name = client_id.encode()
    body = b"".join((
        b"\x00\x04MQTT\x04",
        bytes((_CLEAN_SESSION,)),
        _KEEP_ALIVE_S.to_bytes(2),
        len(name).to_bytes(2),
        name,
    ))  # fmt: skip
    return bytes((_CONNECT, len(body))) + body


def answer_to(data: bytes) -> bytes:
    """Return a broker's answer to ``data``; empty to anything but a CONNECT."""
    return CONNACK if data[:1] == bytes((_CONNECT,)) else b""
