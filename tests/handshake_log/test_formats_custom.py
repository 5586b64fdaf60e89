import pytest
from pydantic import ValidationError

from exporter.handshake_log.classify import LineReader
from exporter.handshake_log.custom import CustomFormat
from exporter.handshake_log.readers import format_of
from exporter.observations import HandshakeRecord, Reason, ToldBy


def read(line: str, **wish: str) -> HandshakeRecord | None:
    wished = CustomFormat.model_validate({"name": "acme", **wish})
    reading = LineReader([format_of(wished)]).read(line.encode())
    return None if reading is None else reading.record


def test_a_reason_is_taken_from_the_vocabulary() -> None:
    record = read(
        "acme: 10.0.0.9 turned away: tlsv1 alert unknown ca",
        pattern=r"^acme: (?P<peer>\S+) turned away: (?P<reason>.*)$",
        outcome="failure",
    )

    assert record is not None
    assert (record.writer, record.peer) == ("acme", "10.0.0.9")
    assert (record.reason, record.rejected_by) == (Reason.UNKNOWN_CA, ToldBy.PEER)


def test_a_reason_of_ours_and_the_side_are_taken_as_they_are() -> None:
    record = read(
        "acme expired peer",
        pattern=r"^acme (?P<reason>\w+) (?P<rejected_by>\w+)$",
        outcome="failure",
    )

    assert record is not None
    assert (record.reason, record.rejected_by) == (Reason.EXPIRED, ToldBy.PEER)


def test_a_reason_that_nobody_knows_is_other() -> None:
    record = read("acme quux", pattern=r"^acme (?P<reason>\w+)$", outcome="failure")
    bare = read("acme expired", pattern=r"^acme (?P<reason>\w+)$", outcome="failure")

    assert record is not None
    assert (record.reason, record.rejected_by) == (Reason.OTHER, None)
    assert bare is not None
    assert (bare.reason, bare.rejected_by) == (Reason.EXPIRED, None)


@pytest.mark.parametrize(
    ("outcome", "resumed", "failure", "told"),
    [("ok", "r", False, True), ("OK", "new", False, False), ("bad", "?", True, None)],
)
def test_the_line_may_tell_the_outcome(
    outcome: str, resumed: str, failure: bool, told: bool | None
) -> None:
    record = read(
        f"acme {outcome} {resumed} dev-01 gw.example",
        pattern=r"^acme (?P<outcome>\w+) (?P<resumed>\S+) (?P<name>\S+) (?P<server_name>\S+)$",
    )

    assert record is not None
    assert (record.failure, record.success, record.resumed) == (failure, not failure, told)
    assert (record.names, record.server_name) == (("dev-01",), "gw.example")


def test_another_programs_line_is_left_to_the_others() -> None:
    record = read(
        "Error: certificate verify failed",
        pattern=r"^acme (?P<peer>\S+)$",
        outcome="failure",
        mark="acme",
    )

    assert record is not None
    assert record.writer == "platform"


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (
            {"pattern": "acme (", "outcome": "failure"},
            "the pattern is no RE2 expression: missing ): acme (",
        ),
        (
            {"pattern": r"(?P<peer>\S+) (?=x)", "outcome": "failure"},
            "the pattern is no RE2 expression: invalid perl operator: (?=",
        ),
        (
            {"pattern": r"acme (?P<who>\S+)", "outcome": "failure"},
            "the group 'who' means nothing here; allowed are name, outcome, peer, "
            "reason, rejected_by, resumed, server_name, thread",
        ),
        (
            {"pattern": "acme", "outcome": "maybe"},
            "Input should be 'failure' or 'success'",
        ),
        (
            {"pattern": "acme"},
            "neither outcome nor a group 'outcome' says whether the handshake failed",
        ),
        (
            {"pattern": "a*", "outcome": "failure"},
            "the pattern matches an empty line, and so every line",
        ),
        (
            {"pattern": "a" * 5000, "outcome": "failure"},
            "String should have at most 4096 characters",
        ),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_a_sentence(
    wish: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        CustomFormat.model_validate({"name": "acme", **wish})

    assert [error["msg"].removeprefix("Value error, ") for error in refused.value.errors()] == [
        sentence
    ]
