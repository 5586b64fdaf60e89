"""Lines of one handshake that arrive apart; mosquitto's and stunnel's real ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.handshake_log.classify import READER
from exporter.handshake_log.join import LIMIT, STEP_S, WAIT_S, Joiner
from exporter.observations import HandshakeRecord, Reason, ToldBy

REFUSED = "1795492802: OpenSSL Error[0]: error:0A000418:SSL routines::tlsv1 alert unknown ca"
EXPIRED = (
    "1795492802: OpenSSL Error[0]: error:0A000415:SSL routines::sslv3 alert certificate expired"
)
GONE = "1795492802: Client <unknown> disconnected: Protocol error."


def opened(number: int, port: int = 8883) -> str:
    return f"1795492801: New connection from 10.0.0.{number}:5000{number} on port {port}."


def named(number: int) -> str:
    return (
        f"1795492801: New client connected from 10.0.0.{number}:5000{number} as dev-{number}"
        " (p2, c1, k60)."
    )


def told(*lines: str, joiner: Joiner | None = None, at_s: float = 0.0) -> list[HandshakeRecord]:
    """What is complete after ``lines`` and the pause after them."""
    joiner = joiner or Joiner()
    records = []
    for line in lines:
        reading = READER.read(line.encode())
        assert reading is not None, line
        records += joiner.take(reading, at_s)
    return records + joiner.due(at_s + STEP_S)


def peers(records: list[HandshakeRecord]) -> list[str | None]:
    return [record.peer for record in records]


def test_a_line_that_tells_all_passes_at_once() -> None:
    record = READER.read(b"http: TLS handshake error from 10.0.0.5:51234: EOF")
    assert record is not None

    assert peers(Joiner().take(record, 0.0)) == ["10.0.0.5:51234"]


def test_an_error_without_a_name_is_that_of_the_only_connection() -> None:
    records = told(opened(1), REFUSED, GONE)

    assert peers(records) == ["10.0.0.1:50001"]
    assert (records[0].reason, records[0].rejected_by) == (Reason.UNKNOWN_CA, ToldBy.PEER)


def test_six_connections_that_all_fail_are_six_devices() -> None:
    records = told(*(opened(n) for n in range(1, 7)), *[REFUSED, GONE] * 6)

    assert sorted(map(str, peers(records))) == [f"10.0.0.{n}:5000{n}" for n in range(1, 7)]


def test_when_not_all_have_failed_nobody_is_accused() -> None:
    joiner = Joiner()

    early = told(opened(1), opened(2), REFUSED, GONE, joiner=joiner)
    late = joiner.due(WAIT_S + STEP_S)

    assert early == []
    assert peers(late) == [None]


def test_a_connection_that_succeeded_was_not_the_one_that_failed() -> None:
    records = told(opened(1), opened(2), REFUSED, GONE, named(2))

    assert peers([record for record in records if record.failure]) == ["10.0.0.1:50001"]
    assert [record.names for record in records if record.success] == [("dev-2",)]


def test_different_errors_of_several_connections_are_nobodys() -> None:
    records = told(opened(1), opened(2), REFUSED, GONE, EXPIRED, GONE)

    assert peers(records) == [None, None]
    assert {record.reason for record in records} == {Reason.UNKNOWN_CA, Reason.EXPIRED}


def test_more_errors_than_connections_are_nobodys() -> None:
    joiner = Joiner()
    first = told(opened(1), opened(2), REFUSED, GONE, joiner=joiner)

    rest = told(REFUSED, GONE, joiner=joiner)

    assert first == []
    assert sorted(map(str, peers(rest))) == ["10.0.0.1:50001", "10.0.0.2:50002"]
    assert peers(told(REFUSED, GONE, joiner=joiner)) == [None]


def test_an_error_without_any_connection_is_nobodys() -> None:
    assert peers(told(REFUSED, GONE)) == [None]


def test_a_connection_is_not_remembered_for_ever() -> None:
    joiner = Joiner()
    told(opened(1), joiner=joiner)
    joiner.due(WAIT_S)

    assert peers(told(REFUSED, GONE, joiner=joiner, at_s=WAIT_S)) == [None]


def test_a_client_of_the_plain_port_made_no_handshake() -> None:
    assert told(opened(1, port=1883), named(1)) == []
    assert len(told(opened(1), named(1))) == 1


def test_two_lines_of_the_error_queue_are_one_handshake() -> None:
    more = "1795492802: OpenSSL Error[1]: error:0A000086:SSL routines::certificate verify failed"

    records = told(opened(1), REFUSED, more, GONE)

    assert [(record.peer, record.reason) for record in records] == [
        ("10.0.0.1:50001", Reason.UNKNOWN_CA)
    ]


STUNNEL = (
    "2026.11.24 03:58:49 LOG5[4]: Service [mqtts] accepted connection from 10.0.0.9:41000",
    "2026.11.24 03:58:49 LOG4[4]: CERT: Pre-verification error: certificate has expired",
    "2026.11.24 03:58:49 LOG3[4]: SSL_accept: ssl/statem/statem_srvr.c:3510: error:0A000086:"
    "SSL routines::certificate verify failed",
)


def test_lines_of_one_thread_are_one_handshake_with_its_best_reason() -> None:
    records = told(*STUNNEL)

    assert [(r.peer, r.reason, r.rejected_by) for r in records] == [
        ("10.0.0.9:41000", Reason.EXPIRED, ToldBy.LOCAL)
    ]


def test_a_thread_that_accepts_again_is_another_connection() -> None:
    again = STUNNEL[0].replace("10.0.0.9", "10.0.0.8")
    good = "2026.11.24 03:58:49 LOG6[4]: TLS accepted: new session negotiated"

    records = told(*STUNNEL, again, good)

    assert [(r.peer, r.failure) for r in records] == [
        ("10.0.0.9:41000", True), ("10.0.0.8:41000", False),
    ]  # fmt: skip


def test_threads_are_told_apart() -> None:
    other = [line.replace("[4]", "[5]").replace("0.9:", "0.7:") for line in STUNNEL]

    records = told(*(line for both in zip(STUNNEL, other, strict=True) for line in both))

    assert sorted(map(str, peers(records))) == ["10.0.0.7:41000", "10.0.0.9:41000"]


def test_what_waits_survives_a_restart() -> None:
    before = Joiner()
    told(opened(1), opened(2), REFUSED, GONE, joiner=before)
    told(STUNNEL[0], joiner=before)

    after = Joiner.load(before.dump(), 0.0)
    records = told(REFUSED, GONE, *STUNNEL[1:], joiner=after)

    assert sorted(map(str, peers(records))) == [
        "10.0.0.1:50001", "10.0.0.2:50002", "10.0.0.9:41000",
    ]  # fmt: skip


def test_a_step_that_waits_survives_a_restart() -> None:
    before = Joiner()
    for line in STUNNEL[:2]:
        reading = READER.read(line.encode())
        assert reading is not None
        before.take(reading, 0.0)

    records = Joiner.load(before.dump(), 0.0).due(STEP_S)

    assert [(r.peer, r.reason) for r in records] == [("10.0.0.9:41000", Reason.EXPIRED)]


def test_nothing_that_waits_is_nothing_to_keep() -> None:
    assert Joiner().dump() == ""
    assert Joiner.load("", 0.0).dump() == ""


@pytest.mark.parametrize("line", [opened(1), STUNNEL[0]])
def test_memory_is_bounded(line: str) -> None:
    joiner = Joiner()
    for number in range(3 * LIMIT):
        text = line.replace("10.0.0.", f"10.{number % 250}.{number // 250}.")
        told(text.replace("[4]", f"[{number}]"), joiner=joiner)

    assert len(joiner.dump()) < 100 * LIMIT


LINES = [opened(1), opened(2), opened(3), named(1), named(2), REFUSED, EXPIRED, GONE, *STUNNEL]


@given(st.lists(st.sampled_from(LINES), max_size=40), st.data())
def test_no_failure_is_lost_or_doubled_whatever_the_order(
    lines: list[str], data: st.DataObject
) -> None:
    joiner = Joiner()
    records: list[HandshakeRecord] = []
    errors = 0
    at_s = 0.0
    for line in lines:
        at_s += data.draw(st.sampled_from([0.0, 0.1, 1.0, 11.0]))
        records += joiner.due(at_s)
        joiner = Joiner.load(joiner.dump(), at_s) if data.draw(st.booleans()) else joiner
        reading = READER.read(line.encode())
        assert reading is not None
        errors += line in {REFUSED, EXPIRED}
        records += joiner.take(reading, at_s)
    records += joiner.due(at_s + WAIT_S) + joiner.due(at_s + 2 * WAIT_S)

    assert sum(r.failure and r.writer == "mosquitto" for r in records) == errors
    assert joiner.dump() == ""
