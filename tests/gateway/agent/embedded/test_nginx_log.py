"""The gateway's lines, beside those of a real nginx for the same clients."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.demo.authorities import (
    GATEWAY_NAME,
    Authorities,
    Served,
    gateway_certificate,
)
from exporter.gateway.agent.drivers.embedded.nginx_log import (
    LOG_FORMAT,
    Outcome,
    Session,
    access_line,
    closed_line,
    connected_line,
    refused_line,
)
from exporter.handshake_log.classify import classify_line
from tests.daemons import Daemon, free_port, nginx, wait_until
from tests.gateway.agent.embedded.stand import NOW, address_of, running

NOON = datetime(2026, 11, 24, 12, 0, 5, tzinfo=UTC)
SESSION = Session(
    pid=123, number=5, client="127.0.1.7", client_port=50123, server="127.0.0.1:8883"
)
OUTCOME = Outcome(
    protocol="TLSv1.3",
    cipher="TLS_AES_256_GCM_SHA384",
    is_resumed=False,
    status=200,
    server_name=GATEWAY_NAME,
    took_s=1.5,
)


def test_a_refusal_by_the_client_is_the_line_of_the_incident() -> None:
    error = "error:0A000418:SSL routines::tlsv1 alert unknown ca:SSL alert number 48"

    assert refused_line(SESSION, NOON, error) == (
        "2026/11/24 12:00:05 [info] 123#123: *5 SSL_do_handshake() failed (SSL: error:0A000418:"
        "SSL routines::tlsv1 alert unknown ca:SSL alert number 48) while SSL handshaking, "
        "client: 127.0.1.7, server: 127.0.0.1:8883\n"
    )


def test_what_is_not_the_clients_doing_is_critical() -> None:
    error = "error:0A0000C6:SSL routines::packet length too long"

    assert "[crit]" in refused_line(SESSION, NOON, error)


@pytest.mark.parametrize(
    ("system_error", "shown"),
    [(None, ""), ("104: Connection reset by peer", " (104: Connection reset by peer)")],
)
def test_a_client_that_leaves_in_the_handshake_is_told(
    system_error: str | None, shown: str
) -> None:
    assert closed_line(SESSION, NOON, system_error) == (
        f"2026/11/24 12:00:05 [info] 123#123: *5 peer closed connection in SSL handshake{shown} "
        "while SSL handshaking, client: 127.0.1.7, server: 127.0.0.1:8883\n"
    )


def test_a_session_that_ended_is_a_line_of_the_recommended_format() -> None:
    local = NOON.astimezone(datetime.strptime("+0130", "%z").tzinfo)

    assert access_line(SESSION, local, OUTCOME) == (
        "127.0.1.7 [24/Nov/2026:13:30:05 +0130] TLSv1.3 TLS_AES_256_GCM_SHA384 resumed=. "
        f'status=200 sni="{GATEWAY_NAME}" client="-" client_end="-" took=1.500\n'
    )


def test_a_server_name_cannot_forge_a_line() -> None:
    forged = Outcome(
        protocol="TLSv1.3",
        cipher="(NONE)",
        is_resumed=True,
        status=500,
        server_name='a" \\\nb\u00e9',
    )

    line = access_line(SESSION, NOON, forged)

    assert line.count("\n") == 1
    assert 'sni="a\\x22 \\x5C\\x0Ab\\xC3\\xA9"' in line
    assert "resumed=r" in line


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What a client of one test does at ``address``; the trust stores come from ``ca``."""

    ca: Authorities
    address: tuple[str, int]

    def context(self, *, anchor: bool = True) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if anchor:
            context.load_verify_locations(cadata=self.ca.old_ca.pem.decode())
        return context

    def shake(self, context: ssl.SSLContext, name: str = GATEWAY_NAME) -> ssl.SSLSession | None:
        with socket.create_connection(self.address, timeout=30) as plain:
            try:
                with context.wrap_socket(plain, server_hostname=name) as tls:
                    session = tls.session
                    tls.unwrap()
                    return session
            except (ssl.SSLError, OSError):
                return None

    def send(self, data: bytes, *, reset: bool = False) -> None:
        with socket.create_connection(self.address, timeout=30) as plain:
            plain.sendall(data)
            if reset:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            plain.shutdown(socket.SHUT_WR)
            try:
                while plain.recv(1024):
                    pass
            except ConnectionResetError:
                pass


def good(client: Client) -> None:
    client.shake(client.context())


def good_tls12(client: Client) -> None:
    context = client.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client.shake(context)


def unknown_ca(client: Client) -> None:
    client.shake(client.context(anchor=False))


