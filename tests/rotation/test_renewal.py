"""Renewals under the same CA: when they are due, started, tried again, and left to persons."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from exporter.certificates import Certificate
from exporter.gateway.api import GatewayError, GatewayReason
from exporter.modes import Mode
from exporter.renewing import BY, Renewals
from exporter.rotation.model import Facts, GatewayMark, Marks, Phase
from exporter.rotation.options import Options
from exporter.rotation.planning import PlanError, Wish
from exporter.rotation.records import Records, Rotation
from exporter.rotation.renewal import (
    RenewalState,
    again_at,
    due_at,
    expiring,
    is_stuck,
    most_at_once,
)
from exporter.rotation.rotate import Rotator
from exporter.rotation.words import RotationError
from exporter.rotation_hands import RotationHands
from exporter.store import Store
from tests.fake_clock import FakeClock
from tests.pki import certificate_of, make_leaf
from tests.rotation.cases import RENEWAL, candidate
from tests.rotation.scripted import NEW, NEW_CA, NEW_PEM, START, ScriptedFleet

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
OPTIONS = Options()


def leaf(*, days: float, name: str = "gw", begun: timedelta = timedelta(0)) -> Certificate:
    begin = START - begun
    made = make_leaf(NEW, name, not_before=begin, not_after=begin + timedelta(days=days))
    return certificate_of(made)


@pytest.mark.parametrize(
    ("days", "least", "most"),
    [(89, 0.61, 0.67), (11, 0.61, 0.67), (10, 0.44, 0.5), (1, 0.44, 0.5)],
)
def test_it_is_due_at_two_thirds_of_its_life_or_at_half_of_a_short_one(
    days: int, least: float, most: float
) -> None:
    at = due_at(leaf(days=days), "gw-1", options=OPTIONS)

    assert at is not None
    assert least <= (at - START) / timedelta(days=days) <= most


def test_a_certificate_of_ninety_days_or_more_is_for_persons() -> None:
    assert due_at(leaf(days=90), "gw-1", options=OPTIONS) is None
    assert due_at(leaf(days=30), "gw-1", options=Options(renewal_below=0.0)) is None


def test_a_fleet_is_not_renewed_in_one_moment() -> None:
    made = leaf(days=30)

    moments = {due_at(made, f"gw-{n}", options=OPTIONS) for n in range(50)}

    assert len(moments) == 50
    assert due_at(made, "gw-1", options=OPTIONS) in moments


def test_it_is_tried_again_after_an_hour_and_then_up_to_thirty_two() -> None:
    put_back = Marks(gateways={"gw-1": GatewayMark(candidate="c", rolled_back_at=START)})

    pauses = [
        again_at(RENEWAL, replace(put_back, resumed_count=n), started_at=START - DAY) - START
        for n in range(7)
    ]

    assert pauses == [HOUR * factor for factor in (1, 2, 4, 8, 16, 32, 32)]


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        (GatewayMark(tries=3), True),
        (GatewayMark(tries=2), False),
        (GatewayMark(tries=3, candidate=candidate("gw-1")), False),
        (GatewayMark(rolled_back_at=START), True),
    ],
)
def test_what_failed_too_often_or_was_put_back_is_stuck(mark: GatewayMark, expected: bool) -> None:
    assert is_stuck(RENEWAL, Marks(gateways={"gw-1": mark})) is expected


def test_a_tenth_of_the_gateways_are_renewed_at_once() -> None:
    assert [most_at_once(n, OPTIONS) for n in (1, 9, 20, 200)] == [1, 1, 2, 20]


def test_devices_certificates_that_end_soon_are_told_the_first_first() -> None:
    ends = {"a": (START + 40 * DAY).timestamp(), "b": (START + 9 * DAY).timestamp(),
            "c": (START - DAY).timestamp()}  # fmt: skip

    assert list(expiring(ends, now=START, within_s=30 * 86_400.0)) == ["c", "b"]


class Fleet(ScriptedFleet):
    """Gateways whose certificates live for thirty days, by a CA that all devices trust."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, gateways=3, each=1)
        self.lives: dict[str, Certificate] = {
            name: leaf(days=30, name=name, begun=21 * DAY) for name in self.gateways
        }
        self.is_unplannable = False
        for name, gateway in self.gateways.items():
            gateway.before = gateway.serving = self.lives[name].fingerprint_sha256
        for device in self.devices.values():
            device.store.add(NEW_CA)

    async def facts(self, rotation: Rotation) -> Facts:
        found = await super().facts(rotation)
        planned = {one.name for one in rotation.plan.gateways}
        devices = {name: one for name, one in found.devices.items() if one.gateway in planned}
        return replace(found, devices=devices)

    def leaves(self) -> Mapping[str, Certificate]:
        return self.lives

    async def plan(self, wish: Wish) -> Rotation:
        if self.is_unplannable:
            raise PlanError("which CA it is by is not known")
        plan = replace(
            self.rotation.plan,
            id=f"renewal-{wish.gateways[0]}",
            old_ca=NEW_CA,
            gateways=tuple(
                replace(one, is_canary=True)
                for one in self.rotation.plan.gateways
                if one.name in wish.gateways
            ),
        )
        return replace(self.rotation, plan=plan, old_pem=NEW_PEM)


