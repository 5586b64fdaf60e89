"""Judging of answers, without any network."""

import pytest

from exporter.gateway.answers import Reply, error_in, is_json, read, refusal, retry_after_s
from exporter.gateway.api import GatewayError, GatewayReason
from exporter.gateway.messages import GatewayCertificates, TrustStoreStatus
from exporter.gateway.retries import LONGEST_PAUSE_S, MAX_ATTEMPTS, pause_s


def reply(
    body: bytes = b"{}",
    *,
    status: int = 200,
    is_change: bool = False,
    hidden: str = "",
    **headers: str,
) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(
        call="certificates",
        is_change=is_change,
        status=status,
        headers={"content-type": "application/json", **named},
        body=body,
        hidden=hidden,
    )


DATE = "Tue, 24 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 30 "}, 30.0),
        ({"retry-after": "90000"}, 3_600.0),
        ({"retry-after": "9" * 50}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:20 GMT", "date": DATE}, 20.0),
        ({"retry-after": "Tue, 24 Nov 2026 11:00:00 GMT", "date": DATE}, 0.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT", "date": DATE}, 3_600.0),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:20 GMT"}, None),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:20", "date": DATE}, None),
    ],
)
def test_how_long_to_leave_it_alone(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


@pytest.mark.parametrize(
    ("kind", "is_one"),
    [
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ('application/json;charset="utf-8"', True),
        ("application/problem+json", True),
        ("application/json; charset=latin-1", False),
        ("text/json", False),
        ("", False),
    ],
)
def test_what_counts_as_json(kind: str, is_one: bool) -> None:
    assert is_json(reply(content_type=kind)) == is_one


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"error": "no"}', b'{"error": {"code": 1}}', b"\xff"]
)
def test_a_body_in_another_form_says_nothing(body: bytes) -> None:
    assert error_in(body) is None


def test_a_devices_own_error_is_no_error_of_the_answer() -> None:
    body = b'{"total": 1, "complete": 0, "devices": [{"deviceId": "a", "status": "FAILED",' + (
        b' "error": "no space left"}]}'
    )

    assert read(reply(body), TrustStoreStatus).devices[0].error == "no space left"


def test_faults_are_told_by_place_and_without_values() -> None:
    body = b'{"serving": {"version": "hunter2", "fingerprint": 1}, "memory": 3, "tickets": []}'

    with pytest.raises(GatewayError) as caught:
        read(reply(body), GatewayCertificates)

    assert "serving.version: " in str(caught.value)
    assert "and 1 more" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_platforms_words_are_cut_and_escaped() -> None:
    body = b'{"error": {"code": "x", "message": "\\u001b[2J%s"}}' % (b"long " * 1_000)

    error = refusal(reply(body, status=422))

    assert len(str(error)) < 700
    assert "\x1b" not in str(error)


def test_of_many_devices_the_first_thousand_are_named() -> None:
    devices = b", ".join(b'"d%d"' % number for number in range(5_000))
    body = b'{"error": {"code": "x", "message": "y", "devices": [%s]}}' % devices

    assert len(refusal(reply(body, status=422)).devices) == 1_000


@pytest.mark.parametrize("location", ["http://[bad", "/elsewhere", "//user:pw@h.example/x"])
def test_a_redirect_tells_no_more_than_the_host(location: str) -> None:
    error = refusal(reply(status=302, location=location))

    assert error.reason is GatewayReason.NONSENSE
    assert "pw" not in str(error)


def test_a_reply_does_not_show_its_body_or_the_token() -> None:
    shown = repr(reply(b"secret", hidden="t0ken"))

    assert "secret" not in shown
    assert "t0ken" not in shown


@pytest.mark.parametrize("reason", GatewayReason)
@pytest.mark.parametrize("attempt", range(1, MAX_ATTEMPTS + 2))
def test_what_cannot_help_or_is_unknown_is_never_repeated(
    reason: GatewayReason, attempt: int
) -> None:
    final = GatewayError(reason, "x", retryable=False)
    unknown = GatewayError(reason, "x", retryable=True, is_outcome_unknown=True)

    assert pause_s(final, attempt) is None
    assert pause_s(unknown, attempt) is None


@pytest.mark.parametrize(
    ("reason", "asked_s", "attempt", "pause"),
    [
        (GatewayReason.TIMEOUT, None, 1, 0.5),
        (GatewayReason.TIMEOUT, None, 2, 2.0),
        (GatewayReason.TIMEOUT, None, 3, None),
        (GatewayReason.RATE_LIMITED, 7.0, 1, 7.0),
        (GatewayReason.FAILED, 0.0, 2, 0.0),
        (GatewayReason.RATE_LIMITED, LONGEST_PAUSE_S, 1, LONGEST_PAUSE_S),
        (GatewayReason.RATE_LIMITED, LONGEST_PAUSE_S + 1, 1, None),
        (GatewayReason.NONSENSE, None, 1, None),
        (GatewayReason.CREDENTIALS, None, 1, None),
    ],
)
def test_the_pause_before_the_next_attempt(
    reason: GatewayReason, asked_s: float | None, attempt: int, pause: float | None
) -> None:
    error = GatewayError(reason, "x", retryable=True, retry_after_s=asked_s)

    assert pause_s(error, attempt) == pause
