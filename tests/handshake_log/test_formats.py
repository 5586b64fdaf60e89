"""What the formats know beyond the words: who, when, resumed or full, and which lines belong."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.handshake_log import formats
from exporter.handshake_log.classify import READER
from exporter.handshake_log.formats import FORMATS
from exporter.handshake_log.message import Clue, ClueKind, Reading
from exporter.handshake_log.peers import peer_in
from exporter.observations import HandshakeRecord, Reason, ToldBy

LOCAL, PEER = ToldBy.LOCAL, ToldBy.PEER


def reading_of(line: str) -> Reading:
    reading = READER.read(line.encode())
    assert reading is not None, line
    return reading


def record_of(line: str) -> HandshakeRecord:
    record = reading_of(line).record
    assert record is not None, line
    return record


def test_each_file_of_the_package_has_its_line_in_the_table() -> None:
    files = {path.stem for path in Path(formats.__path__[0]).glob("*.py")} - {"__init__"}

    assert files == set(FORMATS)
    assert {name: known.writer for name, known in FORMATS.items()} == {
        name: name for name in FORMATS
    }


NGINX = (
    "10.0.0.5 [24/Nov/2026:04:00:52 +0000] TLSv1.3 TLS_AES_256_GCM_SHA384 resumed={} status={} "
    'sni="gw" client="CN=dev-01" client_end="Feb 22 02:58:48 2027 GMT"'
)


@pytest.mark.parametrize(("mark", "resumed"), [("r", True), (".", False), ("-", None)])
def test_nginx_tells_a_good_handshake_with_all_that_it_knows(
    mark: str, resumed: bool | None
) -> None:
    record = record_of(NGINX.format(mark, 200)) if mark != "-" else None

    assert record is None or record == HandshakeRecord(
        failure=False,
        success=True,
        peer="10.0.0.5",
        writer="nginx",
        resumed=resumed,
        at=datetime(2026, 11, 24, 4, 0, 52, tzinfo=UTC),
        client_not_after=datetime(2027, 2, 22, 2, 58, 48, tzinfo=UTC),
        names=("CN=dev-01",),
        server_name="gw",
    )


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (NGINX.format(".", 502), True),  # the server behind did not answer
        (NGINX.format(".", 500), False),  # stream: the error log has the failure
        (NGINX.format(".", 200) + ' verify="SUCCESS" requests=1', True),
        (NGINX.format(".", 200) + ' verify="SUCCESS" requests=2', False),
        (NGINX.format(".", 400) + ' verify="SUCCESS" requests=1', True),
        (NGINX.format(".", 400) + ' verify="FAILED:certificate has expired" requests=1', False),
        (NGINX.format(".", 400) + ' verify="NONE" requests=1', False),
        (NGINX.format(".", 200) + ' verify="NONE" requests=1', True),
    ],
)
def test_nginx_counts_one_handshake_per_connection(line: str, counts: bool) -> None:
    assert (READER.read(line.encode()) is not None) is counts


def test_nginx_without_client_or_upstream_has_no_peer() -> None:
    head = "2026/11/24 04:00:52 [error] 7#7: *3 "

    none = record_of(head + "SSL_do_handshake() failed (SSL: error:0A0000C1:SSL routines::x)")
    upstream = record_of(head + "upstream timed out (110: x) while SSL handshaking to upstream")

    assert (none.peer, upstream.peer) == (None, None)
    assert (upstream.reason, upstream.rejected_by) == (Reason.HANDSHAKE_TIMEOUT, LOCAL)


def test_nginx_calls_what_remains_of_error_20_an_unknown_ca() -> None:
    record = record_of(
        "2026/11/24 04:00:52 [info] 7#7: *3 client SSL certificate verify error: (21:unable to "
        "verify the first certificate) while reading client request headers, client: 10.0.0.5"
    )

    assert (record.reason, record.rejected_by) == (Reason.UNKNOWN_CA, LOCAL)


def test_nginx_shaking_hands_with_trouble_that_nobody_knows_is_suspicious() -> None:
    reading = reading_of(
        "2026/11/24 04:00:52 [crit] 7#7: *3 SSL quux error while SSL handshaking, client: 10.0.0.5"
    )

    assert reading.suspicious


OURS = (
    "10.0.0.5:40000 [24/Nov/2026:04:00:52.123] fe~ fleet_tls err={{{}}} ssl_err={} "
    "ssl_err_str={{{}}} c_err={} ca_err={} resumed=0"
)
ZERO = "0000000000000000"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (OURS.format("SSL handshake failure", "000000000A000418", "-", 0, 0), ("unknown_ca",
        PEER)),
        (OURS.format("SSL handshake failure", "x", "tlsv1 alert unknown ca", 0, 0),
         ("unknown_ca", PEER)),
        (OURS.format("SSL handshake failure", ZERO, "-", 0, 0), ("connection_reset", PEER)),
        (OURS.format("SSL handshake failure", "0A0000F4", "-", 0, 0), ("other", LOCAL)),
        (OURS.format("SSL handshake failure", "000000000A0000E5", "-", 0, 0),
         ("connection_reset", PEER)),
        (OURS.format("SSL client certificate not trusted", "0A000086", "-", 23, 0),
         ("revoked", LOCAL)),
        (OURS.format("SSL client CA chain cannot be verified", "0A000086", "-", 0, 20),
         ("unknown_ca", LOCAL)),
        (OURS.format("SSL client certificate not trusted", "0A000086", "-", 99, 0),
         ("verify_failed", LOCAL)),
        (OURS.format("Timeout during SSL handshake", ZERO, "-", 0, 0),
         ("handshake_timeout", LOCAL)),
        (OURS.format("Some new text of tomorrow", ZERO, "-", 0, 0), ("other", None)),
    ],
)  # fmt: skip
def test_haproxys_numbers_and_texts_give_the_reason(
    line: str, told: tuple[str, ToldBy | None]
) -> None:
    record = record_of(line)

    assert (record.reason, record.rejected_by) == told
    assert record.peer == "10.0.0.5:40000"


def test_haproxys_error_after_a_good_handshake_is_none() -> None:
    assert READER.read(OURS.format("Success", ZERO, "-", 0, 0).encode()) is None


def test_haproxy_tells_a_good_handshake_with_all_that_it_knows() -> None:
    line = (
        "Nov 24 04:00:52 lb haproxy[7]: 10.0.0.5:40000 [24/Nov/2026:04:00:52.123] fe~ fleet_tls "
        'resumed=1 version=TLSv1.3 cipher=X at={} sni="gw" subject="/CN=dev-01" '
        "client_end=270222025848Z"
    )

    record = record_of(line.format(1795492852))
    odd = record_of(line.format("99999999999999999999").replace('"/CN=dev-01"', "-"))

    assert record.resumed is True
    assert record.at == datetime(2026, 11, 24, 4, 0, 52, tzinfo=UTC)
    assert record.client_not_after == datetime(2027, 2, 22, 2, 58, 48, tzinfo=UTC)
    assert (record.names, record.server_name) == (("/CN=dev-01",), "gw")
    assert (odd.at, odd.names) == (None, ())


HTTPS_LOG = (
    "10.0.0.5:40000 [24/Nov/2026:04:00:52.123] fe~ bk/s 0/0/1/2/3 200 512 - - ---- 1/1/0/0/0 0/0 "
    '"GET / HTTP/1.1" {} gw/{}/X'
)


def test_haproxys_own_format_of_https_is_read() -> None:
    good = record_of(HTTPS_LOG.format("0/0000000000000000/0/0/0", "TLSv1.3"))
    vague = record_of(HTTPS_LOG.format("34/0000000000000000/0/0/0", "TLSv1.3"))

    assert (good.success, good.resumed, good.server_name) == (True, False, "gw")
    assert (vague.failure, vague.reason) == (True, Reason.OTHER)
    plain = HTTPS_LOG.format("0/0/0/0/0", "-").replace("GET /", "GET /tls/error")
    assert READER.read(plain.encode()) is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("haproxy[7]: fe: SSL handshake failure from my format", (Reason.OTHER, None, None)),
        (
            "haproxy[7]: x 10.0.0.5:4 [24/Nov/2026:04:00:52.123] fe TLS error: certificate has "
            "expired",
            (Reason.EXPIRED, LOCAL, "10.0.0.5:4"),
        ),
    ],
)
def test_haproxys_texts_are_known_in_an_operators_own_format(
    line: str, told: tuple[Reason, ToldBy | None, str | None]
) -> None:
    record = record_of(line)

    assert (record.reason, record.rejected_by, record.peer) == told
    assert record.writer == "haproxy"


def test_what_haproxy_says_of_tls_and_nobody_knows_is_suspicious_or_nothing() -> None:
    head = "10.0.0.5:40000 [24/Nov/2026:04:00:52.123] fe/1: "

    assert reading_of(head + "SSL quux error").suspicious
    assert READER.read(b"haproxy[7]: Proxy fe started without TLS, see no error") is None


APACHE = "[Tue Nov 24 04:00:52.000000 2026] [ssl:{}] [pid 7:tid 8] {}"
APACHE_ACCESS = (
    '10.0.0.5 [24/Nov/2026:04:00:52 +0000] {} X resumed={} status=200 sni="{}" '
    'client="CN=dev\\"01" client_end="Feb 22 02:58:48 2027 GMT" keepalive={}'
)


def test_apaches_lines_of_one_handshake_share_a_thread_with_rising_steps() -> None:
    lines = [
        APACHE.format("info",
        "[client 10.0.0.5:4] AH02276: Certificate Verification: Error (20): unable"),
        APACHE.format("info", "[client 10.0.0.5:4] AH02008: SSL library error 1 in handshake"),
        APACHE.format("info",
        "SSL Library Error: error:0A000086:SSL routines::certificate verify failed"),
    ]  # fmt: skip

    readings = [reading_of(line) for line in lines]

    assert [reading.thread for reading in readings] == ["7:8"] * 3
    assert [reading.step for reading in readings] == [1, 2, 3]


def test_apaches_debug_lines_are_not_read_except_for_one() -> None:
    text = "SSL error: certificate verify failed"
    timeout = (
        "(70007)The timeout specified has expired: [client 10.0.0.5:4] AH02007: SSL handshake x"
    )

    assert READER.read(APACHE.format("debug", text).encode()) is None
    assert READER.read(APACHE.format("trace4", text).encode()) is None
    assert record_of(APACHE.format("debug", timeout)).reason is Reason.HANDSHAKE_TIMEOUT


def test_apache_tells_good_handshakes_once_per_connection() -> None:
    full = record_of(APACHE_ACCESS.format("TLSv1.3", "Initial", "gw", 0))
    resumed = record_of(APACHE_ACCESS.format("TLSv1.2", "Resumed", "-", 0))

    assert (full.resumed, full.server_name, full.names) == (False, "gw", ('CN=dev\\"01',))
    assert (resumed.resumed, resumed.server_name) == (True, None)
    assert READER.read(APACHE_ACCESS.format("TLSv1.3", "Initial", "gw", 1).encode()) is None
    assert READER.read(APACHE_ACCESS.format("-", "Initial", "gw", 0).encode()) is None


def test_mosquitto_gives_clues_and_steps() -> None:
    opened = reading_of("1795492801: New connection from 10.0.0.5:40000 on port 8883.")
    named = reading_of(
        "2026-11-24T04:00:52: New client connected from 10.0.0.5:40000 as dev 01 (p2, c1, k60, "
        "u'me')."
    )
    closed = reading_of(
        "1795492801: Client <unknown> [10.0.0.5:40000] disconnected: Protocol error."
    )
    old = reading_of("1795492801: Socket error on client dev-01, disconnecting.")
    error = reading_of(
        "1795492801: OpenSSL Error[1]: error:0A0000C1:SSL routines::no shared cipher"
    )

    assert opened.clue == Clue(kind=ClueKind.OPENED, peer="10.0.0.5:40000", port=8883)
    assert named.clue == Clue(kind=ClueKind.NAMED, peer="10.0.0.5:40000", name="dev 01")
    assert named.record is not None
    assert named.record.names == ("dev 01", "me")
    assert closed.clue == Clue(kind=ClueKind.CLOSED, peer="10.0.0.5:40000")
    assert old.clue == Clue(kind=ClueKind.CLOSED, name="dev-01")
    assert (error.thread, error.step) == ("", 2)


def test_mosquittos_own_stamp_is_the_moment() -> None:
    error = reading_of("1795492801: OpenSSL Error[0]: error:0A000418:SSL routines::tlsv1 alert")
    named = reading_of("1795492801: New client connected from 10.0.0.5:4 as d (p2, c1, k60).")
    plain = reading_of("New client connected from 10.0.0.5:4 as d (p2, c1, k60).")

    moments = [one.record.at if one.record else None for one in (error, named, plain)]
    assert moments == [*[datetime.fromtimestamp(1795492801, UTC)] * 2, None]


def test_mosquitto_setting_up_is_no_failure() -> None:
    reading = READER.read(
        b"1795492801: OpenSSL Error[0]: error:0A000091:SSL routines:SSL_CTX_use_x:no such file"
    )

    assert reading is None


def test_stunnels_lines_share_the_connections_number() -> None:
    head = "2026.11.24 04:00:52 LOG{}[17]: {}"
    opened = reading_of(head.format(5, "Service [gw] accepted connection from 10.0.0.5:40000"))
    verify = reading_of(head.format(4, "CERT: Pre-verification error: certificate has expired"))
    refused = reading_of(
        head.format(3, "SSL_accept: x: error:0A000086:SSL routines::certificate x")
    )
    late = reading_of(
        head.format(6, "ssl_start: s_poll_wait: TIMEOUTbusy exceeded: sending reset")
    )
    good = reading_of(head.format(6, "TLS accepted: new session negotiated"))
    odd = reading_of(head.format(3, "TLS quux error"))
    debug = READER.read(head.format(7, "SSL_accept failed: certificate verify failed").encode())

    assert opened.clue == Clue(kind=ClueKind.OPENED, peer="10.0.0.5:40000")
    assert [one.step for one in (verify, refused, late, good)] == [1, 2, 2, 0]
    assert {one.thread for one in (opened, verify, refused, late, good)} == {"17"}
    assert late.record is not None
    assert (late.record.reason, late.record.rejected_by) == (Reason.HANDSHAKE_TIMEOUT, LOCAL)
    assert good.record is not None
    assert good.record.resumed is False
    assert odd.suspicious
    assert debug is None


def test_envoy_names_the_peer_of_either_side() -> None:
    error = "TLS_error:|268435563:SSL routines:OPENSSL_internal:NO_SHARED_CIPHER:TLS_error_end"
    json = '{{"{}":"10.9.9.9:8443","reason":"{}"}}'

    assert record_of(json.format("upstream_host", error)).peer == "10.9.9.9:8443"
    assert record_of(json.format("downstream_address", error)).peer == "10.9.9.9:8443"
    assert record_of(f"upstream connect error {error}").peer is None
    assert record_of("gw TLS_error:|quux:TLS_error_end").reason is Reason.OTHER
    assert (
        READER.read(b"[2026-11-24 04:00:52.000][7][debug][connection] SSL error: 0:SSL WANT_READ")
        is None
    )


@pytest.mark.parametrize(
    ("rest", "resumed"),
    [("", None), (" resumed=true", True), (" resumed=false", False), (" (full handshake)", False)],
)
def test_the_platform_may_tell_a_resumed_session(rest: str, resumed: bool | None) -> None:
    record = record_of(f"device=dev-07 TLS Handshake: SUCCESS{rest}")

    assert (record.success, record.peer, record.resumed) == (True, "dev-07", resumed)


def test_a_report_of_success_says_nothing_about_handshakes() -> None:
    line = "TLS rotation error? Rotation: SUCCESS Distributed: 18/18 devices"

    assert READER.read(line.encode()) is None


def test_the_platforms_failure_takes_its_reason_from_the_rest() -> None:
    bare = record_of("TLS Handshake: FAILED")
    told = record_of("Error: certificate verify failed: certificate has expired (10.0.0.5:40000)")

    assert (bare.reason, bare.rejected_by) == (Reason.OTHER, None)
    assert (told.reason, told.rejected_by, told.peer) == (Reason.EXPIRED, LOCAL, "10.0.0.5:40000")


def test_etcds_structured_line_names_the_peer() -> None:
    record = record_of(
        '{"level":"warn","msg":"rejected connection on client endpoint","remote-addr":'
        '"10.0.0.5:40000","server-name":"","error":"EOF"}'
    )

    assert (record.peer, record.reason, record.writer) == (
        "10.0.0.5:40000",
        Reason.CONNECTION_RESET,
        "go",
    )
    assert READER.read(b'{"msg":"rejected connection","error":"too many"}') is None


def test_erlangs_trouble_that_is_no_alert_is_suspicious() -> None:
    assert reading_of("TLS server: In state certify at x.erl:1 quux error").suspicious


@pytest.mark.parametrize(
    ("text", "fields", "peer"),
    [
        ("nobody", {}, None),
        ("x", {"remote_addr": "10.0.0.5:4"}, "10.0.0.5:4"),
        ("x", {"client": "a name"}, None),
        ("x", {"remote": "<redacted>:4"}, "<redacted>:4"),
        ("error from 10.0.0.5:4", {}, "10.0.0.5:4"),
        ("error from [2001:db8::5]:4", {}, "[2001:db8::5]:4"),
        ("error from 2001:db8::5 now", {}, "2001:db8::5"),
        ("error from fe80::1%eth0 now", {}, "fe80::1%eth0"),
        ("at 12:03:13 error", {}, None),
        ("error from 12:03:13", {}, None),
        ("error, remoteaddr=gw.example:4 x", {}, "gw.example:4"),
        ("10.0.0.5 and 10.0.0.6", {}, None),
        ("10.0.0.5 and 10.0.0.5 and 0.0.0.0", {}, "10.0.0.5"),
        ("listening on 10.0.0.1:443 failed", {}, "10.0.0.1:443"),
        ("local: 10.0.0.1:443", {}, None),
        ("version 1.2.3.4", {}, None),
        ("00:11:22:33:44:55", {}, None),
    ],
)
def test_the_other_side_is_found_in_a_line_of_unknown_make(
    text: str, fields: dict[str, str], peer: str | None
) -> None:
    assert peer_in(text, fields) == peer


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("MQT: TLS connection error: 560", ("unknown_ca", LOCAL)),
        ("MQT: TLS connection error: 63", ("other", LOCAL)),
        ("wolfSSL_connect failed: error -323", None),
        ("wolfSSL_connect failed: error -320", ("other", LOCAL)),
        ("curl: (35) NSS error -12271", ("verify_failed", PEER)),
        ("TLS error, NSS error -8181", ("expired", LOCAL)),
        ("TLS failed: SECURITY_STATUS is -2146893019", ("unknown_ca", LOCAL)),
        ("TLS failed: status 0x8009030F", None),
        ("TLS failed: status 0x80090328", ("expired", LOCAL)),
        ("TLS failed, NSS error -8000", None),
        ("TLS event 36887: alert code: 46", ("verify_failed", None)),
    ],
)
def test_numbers_without_words_are_read(line: str, told: tuple[str, ToldBy | None] | None) -> None:
    reading = READER.read(line.encode())
    record = None if reading is None else reading.record

    assert (None if record is None else (record.reason, record.rejected_by)) == told
