"""Predictions by what devices reported, and of chains that are not served yet."""

from collections.abc import Mapping

from exporter.anchors import Profile, TrustStore, trust_store
from exporter.fleet import Acceptance, Basis, Fleet
from exporter.fleet.held import Holdings
from exporter.metrics.rows import Rows
from exporter.observations import Reason
from exporter.targets.model import Target
from tests.fake_clock import FakeClock
from tests.fleet.stand import (
    NEW,
    OLD,
    STORES,
    SimpleJudge,
    certificate,
    device,
    gateway,
    inventory,
    look,
    make_fleet,
    silence,
    state_of,
)

GW = gateway()
OLD_CA, NEW_CA = OLD.anchors[0].fingerprint_sha256, NEW.anchors[0].fingerprint_sha256
STRANGE_CA = certificate("strange CA", "strange CA")
STRANGE = STRANGE_CA.fingerprint_sha256
NEW_CHAIN = (certificate(issuer="new CA"),)


def seen_fleet(clock: FakeClock, *devices: Target) -> tuple[Fleet, SimpleJudge]:
    fleet, judge = make_fleet(clock, GW, *devices)
    fleet.record(look(GW, clock))
    return fleet, judge


def told(fleet: Fleet) -> Mapping[str, tuple[Basis, bool | None]]:
    acceptances = fleet.snapshot().acceptances
    return {name: (one.basis, one.accepts) for name, one in acceptances.items()}


def report(fleet: Fleet, **anchors: set[str]) -> None:
    fleet.use_reports({name.replace("_", "-"): frozenset(of) for name, of in anchors.items()}, {})


def test_a_report_goes_before_the_inventory() -> None:
    fleet, _ = seen_fleet(FakeClock(), device("dev-01"), device("dev-02"))

    report(fleet, dev_01={NEW_CA})

    assert told(fleet) == {
        "dev-01": (Basis.REPORTED, False),
        "dev-02": (Basis.INVENTORY, True),
    }


def test_a_report_that_is_gone_leaves_the_inventory() -> None:
    fleet, _ = seen_fleet(FakeClock(), device("dev-01"), device("dev-02"))
    report(fleet, dev_01={NEW_CA})

    report(fleet)

    assert told(fleet) == dict.fromkeys(["dev-01", "dev-02"], (Basis.INVENTORY, True))


def test_a_device_that_trusts_nothing_accepts_nothing() -> None:
    fleet, _ = seen_fleet(FakeClock(), device("dev-01"))

    report(fleet, dev_01=set())

    assert told(fleet) == {"dev-01": (Basis.REPORTED, False)}


def test_a_report_tells_also_of_a_device_that_the_inventory_knows_nothing_of() -> None:
    fleet, _ = seen_fleet(FakeClock(), device("dev-01", holds=()))

    report(fleet, dev_01={OLD_CA})

    assert told(fleet) == {"dev-01": (Basis.REPORTED, True)}


def test_a_refusal_is_unknown_where_only_the_hash_of_an_anchor_is() -> None:
    fleet, _ = seen_fleet(FakeClock(), device("dev-01"), device("dev-02"))

    report(fleet, dev_01={NEW_CA, STRANGE}, dev_02={OLD_CA, STRANGE})

    assert told(fleet) == {"dev-01": (Basis.REPORTED, None), "dev-02": (Basis.REPORTED, True)}


def test_what_is_not_known_is_not_in_the_metrics() -> None:
    fleet, _ = seen_fleet(FakeClock(), device("dev-01"))
    rows = Rows()
    fleet.watch(rows)
    shown = rows.columns["fleet_tls_device_accepts_gateway"]
    assert shown.series_count == 1

    report(fleet, dev_01={STRANGE})

    assert shown.series_count == 0


def test_the_certificate_of_an_anchor_makes_a_refusal_known() -> None:
    fleet, _ = seen_fleet(FakeClock(), device("dev-01"))

    fleet.use_reports({"dev-01": frozenset({STRANGE})}, {STRANGE: STRANGE_CA})

    assert told(fleet) == {"dev-01": (Basis.REPORTED, False)}


def test_an_anchor_that_is_served_somewhere_is_recognized() -> None:
    clock = FakeClock()
    other = gateway("gw-2")
    fleet, _ = make_fleet(clock, GW, other, device("dev-01"))
    fleet.record(look(GW, clock))
    report(fleet, dev_01={STRANGE})

    fleet.record(look(other, clock, chain=(certificate("gw-2.example"), STRANGE_CA)))

    assert told(fleet) == {"dev-01": (Basis.REPORTED, False)}


def test_a_store_that_is_loaded_later_makes_a_refusal_known() -> None:
    fleet, _ = seen_fleet(FakeClock(), device("dev-01"))
    report(fleet, dev_01={STRANGE})
    assert told(fleet) == {"dev-01": (Basis.REPORTED, None)}

    strange = TrustStore(name="strange", anchors=(STRANGE_CA,), digest=STRANGE)
    fleet.use(inventory(GW, device("dev-01")), {**STORES, "strange": strange})

    assert told(fleet) == {"dev-01": (Basis.REPORTED, False)}


