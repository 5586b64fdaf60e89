"""The way back is kept known: real records, a gateway that does as a script says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.errors import StoreError
from exporter.gateway.api import GatewayError, GatewayReason
from exporter.journal import Kind, entries
from exporter.modes import Mode
from exporter.remediation.hands import Looked
from exporter.remediation.model import AlertState, Evidence
from exporter.remediation.options import Options
from exporter.remediation.records import Records
from exporter.remediation.stats import RemediationStats
from exporter.remediation.way_back import NotRehearsedError, WayBack
from exporter.store import Store
from tests.pki import Issued, make_ca, make_leaf
from tests.pki import certificate_of as certificate
from tests.remediation.cases import INCIDENT, NEW, NOW, connecting, with_previous
from tests.remediation.scripted import HastyClock, ScriptedApi, ScriptedHands, shifted

CA = make_ca("way back CA")
LEAF = make_leaf(CA, "gw.test")


def fingerprint(issued: Issued) -> str:
    return certificate(issued).fingerprint_sha256


WELL = with_previous(
    replace(INCIDENT, alert=AlertState.NONE, devices=(connecting(1), connecting(2))),
    fingerprint=fingerprint(LEAF),
)


class Stand:
    def __init__(self, path: Path) -> None:
        self.store = Store(f"sqlite:///{path}")
        self.clock = HastyClock(NOW)
        self.api = ScriptedApi(chain=(LEAF.pem + CA.pem).decode(), previous=fingerprint(LEAF))
        self.hands = ScriptedHands(self.api, self.clock, evidence=WELL)
        self.options = Options()
        self.gateways: set[str] = {"gw-1"}
        self.asked_for: set[str] = set()
        self.records = Records(self.store)
        self.stats = RemediationStats(lambda: self.options, self.clock)
        self.way_back = self.again()

    def again(self) -> WayBack:
        """Another one on the same store, as after a restart."""
        return WayBack(
            self.hands,
            self.records,
            self.clock,
            self.stats,
            options=lambda: self.options,
            evidence=self._evidence,
            gateways=lambda: self.gateways,
            is_asked_for=self.asked_for.__contains__,
        )

    async def _evidence(self, gateway: str) -> Evidence:
        return replace(shifted(self.hands.evidence, self.clock.now() - NOW), gateway=gateway)

    @property
    def lines(self) -> list[bytes]:
        return list(self.stats.lines_of("fleet_tls_remediation_rollback_ready"))


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    made = Stand(tmp_path / "state.db")
    await made.store.open()
    yield made
    await made.store.close()


async def test_the_previous_version_is_served_met_and_kept_in_the_journal(stand: Stand) -> None:
    await stand.way_back.check_all()

    assert stand.api.rehearsed == [(3, NEW)]  # only while that is served which was looked at
    assert stand.hands.met == [("127.0.0.1:8444", (fingerprint(LEAF), fingerprint(CA)))]
    assert stand.lines == [b'fleet_tls_remediation_rollback_ready{gateway="gw-1"} 1\n']
    async with stand.store.reading() as connection:
        (entry,) = await entries(connection, kinds=[Kind.REHEARSAL])
    assert entry.facts() == {
        "version": 3, "fingerprint": fingerprint(LEAF), "fault": "", "by": "",
    }  # fmt: skip


async def test_it_is_rehearsed_seldom_and_not_again_after_a_restart(stand: Stand) -> None:
    await stand.way_back.check_all()
    await stand.again().check_all()
    stand.clock.jump_wall(timedelta(hours=23))
    await stand.way_back.check_all()
    assert len(stand.api.rehearsed) == 1

    stand.clock.jump_wall(timedelta(hours=2))
    await stand.way_back.check_all()

    assert len(stand.api.rehearsed) == 2
    assert stand.stats.ready["gw-1"].is_ready


@pytest.mark.parametrize("is_met", [True, False])
async def test_what_could_not_be_rehearsed_is_not_ready_and_says_why(
    stand: Stand, is_met: bool
) -> None:
    if is_met:
        stand.hands.met_fault = "127.0.0.1:8444 as gw.test: the chain is another"
    else:
        stand.api.rehearsal_fault = GatewayError(
            GatewayReason.REFUSED, "this agent has no second port", retryable=False
        )

    await stand.way_back.check_all()

    told = stand.stats.ready["gw-1"]
    why = "the chain is another" if is_met else "this agent has no second port"
    assert not told.is_ready
    assert told.reason.endswith(why)
    assert stand.lines == [b'fleet_tls_remediation_rollback_ready{gateway="gw-1"} 0\n']


async def test_a_chain_that_the_api_does_not_tell_was_not_seen_whole(stand: Stand) -> None:
    stand.api.chain = ""

    await stand.way_back.check_all()

    assert "does not tell the chain" in stand.stats.ready["gw-1"].reason
    assert stand.hands.met == []


async def test_an_alert_is_not_kept_waiting_by_a_rehearsal(stand: Stand) -> None:
    stand.asked_for.add("gw-1")

    await stand.way_back.check_all()

    assert stand.api.rehearsed == []
    assert stand.stats.ready["gw-1"].reason == "version 3 was never served on the second port"


async def test_what_left_the_inventory_or_is_switched_off_is_not_known(stand: Stand) -> None:
    await stand.way_back.check_all()
    stand.gateways = {"gw-2"}
    await stand.way_back.check_all()
    assert list(stand.stats.ready) == ["gw-2"]

    stand.options = Options(mode=Mode.DISABLED)
    await stand.way_back.check_all()

    assert stand.lines == []


async def test_a_gateway_without_a_management_api_is_not_spoken_of(stand: Stand) -> None:
    stand.hands.has_api = False

    await stand.way_back.check_all()

    assert stand.lines == []
    with pytest.raises(NotRehearsedError, match="gw-1 is no gateway with a management API"):
        await stand.way_back.rehearse("gw-1", by="anna")


async def test_without_the_store_nothing_is_known_and_the_next_look_is_made(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: str) -> None:
        raise StoreError("the disk is full", retryable=True)

    await stand.way_back.check_all()
    with monkeypatch.context() as patched:
        patched.setattr(stand.records, "rehearsed", fail)
        await stand.way_back.check_all()
    assert stand.lines == []

    await stand.way_back.check_all()

    assert stand.stats.ready["gw-1"].is_ready


async def test_a_person_has_it_rehearsed_at_once(stand: Stand) -> None:
    await stand.way_back.check_all()

    told = await stand.way_back.rehearse("gw-1", by="anna: before the works")

    assert told.is_ready
    assert len(stand.api.rehearsed) == 2
    async with stand.store.reading() as connection:
        found = await entries(connection, kinds=[Kind.REHEARSAL])
    assert found[-1].facts()["by"] == "anna: before the works"


async def test_a_person_and_the_schedule_do_not_end_each_other_s_rehearsal(stand: Stand) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()
    met = stand.hands.meet

    async def slow(gateway: str, address: str, chain: Sequence[str], leaf: str) -> Looked:
        began.set()
        assert len(stand.api.rehearsed) == len(stand.hands.met) + 1  # nobody else's runs
        await may_end.wait()
        return await met(gateway, address, chain, leaf)

    stand.hands.meet = slow  # type: ignore[method-assign] # it only takes its time
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stand.way_back.check_all())
        await began.wait()
        asked = tasks.create_task(stand.way_back.rehearse("gw-1", by="anna"))
        for _ in range(20):
            await stand.clock.sleep(0)
        may_end.set()

    assert asked.result().is_ready
    assert len(stand.api.rehearsed) == 2


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (replace(WELL, is_killed=True), "the kill switch is on"),
        (replace(WELL, versions=None, versions_detail="no answer"), "no answer"),
        (
            replace(WELL, versions=replace(WELL.versions, previous=None)),  # type: ignore[type-var] # it is there
            "it has no earlier version that was served and proven",
        ),
    ],
    ids=["stopped", "API silent", "first version"],
)
async def test_a_person_is_told_why_nothing_is_rehearsed(
    stand: Stand, evidence: Evidence, why: str
) -> None:
    stand.hands.evidence = evidence

    with pytest.raises(NotRehearsedError, match=f"nothing is rehearsed on gw-1: {why}"):
        await stand.way_back.rehearse("gw-1", by="anna")

    assert stand.api.rehearsed == []
