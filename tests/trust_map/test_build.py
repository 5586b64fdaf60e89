"""What the map says of CAs, classes and gateways, judged by the real judge."""

from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.targets.model import Role
from exporter.trust_map.build import trust_map
from exporter.trust_map.model import (
    MOST_AUTHORITIES,
    MOST_NAMES,
    Carried,
    Effect,
    Kind,
    Names,
    TrustMap,
)
from exporter.verdicts.cache import Judge
from tests.pki import make_leaf, utc
from tests.trust_map.scene import (
    BRIDGE,
    BY_NEW,
    BY_OLD,
    BY_SUB,
    CLIENTS,
    DATES,
    NEW,
    NOW,
    OLD,
    OTHER,
    SUB,
    Scene,
    authority,
    device,
    fleet,
    gateway,
    sha,
    store,
    typical,
)


def test_the_anchor_that_all_depend_on_takes_all_with_it() -> None:
    told = Scene(targets=[gateway(BY_OLD), *fleet(18, "fw")], stores=[store("fw", OLD)]).map()

    old = authority(told, OLD)
    assert old.if_removed == old.if_expired
    assert old.if_removed.dark_count == 18
    assert old.if_removed.gateways == Names(count=1, first=("gw-1",))
    (loss,) = old.if_removed.losses
    assert (loss.device_class, loss.dark.count) == ("sensor", 18)
    assert old.carries.gateways.first == ("gw-1",)


def test_an_anchor_that_nothing_leads_to_carries_nothing() -> None:
    told = Scene(targets=[gateway(BY_OLD), *fleet(3, "fw")], stores=[store("fw", OLD, NEW)]).map()

    new = authority(told, NEW)
    assert new.carries.is_nothing
    assert new.if_removed == new.if_expired == Effect()
    assert new.trusted_by[0].inventory_count == 3
    assert new.stores == ("fw",)
    assert told.authorities[0].fingerprint == sha(OLD)


def test_an_intermediate_can_be_removed_and_must_not_expire() -> None:
    told = Scene(targets=[gateway(BY_SUB, SUB), *fleet(4, "fw")], stores=[store("fw", OLD)]).map()

    sub = authority(told, SUB)
    assert sub.kind is Kind.INTERMEDIATE
    assert sub.issuers == (sha(OLD),)
    assert sub.trusted_by == ()
    assert sub.if_removed.dark_count == 0
    assert sub.if_expired.dark_count == 4


def test_a_device_that_has_another_way_does_not_go_dark() -> None:
    told = Scene(
        targets=[gateway(BY_NEW, BRIDGE), *fleet(2, "both"), *fleet(3, "old", device_class="old")],
        stores=[store("both", OLD, NEW), store("old", OLD)],
    ).map()

    bridge, old, new = authority(told, BRIDGE), authority(told, OLD), authority(told, NEW)
    assert bridge.kind is Kind.BRIDGE
    assert bridge.same_key == (sha(NEW),)
    # who hangs on the bridge alone: those without the new root
    assert [(loss.device_class, loss.dark.count) for loss in bridge.if_expired.losses] == [
        ("old", 3)
    ]
    assert bridge.if_removed.dark_count == 0
    assert old.if_expired.dark_count == 3
    assert new.if_removed.dark_count == 0
    assert {sha(OLD), sha(NEW), sha(BRIDGE)} == set(told.gateways[0].leads_to)


def test_who_refuses_already_cannot_go_dark() -> None:
    told = Scene(targets=[gateway(BY_NEW), *fleet(18, "fw")], stores=[store("fw", OLD)]).map()

    assert authority(told, OLD).if_removed == Effect()
    (one,) = told.gateways
    assert (one.accepted_count, one.refused_count, one.unknown_count) == (0, 18, 0)
    assert one.leads_to == ()
    assert one.issuer == "CN=new CA"


def test_a_report_comes_before_the_inventory() -> None:
    devices = fleet(3, "fw")
    told = Scene(
        targets=[gateway(BY_OLD), *devices],
        stores=[store("fw", OLD)],
        reported={
            "sensor-01": frozenset({sha(OLD)}),
            "sensor-02": frozenset({sha(NEW)}),
        },
        certificates=[NEW],
    ).map()

    (old,) = authority(told, OLD).trusted_by
    (new,) = authority(told, NEW).trusted_by
    assert (old.reported_count, old.inventory_count, old.device_count) == (1, 1, 3)
    assert (new.reported_count, new.inventory_count, new.device_count) == (1, 0, 3)
    assert authority(told, OLD).if_removed.losses[0].dark.first == ("sensor-01", "sensor-03")
    (sensor,) = told.classes
    assert (sensor.reported_count, sensor.inventory_count) == (2, 1)


def test_of_a_device_that_trusts_an_unknown_hash_it_cannot_be_said() -> None:
    told = Scene(
        targets=[gateway(BY_OLD), device("a")],
        reported={"a": frozenset({sha(OLD), "ff" * 32})},
        certificates=[OLD],
    ).map()

    old = authority(told, OLD)
    assert (old.if_removed.dark_count, old.if_removed.unknown_count) == (0, 1)
    (unknown,) = [one for one in told.authorities if one.kind is Kind.HASH_ONLY]
    assert (unknown.fingerprint, unknown.subject, unknown.not_after) == ("ff" * 32, "", None)
    assert unknown.trusted_by[0].until is None


