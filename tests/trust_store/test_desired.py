"""What a device is to trust, by itself, its class and its rollout group."""

import pytest

from exporter.trust_store.desired import wanted_anchors
from exporter.trust_store.options import Desired, Options
from tests.fleet.stand import NEW, OLD, STORES, device, gateway

OLD_ANCHORS = frozenset(one.fingerprint_sha256 for one in OLD.anchors)
NEW_ANCHORS = frozenset(one.fingerprint_sha256 for one in NEW.anchors)


def test_a_device_is_to_trust_what_it_holds() -> None:
    targets = [gateway(), device("dev-01"), device("dev-02", holds=("fw-1", "fw-2"))]

    assert wanted_anchors(targets, STORES, ()) == {
        "dev-01": OLD_ANCHORS,
        "dev-02": OLD_ANCHORS | NEW_ANCHORS,
    }


def test_devices_that_are_to_trust_the_same_share_it() -> None:
    found = wanted_anchors([device("dev-01"), device("dev-02")], STORES, ())

    assert found["dev-01"] is found["dev-02"]


def test_by_a_part_of_what_is_wanted_nothing_is_judged() -> None:
    targets = [device("dev-01", holds=("fw-1", "gone")), device("dev-02", holds=())]

    assert wanted_anchors(targets, STORES, ()) == {}


@pytest.mark.parametrize(
    ("device_class", "group", "anchors"),
    [
        pytest.param("sensor", "canary", OLD_ANCHORS | NEW_ANCHORS, id="both fit"),
        pytest.param("sensor", "production", OLD_ANCHORS, id="another group"),
        pytest.param("meter", "canary", NEW_ANCHORS, id="another class"),
        pytest.param("meter", "production", OLD_ANCHORS, id="none fits"),
    ],
)
def test_the_first_entry_that_fits_counts(
    device_class: str, group: str, anchors: frozenset[str]
) -> None:
    desired = (
        Desired(trust_stores=("fw-1", "fw-2"), device_class="sensor", rollout_group="canary"),
        Desired(trust_stores=("fw-2",), rollout_group="canary"),
    )
    target = device(device_class=device_class, rollout_group=group)

    assert wanted_anchors([target], STORES, desired) == {"dev-01": anchors}


@pytest.mark.parametrize(
    ("options", "contact_s", "stale_s"),
    [
        pytest.param(Options(), 3_600.0, 10_800.0, id="three contacts"),
        pytest.param(Options(), 1.0, 900.0, id="at least a quarter of an hour"),
        pytest.param(Options(), None, 86_400.0, id="nobody knows"),
        pytest.param(Options(stale_after=5), 3_600.0, 5.0, id="as it is set"),
    ],
)
def test_when_a_report_is_stale(options: Options, contact_s: float | None, stale_s: float) -> None:
    assert options.stale_s(contact_s) == stale_s


def test_an_entry_that_names_no_store_is_refused() -> None:
    with pytest.raises(ValueError, match="name at least one of trust_stores"):
        Desired(trust_stores=())