def wrong_name(client: Client) -> None:
    client.shake(client.context(), "another.example")


def no_shared_cipher(client: Client) -> None:
    context = client.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    client.shake(context)


def plain_http(client: Client) -> None:
    client.send(b"GET / HTTP/1.0\r\n\r\n")


def garbage(client: Client) -> None:
    client.send(b"zzzzzzzzzzzzzzzzzzzz")


def too_long(client: Client) -> None:
    client.send(b"\x16\x03\x03\xff\xffhello")


def nothing(client: Client) -> None:
    client.send(b"")


def half_a_hello(client: Client) -> None:
    client.send(b"\x16\x03\x01\x02\x00\x01")


def reset(client: Client) -> None:
    client.send(b"\x16\x03\x01", reset=True)


CLIENTS: tuple[Callable[[Client], None], ...] = (
    good,
    unknown_ca,
    wrong_name,
    plain_http,
    garbage,
    too_long,
    nothing,
    half_a_hello,
    reset,
    good_tls12,
    no_shared_cipher,
)


def shape(log: str) -> list[str]:
    """Lines without what differs from run to run: moments, pids, ports, seconds."""
    lines = []
    for line in log.splitlines():
        if ": *" not in line and " resumed=" not in line:  # of nginx itself, not of a session
            continue
        text = re.sub(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", "DATE ", line)
        text = re.sub(r"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]", "[LOCAL]", text)
        text = re.sub(r"\d+#\d+:", "PID:", text)
        # Python does not tell the version of a handshake that ended before the ServerHello
        text = re.sub(r"TLSv1\.\d \(NONE\)", "VERSION (NONE)", text)
        text = re.sub(r"took=\d+\.\d{3}$", "took=SECONDS", text)
        lines.append(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text))
    return lines


def wait_for_sessions(log: Path, count: int) -> None:
    wait_until(lambda: log.read_text().count(" status=") >= count, what=f"{count} ended sessions")


def real_nginx(folder: Path, served: Served, port: int) -> Daemon:
    folder.mkdir()
    (folder / "chain.pem").write_bytes(served.chain_pem)
    (folder / "key.pem").write_bytes(served.key_pem)
    stream = f"""
  log_format fleet_tls '{LOG_FORMAT}';
  access_log {folder}/error.log fleet_tls;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    return "";
  }}
"""
    return nginx(folder, stream=stream, ports=[port])


@pytest.mark.slow
async def test_the_lines_are_those_of_a_real_nginx(tmp_path: Path, ca: Authorities) -> None:
    served = gateway_certificate(ca, NOW)
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir()

    async with running(mine, served) as gateway:
        host, _, port_text = address_of(gateway).partition(":")
        for number, act in enumerate(CLIENTS, 1):
            await asyncio.to_thread(act, Client(ca=ca, address=(host, int(port_text))))
            await asyncio.to_thread(wait_for_sessions, mine / "gateway.log", number)
    port = free_port()
    with real_nginx(theirs, served, port):
        for number, act in enumerate(CLIENTS, 1):
            await asyncio.to_thread(act, Client(ca=ca, address=("127.0.0.1", port)))
            await asyncio.to_thread(wait_for_sessions, theirs / "error.log", number)

    assert shape((mine / "gateway.log").read_text()) == shape((theirs / "error.log").read_text())


def test_the_page_recommends_the_very_format_that_is_written_here() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs/logging.md").read_text()
    parts = re.search(r"log_format fleet_tls ((?:\s*'[^']*')+);", page)

    assert parts is not None
    assert "".join(re.findall(r"'([^']*)'", parts[1])) == LOG_FORMAT


@pytest.mark.parametrize(
    ("line", "failure", "success", "resumed"),
    [
        (connected_line(SESSION, NOON), False, False, None),
        (closed_line(SESSION, NOON, None), True, False, None),
        (access_line(SESSION, NOON, OUTCOME), False, True, False),
        (access_line(SESSION, NOON, replace(OUTCOME, is_resumed=True)), False, True, True),
        # Its error-log line has told of it already
        (access_line(SESSION, NOON, replace(OUTCOME, status=500)), False, False, None),
    ],
)
def test_our_own_reader_understands_each_line(
    line: str, failure: bool, success: bool, resumed: bool | None
) -> None:
    record = classify_line(line.rstrip("\n").encode())

    assert (record is not None and record.failure) is failure
    assert (record is not None and record.success) is success
    assert (record.resumed if record else None) is resumed
    assert (record.peer if record else "127.0.1.7") == "127.0.1.7"