def test_a_device_that_trusts_nothing_trusts_nothing() -> None:
    told = Scene(
        targets=[gateway(BY_OLD), device("a", "fw")],
        stores=[store("fw", OLD)],
        reported={"a": frozenset()},
    ).map()

    assert authority(told, OLD).trusted_by == ()
    assert told.classes[0].unknown == Names()
    assert told.gateways[0].refused_count == 1


def test_a_device_of_which_nothing_is_known_is_named() -> None:
    told = Scene(targets=[gateway(BY_OLD), device("a"), device("b", "gone")]).map()

    assert told.classes[0].unknown == Names(count=2, first=("a", "b"))
    assert told.gateways[0].unknown_count == 2


@pytest.mark.parametrize(("asks", "dark", "unknown"), [(True, 2, 0), (False, 0, 0), (None, 0, 2)])
def test_a_ca_of_client_certificates_takes_them_with_it_where_they_are_asked_for(
    asks: bool | None, dark: int, unknown: int
) -> None:
    told = Scene(
        targets=[gateway(BY_OLD, asks=asks), *fleet(2, "fw")],
        stores=[store("fw", OLD), store("clients", CLIENTS)],
        signed_by={"sensor": ("clients", "gone")},
    ).map()

    clients = authority(told, CLIENTS)
    assert clients.carries.client_certificates.count == 2
    for effect in (clients.if_removed, clients.if_expired):
        assert (effect.dark_count, effect.unknown_count) == (dark, unknown)


def test_where_two_cas_may_have_signed_it_cannot_be_said() -> None:
    told = Scene(
        targets=[gateway(BY_OLD, asks=True), *fleet(2, "fw")],
        stores=[store("fw", OLD), store("clients", CLIENTS, OTHER)],
        signed_by={"sensor": ("clients",)},
    ).map()

    assert authority(told, CLIENTS).if_expired.unknown_count == 2


def test_a_device_is_counted_once_when_it_goes_dark_in_two_ways() -> None:
    told = Scene(
        targets=[gateway(BY_OLD, asks=True), *fleet(2, "fw")],
        stores=[store("fw", OLD), store("clients", OLD, OTHER)],
        signed_by={"sensor": ("clients",)},
    ).map()

    effect = authority(told, OLD).if_removed
    assert (effect.dark_count, effect.unknown_count) == (2, 0)


def test_what_a_gateway_served_an_hour_ago_says_nothing() -> None:
    told = Scene(
        targets=[gateway(BY_OLD, missed=3), *fleet(2, "fw")], stores=[store("fw", OLD)]
    ).map()

    (one,) = told.gateways
    assert (one.subject, one.not_after, one.leads_to) == ("", None, ())
    assert one.unknown_count == 2
    assert authority(told, OLD).carries == Carried()


def test_a_gateway_that_is_its_own_ca_hangs_on_itself() -> None:
    own = make_leaf(None, "gw.test", **DATES)
    told = Scene(targets=[gateway(own), *fleet(2, "fw")], stores=[store("fw", own)]).map()

    one = authority(told, own)
    assert one.kind is Kind.ROOT
    assert one.if_removed.dark_count == one.if_expired.dark_count == 2


def test_a_listening_device_hangs_on_its_cas_too() -> None:
    listening = device("cam", behind=None)
    shown = gateway(BY_SUB, SUB, name="cam")
    told = Scene(
        targets=[replace(shown, target=replace(listening.target, host="cam", port=443))],
        certificates=[OLD],
    ).map()

    assert authority(told, SUB).carries.devices.first == ("cam",)
    assert authority(told, OLD).carries.devices.first == ("cam",)
    assert told.gateways == ()


def test_since_and_until_are_told_where_they_are_known() -> None:
    seen_at = NOW - timedelta(days=3)
    told = Scene(
        targets=[gateway(BY_OLD), *fleet(2, "fw")],
        stores=[store("fw", OLD, NEW)],
        since={("sensor", sha(OLD)): seen_at},
    ).map()

    (old,) = authority(told, OLD).trusted_by
    assert (old.since, old.until) == (seen_at, utc("2027-12-31"))
    assert authority(told, NEW).trusted_by[0].since is None


def test_of_many_names_the_first_are_told_and_all_are_counted() -> None:
    told = Scene(targets=[gateway(BY_OLD), *fleet(99, "fw")], stores=[store("fw", OLD)]).map()

    dark = authority(told, OLD).if_removed.losses[0].dark
    assert dark.count == 99
    assert len(dark.first) == MOST_NAMES


def test_of_many_cas_those_stay_on_which_something_hangs() -> None:
    strange = frozenset(f"{number:064x}" for number in range(MOST_AUTHORITIES * 5))
    told = Scene(
        targets=[gateway(BY_OLD), device("a")],
        reported={"a": strange | {sha(OLD)}},
        certificates=[OLD],
    ).map()

    assert len(told.authorities) == MOST_AUTHORITIES
    assert told.left_out_count == len(strange) + 1 - MOST_AUTHORITIES
    assert told.authorities[0].fingerprint == sha(OLD)


def test_an_empty_fleet_has_an_empty_map() -> None:
    assert Scene(targets=[]).map() == TrustMap(at=NOW)


def test_the_map_survives_the_way_over_the_wire() -> None:
    told = typical().map()

    assert TrustMap.model_validate_json(told.model_dump_json()) == told


def test_the_same_facts_make_the_same_map() -> None:
    facts = typical().facts()

    assert trust_map(facts, Judge()) == trust_map(facts, Judge())
    assert {state.target.role for state in facts.targets.values()} == set(Role)
