import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.webhook.payload import Ignored, PayloadError, read_delivery
from tests.webhook.bodies import alert, body

GATEWAYS = {"gw-1", "gw-2"}


def test_a_firing_alert_asks_for_a_look_at_its_gateway() -> None:
    (found,) = read_delivery(body(alert()), GATEWAYS).alerts

    assert (found.gateway, found.is_firing, found.ignored) == ("gw-1", True, None)
    assert found.starts_at.isoformat() == "2026-11-25T11:01:00.123456+00:00"


def test_each_alert_of_a_mixed_group_is_judged_by_itself() -> None:
    delivery = read_delivery(
        body(alert(1), alert(2, status="resolved", gateway="gw-2"), truncatedAlerts=7), GATEWAYS
    )

    assert [one.is_firing for one in delivery.alerts] == [True, False]
    assert delivery.truncated_count == 7


def test_the_newest_moment_that_is_past_for_the_sender_is_told() -> None:
    firing = {**alert(1), "endsAt": "2026-11-25T23:00:00Z"}  # when it would be over
    over = {**alert(2, status="resolved"), "endsAt": "2026-11-25T14:30:00+02:00"}

    def newest(*alerts: dict[str, object]) -> str:
        return str(read_delivery(body(*alerts), GATEWAYS).newest_at)

    assert newest(firing) == "2026-11-25 11:01:00.123456+00:00"
    assert newest(firing, over) == "2026-11-25 12:30:00+00:00"
    assert newest() == "None"


def test_an_alert_that_asks_for_nothing_tells_no_moment_either() -> None:
    late = {"startsAt": "2099-01-01T00:00:00Z"}
    delivery = body(
        alert(1), {**alert(2, remediation=""), **late}, {**alert(3, gateway="gw-9"), **late}
    )

    assert str(read_delivery(delivery, GATEWAYS).newest_at) == "2026-11-25 11:01:00.123456+00:00"


def test_a_moment_at_the_end_of_the_calendar_is_taken_as_it_is() -> None:
    far = {
        **alert(1),
        "startsAt": "9999-12-31T23:00:00-05:00",
        "endsAt": "0001-01-01T00:00:00+01:00",
    }

    (found,) = read_delivery(body(far), GATEWAYS).alerts

    assert found.starts_at.year == 9999


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"remediation": ""}, Ignored.NOT_FOR_US),
        ({"remediation": "reboot"}, Ignored.NOT_FOR_US),
        ({"gateway": ""}, Ignored.NO_GATEWAY),
        ({"gateway": "gw-9"}, Ignored.UNKNOWN_GATEWAY),
        ({"gateway": "GW-1"}, Ignored.UNKNOWN_GATEWAY),
        ({"gateway": "gw-1" + "x" * 1_000_000}, Ignored.UNKNOWN_GATEWAY),
    ],
)
def test_what_asks_for_nothing_is_ignored_with_the_reason(
    labels: dict[str, str], why: Ignored
) -> None:
    (found,) = read_delivery(body(alert(1, **labels)), GATEWAYS).alerts

    assert found.ignored is why
    assert len(found.gateway) <= 200


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "this is not JSON"),
        (b'{"version": "4", "alerts": [', "this is not JSON"),
        (b"\xff\xfe", "this is not JSON"),
        (b"<html>", "this is not JSON"),
        (b"[" * 100_000, "this is not JSON"),
        (b'{"a":' * 100_000, "this is not JSON"),
    ],
)
def test_what_is_no_json_is_refused_with_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(PayloadError, match=sentence) as caught:
        read_delivery(data, GATEWAYS)

    assert not caught.value.is_json


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"[]", "the body: "),
        (b"{}", "version"),
        (body(version="3"), r"version '3' of the webhook's body is not known"),
        (body(alerts={}), "alerts: "),
        (body({"status": "firing"}), r"alerts\.0\.labels: Field required"),
        (body({**alert(), "startsAt": "today"}), r"alerts\.0\.startsAt"),
        (body({**alert(), "startsAt": "2026-11-25T12:00:00"}), r"alerts\.0\.startsAt"),
        (body({**alert(), "fingerprint": "x" * 101}), r"alerts\.0\.fingerprint"),
        (body({**alert(), "labels": {"gateway": {"a": 1}}}), r"alerts\.0\.labels\.gateway"),
        (body(*[alert()] * 20_001), "alerts: "),
    ],
)
def test_json_of_another_shape_is_refused_with_place_and_sentence(
    data: bytes, sentence: str
) -> None:
    with pytest.raises(PayloadError, match=sentence) as caught:
        read_delivery(data, GATEWAYS)

    assert caught.value.is_json


def test_fields_that_a_newer_alertmanager_adds_are_ignored() -> None:
    given = {**alert(), "receivers": [], "mutedBy": None}

    assert len(read_delivery(body(given, notificationReason="repeat"), GATEWAYS).alerts) == 1


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_refused(data: bytes) -> None:
    with pytest.raises(PayloadError):
        read_delivery(data, GATEWAYS)


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["version", "alerts", "labels", "status", "startsAt", "x"]), x)))  # fmt: skip
def test_no_json_does_anything_but_be_refused(value: object) -> None:
    with pytest.raises(PayloadError):
        read_delivery(json.dumps(value).encode(), GATEWAYS)
