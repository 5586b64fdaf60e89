from datetime import UTC, datetime

import pytest

from exporter.handshake_log.classify import LineReader
from exporter.handshake_log.moments import asn1_moment, clf_moment, utc_time_moment
from exporter.handshake_log.wrappers import moment_of, unwrap

TEXT = "TLS handshake failed: unknown ca"
AT = datetime(2026, 11, 24, 4, 0, 52, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "program", "at"),
    [
        ("", None, None),
        ("<34>", None, None),
        ("<34>Nov 24 04:00:52 gw mosquitto[7]: ", "mosquitto", None),
        ("<34>Nov  4 04:00:52 gw mosquitto: ", "mosquitto", None),
        ("Nov 24 04:00:52 mosquitto[7]: ", "mosquitto", None),
        ("Okt 24 04:00:52 gw postfix/smtpd[7]: ", "postfix/smtpd", None),
        ("2026-11-24T04:00:52+0000 gw mosquitto[7]: ", "mosquitto", AT),
        ("2026-11-24T05:00:52.000000+01:00 gw mosquitto[7]: ", "mosquitto", AT),
        ("<34>1 2026-11-24T04:00:52Z gw mosquitto 7 - - ", "mosquitto", AT),
        ('<34>1 2026-11-24T04:00:52Z gw mosquitto 7 ID [a@1 b="c\\]"][d e="f"] ', "mosquitto", AT),
        ("<34>1 2026-11-24T04:00:52Z gw mosquitto 7 - - \ufeff", "mosquitto", AT),
        ("Tue Nov 24 04:00:52 2026 daemon.notice mosquitto[7]: ", "mosquitto", None),
        ("2026-11-24T04:00:52.000000000Z stderr F ", None, AT),
        ("2026-11-24T04:00:52.000000000Z stdout P ", None, AT),
        ("broker_1  | ", "broker_1", None),
        ("MESSAGE=", None, None),
        ("Nov 24 04:00:52 gw docker[1]: 2026-11-24T04:00:52Z stderr F ", "docker", AT),
    ],
)
def test_what_collectors_put_before_a_line_is_taken_off(
    before: str, program: str | None, at: datetime | None
) -> None:
    message = unwrap((before + TEXT).encode())

    assert (message.text, message.program, message.at) == (TEXT, program, at)


def test_docker_and_the_journal_wrap_a_whole_line() -> None:
    docker = unwrap(
        b'{"log":"2026/11/24 04:00:52 TLS x\\n","stream":"stderr","time":"2026-11-24T04:00:52Z"}'
    )
    journal = unwrap(
        b'{"__REALTIME_TIMESTAMP":"1795492852000000","SYSLOG_IDENTIFIER":"gw","MESSAGE":"TLS x"}'
    )

    assert (docker.text, docker.at) == ("2026/11/24 04:00:52 TLS x", AT)
    assert (journal.text, journal.program, journal.at) == ("TLS x", "gw", AT)


def test_a_json_line_keeps_its_other_members() -> None:
    message = unwrap(
        b'etcd[7]: {"level":"warn","ts":"2026-11-24T04:00:52Z","msg":"rejected","n":1,"ok":true,'
        b'"error":{"text":"EOF"},"none":null,"list":[1]}'
    )

    assert message.text == (
        'etcd[7]: rejected level="warn" ts="2026-11-24T04:00:52Z" n="1" error.text="EOF"'
    )
    assert message.fields["error.text"] == "EOF"
    assert message.at == AT


def test_the_message_key_is_the_operators_choice() -> None:
    reader = LineReader(message_keys=("was",))
    line = b'{"was":"TLS Handshake: FAILED","message":"TLS Handshake: SUCCESS"}'

    reading = reader.read(line)

    assert reading is not None
    assert reading.record is not None
    assert reading.record.failure


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"{}", b'{"a"', b'{"a": }', b'"x"}', b'{"msg":"x"} y', b"\xff\xfe\x00",
        b'{"a":' * 5000 + b"1" + b"}" * 5000, b'x {"": ""}', b'{"a":"b"}}',
    ],
)  # fmt: skip
def test_what_is_no_json_is_kept_as_it_stands(line: bytes) -> None:
    message = unwrap(line)

    assert message.fields == {} or "" in message.fields


def test_nuls_are_dropped_and_invalid_bytes_replaced() -> None:
    assert unwrap(b"\0\0TLS\0 \xff error").text == "TLS \ufffd error"


def test_only_four_wrappers_are_taken_off() -> None:
    message = unwrap(b"MESSAGE=" * 6 + b"x")

    assert message.text == "MESSAGE=MESSAGE=x"


@pytest.mark.parametrize(
    "text", [None, "", "-", "yesterday", "2026-11-24T04:00:52", "2026-99-24T04:00:52Z"]
)
def test_a_moment_without_an_offset_is_none(text: str | None) -> None:
    assert moment_of(text) is None


def test_dates_of_terminators_are_read() -> None:
    assert asn1_moment("Nov 24 04:00:52 2026 GMT") == AT
    assert asn1_moment("Nov  4 04:00:52 2026 GMT") == AT.replace(day=4)
    assert clf_moment("24/Nov/2026:05:00:52 +0100") == AT
    assert utc_time_moment("261124040052Z") == AT
    assert utc_time_moment("990101000000Z") == datetime(1999, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("read", [asn1_moment, clf_moment, utc_time_moment])
@pytest.mark.parametrize(
    "text",
    ["", "-", "Foo 24 04:00:52 2026 GMT", "Feb 31 04:00:52 2026 GMT", "31/Feb/2026:00:00:00 +0000",
     "24/Foo/2026:04:00:52 +0000", "269924040052Z", "Jan  1 00:00:00 0000 GMT",
     "01/Jan/0001:00:00:00 +2300"],
)  # fmt: skip
def test_what_is_no_date_is_none(read: object, text: str) -> None:
    assert callable(read)
    assert read(text) is None


def test_a_record_has_the_wrappers_moment_when_the_program_tells_none() -> None:
    reader = LineReader()
    reading = reader.read(
        b"2026-11-24T04:00:52Z stderr F http: TLS handshake error from 10.0.0.5:1: EOF"
    )
    own = reader.read(
        b"2026-11-24T09:09:09Z stdout F 10.0.0.5 [24/Nov/2026:04:00:52 +0000] TLSv1.3 X resumed=r "
        b'status=200 sni="-" client="-" client_end="-"'
    )

    assert reading is not None
    assert reading.record is not None
    assert reading.record.at == AT
    assert own is not None
    assert own.record is not None
    assert own.record.at == AT
    assert own.record.resumed is True
