"""The fleet with the real judge and real certificates: the case it all began with."""

from datetime import timedelta

import pytest

from exporter.anchors import TrustStore, trust_store
from exporter.fleet import Fleet
from exporter.metrics.exposition import Exposition
from exporter.observations import Reason
from exporter.targets.model import Target
from exporter.verdicts.cache import Judge
from tests.fake_clock import FakeClock
from tests.fleet.stand import device, gateway, inventory, look
from tests.metrics.reading import joined, series_of, values
from tests.pki import Issued, certificate_of, make_ca, make_leaf

CLOCK_AT = FakeClock().now()
BEGIN, END = CLOCK_AT - timedelta(days=1), CLOCK_AT + timedelta(days=30)
OLD_CA, NEW_CA = (
    make_ca(name, not_before=BEGIN, not_after=END + timedelta(days=900)) for name in ("old", "new")
)
MIDDLE = make_ca("middle", issuer=OLD_CA, not_before=BEGIN, not_after=END + timedelta(days=9))
GW = gateway(server_name="gw-1.example", trust_stores=("fw-1", "fw-2"))
DEVICES = [device(f"dev-{number:02}") for number in range(18)]
UPDATED = device("dev-new", holds=("fw-1", "fw-2"))


def leaf(issuer: Issued, name: str = "gw-1.example") -> Issued:
    return make_leaf(issuer, name, not_before=BEGIN, not_after=END)


def stores() -> dict[str, TrustStore]:
    return {
        "fw-1": trust_store("fw-1", [certificate_of(OLD_CA)]),
        "fw-2": trust_store("fw-2", [certificate_of(NEW_CA)]),
    }


class Stand:
    def __init__(self, *targets: Target) -> None:
        self.clock = FakeClock()
        self.fleet = Fleet(Judge(), self.clock)
        self.fleet.use(inventory(*targets), stores())
        self.exposition = Exposition(self.fleet, self.clock)

    def serve(self, *chain: Issued) -> None:
        sent = tuple(certificate_of(issued) for issued in chain)
        self.fleet.record(look(GW, self.clock, chain=sent))

    def shown(self, name: str, *keys: str) -> dict[tuple[str, ...] | str, float]:
        text = joined(self.exposition.render(openmetrics=False))
        return values(series_of(text), name, *keys)


def test_a_rotation_to_a_ca_that_the_devices_do_not_trust() -> None:
    stand = Stand(GW, *DEVICES, UPDATED)
    stand.serve(leaf(OLD_CA))
    assert set(stand.shown("device_accepts_gateway", "device").values()) == {1}

    stand.serve(leaf(NEW_CA))

    accepts = stand.shown("device_accepts_gateway", "device")
    assert accepts == {**{one.name: 0 for one in DEVICES}, "dev-new": 1}
    assert stand.shown("chain_verified", "trust_store") == {"fw-1": 0, "fw-2": 1}
    assert stand.shown("chain_problem", "trust_store", "reason") == {("fw-1", "unknown_ca"): 1}
    assert stand.shown("certificate_not_after_timestamp_seconds", "position") == {
        "0": END.timestamp()
    }
    assert stand.shown("chain_not_after_timestamp_seconds", "trust_store") == {
        "fw-2": END.timestamp()
    }


async def test_the_end_of_the_leaf_changes_the_verdicts_between_two_looks() -> None:
    stand = Stand(GW, DEVICES[0])
    stand.serve(leaf(OLD_CA))

    stand.clock.jump_wall(timedelta(days=30, seconds=2))
    while stand.fleet.judge_due():
        pass

    problems = stand.shown("chain_problem", "trust_store", "reason")
    assert problems == {
        ("fw-1", "expired"): 1,
        ("fw-2", "unknown_ca"): 1,
        ("fw-2", "expired"): 1,
    }
    assert stand.shown("device_accepts_gateway", "device") == {"dev-00": 0}


def test_an_intermediate_that_was_seen_once_tells_a_missing_one_from_an_unknown_ca() -> None:
    stand = Stand(GW, DEVICES[0])
    stand.serve(leaf(MIDDLE))
    before = stand.shown("chain_problem", "trust_store", "reason")
    stand.serve(leaf(MIDDLE), MIDDLE)

    stand.serve(leaf(MIDDLE))

    after = stand.shown("chain_problem", "trust_store", "reason")
    assert ("fw-1", str(Reason.UNKNOWN_CA)) in before
    assert ("fw-1", str(Reason.CHAIN_INCOMPLETE)) in after
    assert ("fw-2", str(Reason.UNKNOWN_CA)) in after


@pytest.mark.parametrize("rounds", [2, 5])
def test_looks_at_an_unchanged_chain_make_no_new_verdict(rounds: int) -> None:
    judge = Judge()
    clock = FakeClock()
    fleet = Fleet(judge, clock)
    fleet.use(inventory(GW, *DEVICES, UPDATED), stores())
    sent = (certificate_of(leaf(OLD_CA)),)

    states = [fleet.record(look(GW, clock, chain=sent)) for _ in range(rounds)]

    # two stores of the gateway; of the devices' stores one is the same, the updated one has both
    assert judge.miss_count == 3
    first = states[0]
    assert first is not None
    assert all(state is not None and state.verdicts is first.verdicts for state in states)