def test_each_distinct_store_is_judged_once_for_each_chain() -> None:
    clock = FakeClock()
    devices = [device(f"dev-{number:02}") for number in range(18)]
    fleet, judge = seen_fleet(clock, *devices)
    judge.judged.clear()

    everybody = {one.name: frozenset({OLD_CA, NEW_CA}) for one in devices[:17]}
    fleet.use_reports(everybody | {"dev-17": frozenset({NEW_CA})}, {})
    fleet.use_reports(everybody | {"dev-17": frozenset({NEW_CA})}, {})

    assert [name for name, _ in judge.judged] == ["reported", "reported"]


def test_the_outage_is_seen_by_what_was_reported() -> None:
    clock = FakeClock()
    devices = [device(f"dev-{number:02}", holds=("fw-2",)) for number in range(18)]
    fleet, _ = seen_fleet(clock, *devices)
    fleet.use_reports({one.name: frozenset({OLD_CA}) for one in devices}, {})

    fleet.record(look(GW, clock, chain=NEW_CHAIN))

    assert set(told(fleet).values()) == {(Basis.REPORTED, False)}
    assert len(told(fleet)) == 18


def test_predictions_by_reports_vanish_with_the_gateways_chain() -> None:
    clock = FakeClock()
    fleet, _ = seen_fleet(clock, device("dev-01"))
    report(fleet, dev_01={OLD_CA})

    for _ in range(3):
        fleet.record(silence(GW, clock))

    assert told(fleet) == {}
    fleet.record(look(GW, clock))
    assert told(fleet) == {"dev-01": (Basis.REPORTED, True)}


def test_reports_outlast_a_reload() -> None:
    fleet, _ = seen_fleet(FakeClock(), device("dev-01"))
    report(fleet, dev_01={NEW_CA})
    before = state_of(fleet, "dev-01").acceptance

    fleet.use(inventory(GW, device("dev-01"), device("dev-02")), STORES)

    assert state_of(fleet, "dev-01").acceptance is before
    assert told(fleet)["dev-02"] == (Basis.INVENTORY, True)


def test_the_same_reports_again_change_no_state() -> None:
    fleet, _ = seen_fleet(FakeClock(), device("dev-01"))
    report(fleet, dev_01={OLD_CA})
    before = state_of(fleet, "dev-01")

    report(fleet, dev_01={OLD_CA})

    assert state_of(fleet, "dev-01") is before


def answers(
    found: Mapping[str, Acceptance | None],
) -> Mapping[str, tuple[Basis, bool | None] | None]:
    return {name: (one.basis, one.accepts) if one else None for name, one in found.items()}


def test_a_candidate_is_judged_for_each_device_by_name() -> None:
    clock = FakeClock()
    fleet, _ = seen_fleet(
        clock,
        device("dev-01"),
        device("dev-02"),
        device("dev-03", holds=("fw-2",)),
        device("dev-04", holds=()),
        device("dev-05"),
        device("elsewhere", gateway="gw-2"),
        device("nowhere", gateway=None),
    )
    report(fleet, dev_01={OLD_CA}, dev_02={OLD_CA, NEW_CA}, dev_05={STRANGE})

    found = fleet.would_accept(NEW_CHAIN, name=None, at=clock.now(), gateway="gw-1")

    assert answers(found) == {
        "dev-01": (Basis.REPORTED, False),
        "dev-02": (Basis.REPORTED, True),
        "dev-03": (Basis.INVENTORY, True),
        "dev-04": None,
        "dev-05": (Basis.REPORTED, None),
    }
    assert "elsewhere" in fleet.would_accept(NEW_CHAIN, name=None, at=clock.now())


def test_a_candidate_is_judged_also_while_the_gateway_is_silent() -> None:
    clock = FakeClock()
    fleet, _ = make_fleet(clock, GW, device("dev-01"))

    found = fleet.would_accept((certificate(),), name="wrong.example", at=clock.now())

    assert found["dev-01"] is not None
    assert found["dev-01"].verdict.reasons == (Reason.HOSTNAME_MISMATCH,)


def test_without_a_chain_nothing_is_known() -> None:
    clock = FakeClock()
    fleet, _ = seen_fleet(clock, device("dev-01"))

    assert fleet.would_accept((), name=None, at=clock.now()) == {"dev-01": None}


def test_a_reported_store_judges_as_strictly_as_the_devices_firmware() -> None:
    strict = trust_store("strict", OLD.anchors, profile=Profile.STRICT)
    holdings = Holdings(
        stores={"strict": strict},
        reported={"dev-01": frozenset({OLD_CA}), "dev-02": frozenset({OLD_CA})},
        certificates={OLD_CA: OLD.anchors[0]},
    )

    held, loose = (
        holdings.of(device("dev-01", holds=("strict",))),
        holdings.of(device("dev-02", holds=())),
    )

    assert held is not None
    assert loose is not None
    assert (held.store.profile, loose.store.profile) == (Profile.STRICT, Profile.NORMAL)