class Stand:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock(START)
        self.fleet = Fleet(self.clock)
        self.store = Store(f"sqlite:///{folder / 'state.db'}")
        self.records = Records(self.store)
        self.options = Options(mode=Mode.ACT)
        self.rotator = Rotator(self.records, self.fleet, self.clock, options=lambda: self.options)
        self.renewals = Renewals(
            self.rotator, self.records, cast(RotationHands, self.fleet), self.clock,
            options=lambda: self.options,
        )  # fmt: skip

    async def tick(self) -> list[str]:
        """A look of both; the names of the rotations that are open then."""
        await self.renewals.tick()
        await self.rotator.tick()
        return [one.plan.id for one in await self.records.open()]

    def state(self, gateway: str) -> RenewalState:
        return self.renewals.found[gateway].state


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    made = Stand(tmp_path)
    await made.store.open()
    yield made
    await made.store.close()


async def test_nothing_is_renewed_but_told_in_dry_run(stand: Stand) -> None:
    stand.options = Options(mode=Mode.DRY_RUN)

    assert await stand.tick() == []
    assert stand.state("gw-01") is RenewalState.DUE


async def test_certificates_are_renewed_one_after_the_other_without_a_person(
    stand: Stand,
) -> None:
    began = await stand.tick()
    seen = stand.rotator.seen["renewal-gw-01"]
    at_once = 0
    for _ in range(20):
        await stand.fleet.pass_time(HOUR)
        for name, gateway in stand.fleet.gateways.items():
            if gateway.serving == gateway.candidate_leaf:
                stand.fleet.lives[name] = leaf(days=30, name=name)
        at_once = max(at_once, len(await stand.tick()))

    assert (began, at_once) == (["renewal-gw-01"], 1)
    assert seen.rotation.marks.is_automatic
    assert {one.serving for one in stand.fleet.gateways.values()} == {
        one.candidate_leaf for one in stand.fleet.gateways.values()
    }
    assert not stand.fleet.dark
    assert {seen.phase for seen in stand.rotator.seen.values()} == {Phase.DONE}


async def test_what_made_one_fail_begins_no_other_and_is_tried_again_later(stand: Stand) -> None:
    is_down = True

    def fault(what: str) -> None:
        if is_down and what == "sign":
            raise GatewayError(GatewayReason.FAILED, "the signer is down", retryable=False)

    stand.fleet.fault = fault
    for _ in range(8):
        await stand.tick()
        await stand.clock.advance(1_800)
    stuck = [one.plan.id for one in await stand.records.open()]
    is_down = False
    for _ in range(12):
        await stand.tick()
        await stand.fleet.pass_time(HOUR)

    assert stuck == ["renewal-gw-01"]
    assert stand.fleet.gateways["gw-01"].serving == stand.fleet.gateways["gw-01"].candidate_leaf


async def test_what_a_person_ended_is_left_to_persons(stand: Stand) -> None:
    await stand.tick()

    await stand.rotator.abort("renewal-gw-01", by="anna", reason="not now")
    await stand.tick()
    after = await stand.tick()

    assert stand.state("gw-01") is RenewalState.STOPPED
    assert after == ["renewal-gw-02"]


async def test_a_device_that_is_not_seen_keeps_no_gateway_from_its_next_renewal(
    stand: Stand,
) -> None:
    stand.fleet.lives = {"gw-01": stand.fleet.lives["gw-01"]}
    stand.fleet.devices["dead"] = replace(
        stand.fleet.devices["gw-01-dev-0"], name="dead", by_ticket_only=True
    )
    for _ in range(4):
        await stand.tick()
        await stand.fleet.pass_time(HOUR)
    waiting = await stand.tick()
    gateway = stand.fleet.gateways["gw-01"]
    # The same leaf, grown old
    stand.fleet.lives["gw-01"] = replace(
        leaf(days=30, begun=25 * DAY), fingerprint_sha256=gateway.candidate_leaf
    )

    await stand.renewals.tick()

    assert waiting == ["renewal-gw-01"]
    assert await stand.records.open() == []
    assert stand.rotator.seen["renewal-gw-01"].phase is Phase.DONE


async def test_what_is_not_kept_yet_is_not_closed(stand: Stand) -> None:
    await stand.tick()

    with pytest.raises(RotationError, match="no renewal whose chain is kept"):
        await stand.rotator.close("renewal-gw-01", by=BY)


async def test_why_one_cannot_be_begun_is_told(stand: Stand) -> None:
    stand.fleet.is_unplannable = True

    assert await stand.tick() == []
    assert stand.renewals.faults["gw-01"] == "which CA it is by is not known"
