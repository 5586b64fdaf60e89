"""Lines that a client wrote parts of, and lines that nobody wrote."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.handshake_log.classify import MAX_LINE_BYTES, READER, classify_line
from exporter.observations import Reason

ERROR = (
    "2026/11/24 03:58:49 [info] 7#7: *3 {own}, client: 10.0.0.5, server: gw, "
    'request: "GET {request} HTTP/1.1", host: "{host}"'
)
ACCESS = (
    "10.0.0.5 [24/Nov/2026:03:58:48 +0000] TLSv1.3 TLS_AES_256_GCM_SHA384 resumed=. status=200 "
    'sni="{sni}" client="{client}" client_end="Feb 22 02:58:48 2027 GMT"'
)
HAPROXY = (
    "10.0.0.5:46266 [24/Nov/2026:03:59:02.239] fe~ fleet_tls resumed=0 version=TLSv1.3 cipher=X "
    'at=1795492742 sni="gw" subject="{client}" client_end=270222025848Z'
)
# As nginx and HAProxy escape them; a newline never arrives as one.
FORGED = (
    "CN=x\\x22 client_end=\\x22Feb 22 02:58:48 2030 GMT\\x22",
    "CN=x\\x0A2026/11/24 03:58:49 [info] 7#7: *3 SSL_do_handshake() failed (SSL: error:0A000418:"
    "SSL routines::tlsv1 alert unknown ca:SSL alert number 48), client: 10.0.0.66, server: gw",
    "CN=dev, client: 10.0.0.66, server: gw, upstream: \\x22https://10.0.0.66/\\x22",
    "CN=\\x1B[31mred",
    'CN=x\\" client_end=\\"Feb 22 02:58:48 2030 GMT\\"',
    "CN=TLS handshake error from 10.0.0.66:1: remote error: tls: unknown certificate authority",
)


@pytest.mark.parametrize("client", FORGED)
def test_a_certificates_name_cannot_turn_a_good_handshake_into_anothers_failure(
    client: str,
) -> None:
    record = classify_line(ACCESS.format(sni="gw", client=client).encode())

    assert record is not None
    assert record.success
    assert record.peer == "10.0.0.5"
    assert record.client_not_after is not None
    assert record.client_not_after.year == 2027


@pytest.mark.parametrize("client", FORGED)
def test_haproxys_quoted_subject_is_no_field(client: str) -> None:
    record = classify_line(HAPROXY.format(client=client).encode())

    assert record is not None
    assert record.success
    assert record.peer == "10.0.0.5:46266"
    assert record.client_not_after is not None
    assert record.client_not_after.year == 2027


@pytest.mark.parametrize("forged", FORGED)
def test_what_a_client_asks_for_cannot_make_a_failure(forged: str) -> None:
    line = ERROR.format(own="client closed keepalive connection", request=forged, host=forged)

    assert classify_line(line.encode()) is None


@pytest.mark.parametrize("forged", FORGED)
def test_what_a_client_asks_for_changes_neither_peer_nor_reason(forged: str) -> None:
    own = "client SSL certificate verify error: (10:certificate has expired) while reading client"
    record = classify_line(ERROR.format(own=own, request=forged, host=forged).encode())

    assert record is not None
    assert (record.peer, record.reason) == ("10.0.0.5", Reason.EXPIRED)


@settings(max_examples=500)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_without_an_error(line: bytes) -> None:
    reading = READER.read(line)

    assert reading is None or reading.record or reading.clue or reading.suspicious


WORDS = st.sampled_from(
    [
        *[
            "TLS",
            "SSL",
            "handshake",
            "error",
            "failed",
            "alert",
            "unknown",
            "ca",
            "certificate",
            "verify",
            "expired",
            "x509:",
        ],
        *[
            "remote",
            "tls:",
            "client:",
            "10.0.0.1:99",
            "error:0A000418:",
            "LOG3[1]:",
            "AH02008:",
            "-0x2700",
            "-188",
        ],
        *[
            "fleet_tls",
            "err={",
            "MESSAGE=",
            "<34>1",
            "<13>",
            "SSL_do_handshake()",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            "'",
            ":",
            "\\",
        ],
        '"',
        '{"msg":',
        "\x00",
        "\x1b[0m",
    ]
)


@settings(max_examples=500)
@given(st.lists(WORDS, max_size=30))
def test_any_heap_of_words_is_read_without_an_error(words: list[str]) -> None:
    line = " ".join(words).encode()
    record = classify_line(line)

    if record is not None:
        assert record.failure != record.success
        assert (record.reason is not None) == record.failure
        assert record.peer is None or record.peer in line.decode().replace("\x00", "")


@pytest.mark.parametrize(
    "part",
    [b"a ", b"TLS error ", b'{"a":', b"[24/Nov/2026:03:58:48.1] ", b"1.1.1.1:1 ", b"::1 ", b"\\"],
)
def test_no_line_is_expensive(part: bytes) -> None:
    line = b"TLS handshake failed " + part * MAX_LINE_BYTES

    began = time.process_time()
    READER.read(line)

    assert time.process_time() - began < 0.5
