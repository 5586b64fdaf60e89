"""Outages of which each must end in its own way: undone, escalated, or refused."""

import re
import shlex
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from exporter.clock import SystemClock
from tests.drill.guarded import GuardedFleet, Setting, Told
from tests.gateway.agent.shifted_clock import ShiftedClock


def _samples(family: str, labels: str, value: str) -> re.Pattern[str]:
    return re.compile(rf"^fleet_tls_{family}\{{[^}}]*{labels}[^}}]*\}} {value}$", re.MULTILINE)


_FAILING = _samples("device_failing", 'device="([^"]+)"', r"1(?:\.0)?")
_ACCEPTS = _samples("device_accepts_gateway", "", r"1(?:\.0)?")
_REPORTED = _samples("device_accepts_gateway", 'basis="reported"', r"1(?:\.0)?")
_HEARD = _samples("handshake_last_success_timestamp_seconds", 'device="dev-', r"\S+")
# What is left of a certificate that is over before anybody notices: of a clock that a test sets,
# and of one that has to be waited for
_LAST_MINUTES = timedelta(minutes=5)
_LAST_SECONDS = timedelta(seconds=20)
_JUST_BEFORE = timedelta(seconds=2)
_KNOWN_BY = {
    Told.LOGS: (_HEARD,),
    Told.REPORTS: (_HEARD, _REPORTED),
    Told.INVENTORY: (_HEARD, _ACCEPTS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """How a scenario must end.

    Attributes:
        ending: Of the action; empty: nothing is done.
        refusal: Holds, where nothing is done.
        beside: What may hold as well; nothing else does.
    """

    ending: str = ""
    refusal: str = ""
    beside: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One outage.

    Attributes:
        change: Of the usual setting.
        prepare: While all is well.
        force: Makes the outage; it begins with it.
        has_recovery: The devices' recovery is asked for after the rollback.
        meanwhile: Returns when all is as it will be after that.
        check: What else must be so when it is over; raises AssertionError.
    """

    name: str
    ends: Ends
    force: Callable[[GuardedFleet], Awaitable[None]]
    change: Callable[[Setting], Setting] = lambda setting: setting
    prepare: Callable[[GuardedFleet], Awaitable[None]] | None = None
    has_recovery: bool = False
    meanwhile: Callable[[GuardedFleet], Awaitable[None]] | None = None
    check: Callable[[GuardedFleet, dict[str, Any]], Awaitable[None]] | None = None


# What is done and seen in several


async def until_known(fleet: GuardedFleet) -> None:
    """Return when the service knows of every device what its setting lets it know.

    Of each also a full handshake: a log is read from its end, so what devices did before that is
    lost on it, and a decision asks who connected before the change.
    """
    count = fleet.setting.count

    async def is_known() -> bool:
        text = await fleet.metrics()
        return all(len(one.findall(text)) == count for one in _KNOWN_BY[fleet.setting.told])

    await fleet.until(is_known, "what the devices trust, and all of them in the log")


async def until_all_are_refused(fleet: GuardedFleet) -> None:
    """Return when all devices refuse the gateway, and the service has read so."""
    began_at, count = SystemClock().now(), fleet.setting.count
    await fleet.until(lambda: len(fleet.refused(began_at)) == count, "all devices to be out")

    async def is_read() -> bool:
        return len(set(_FAILING.findall(await fleet.metrics()))) == count

    await fleet.until(is_read, "the service to know it")


async def ended(fleet: GuardedFleet) -> dict[str, Any] | None:
    """The journal's entry of how the action ended."""
    return next(iter(await fleet.journal("outcome")), None)


async def refused_for(fleet: GuardedFleet, ends: Ends, since: datetime) -> dict[str, Any] | None:
    """The decision that holds what it must and nothing else, made since then."""
    for entry in reversed(await fleet.journal("decision")):
        if datetime.fromisoformat(entry["at"]) < since:
            continue
        told: dict[str, Any] = await fleet.remediation(f"/decisions/{entry['number']}")
        held = set(told["refusals"])
        if ends.refusal in held and held <= {ends.refusal, *ends.beside}:
            return told
    return None


# A rotation to what nobody trusts, as in the incident


async def _force(fleet: GuardedFleet) -> None:
    await fleet.rotate_to_what_nobody_trusts()
    await until_all_are_refused(fleet)


async def _all_are_back(fleet: GuardedFleet, entry: dict[str, Any]) -> None:
    """By their own word, some of which may come a moment after that of the log."""
    served_at, count = await served_since(fleet), fleet.setting.count
    await fleet.until(lambda: len(fleet.connected(served_at)) == count, "all to be back")


async def served_since(fleet: GuardedFleet) -> datetime:
    """Since when the previous certificate was proved to be served."""
    stages = [
        entry
        for entry in await fleet.journal("attempt")
        if entry["facts"].get("stage") == "served"
    ]
    return datetime.fromisoformat(stages[0]["at"])


async def _decided_by_handshakes(fleet: GuardedFleet, entry: dict[str, Any]) -> None:
    await _all_are_back(fleet, entry)
    decisions = await fleet.journal("decision")
    (number,) = [one["number"] for one in decisions if one["facts"]["outcome"] == "rollback"]
    evidence = (await fleet.remediation(f"/decisions/{number}"))["evidence"]["evidence"]
    bases = {one["accepts_previous"]["basis"] for one in evidence["devices"]}
    assert bases == {"handshake"}, bases


# The devices do not come back


async def _lose_all(fleet: GuardedFleet) -> None:
    await _force(fleet)
    fleet.lose_anchors()


async def _lose_all_and_one_is_off(fleet: GuardedFleet) -> None:
    await _lose_all(fleet)
    fleet.switch_off("dev-01")


def out_for_good(fleet: GuardedFleet) -> set[str]:
    """Who cannot be reached: one that is off, and those without another way in."""
    return {"dev-01", *(one.name for one in fleet.devices if not one.has_fallback)}


async def _reachable_are_back(fleet: GuardedFleet) -> None:
    served_at = await served_since(fleet)
    reachable = {one.name for one in fleet.devices} - out_for_good(fleet)
    await fleet.until(lambda: fleet.connected(served_at) >= reachable, "those with a way in")


async def _others_are_told(fleet: GuardedFleet, entry: dict[str, Any]) -> None:
    facts = entry["facts"]
    out = out_for_good(fleet)
    assert out <= set(facts["out"]), facts
    names = {one.name for one in fleet.devices}
    without = {one.name for one in fleet.devices if not one.has_fallback}
    assert set(facts["recovery"]["rejected"]) == without, facts
    assert set(facts["recovery"]["accepted"]) == names - without, facts
    assert all(device in facts["detail"] for device in facts["out"][:3]), facts
    await _check_command(fleet, facts["detail"])


async def _check_command(fleet: GuardedFleet, detail: str) -> None:
    """The command that a person is told works as it stands, once the files have these names."""
    command = shlex.split(detail[detail.index("fleet-tls-exporter recovery-bundle") :])
    folder = fleet.layout.directory / "person"
    folder.mkdir()
    csr = (await fleet.call("/gateway/certificates/csr", {}))["csr"]
    (folder / command[command.index("--csr") + 1]).write_text(csr)
    for option, suffix in (("--ca", ".pem"), ("--ca-key", ".key")):
        name = command[command.index(option) + 1]
        (folder / name).write_bytes((fleet.layout.pki / f"old-ca{suffix}").read_bytes())
    done = subprocess.run(  # noqa: ASYNC221 - nothing else is under way
        [sys.executable, "-m", "exporter", *command[1:]],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (folder / command[command.index("--output") + 1] / "README.md").exists()


# Where going back would be worse


async def _take_the_old_ca_away(fleet: GuardedFleet) -> None:
    """A rotation that was finished: both trusted, the new one served, the old one removed."""
    authorities = fleet.authorities
    await fleet.update_trust("ADD", authorities.new_ca)
    await fleet.rotate(authorities.new_intermediate, "strict")
    rotated_at, count = SystemClock().now(), fleet.setting.count
    await fleet.until(lambda: len(fleet.connected(rotated_at)) == count, "all on the new one")
    await fleet.update_trust("REMOVE", authorities.old_ca)
    await fleet.until_missing(authorities.old_ca)


async def _lose_the_new_one(fleet: GuardedFleet) -> None:
    fleet.lose_anchors()
    await until_all_are_refused(fleet)


async def _a_person_is_refused_too(fleet: GuardedFleet, entry: dict[str, Any]) -> None:
    """Also one who would pass it."""
    told = await fleet.want_rollback(act=True)
    assert told["outcome"] == "refused", told
    assert not await fleet.journal("intent")


async def _force_from_one_that_expires(fleet: GuardedFleet) -> None:
    """All connect on a certificate at its end; it is over before anybody notices."""
    clock, count = fleet.clock, fleet.setting.count
    lasts = _LAST_MINUTES if isinstance(clock, ShiftedClock) else _LAST_SECONDS
    ends_at = clock.now().replace(microsecond=0) + lasts
    await fleet.rotate(fleet.authorities.old_intermediate, not_after=ends_at)
    served_at = SystemClock().now()
    await fleet.until(lambda: len(fleet.connected(served_at)) == count, "all on the last one")
    if isinstance(clock, ShiftedClock):
        await _force(fleet)
        clock.shift((ends_at - clock.now()).total_seconds() + 1)
    else:
        await _sleep_until(ends_at - _JUST_BEFORE)
        await _force(fleet)
        await _sleep_until(ends_at)


async def _sleep_until(moment: datetime) -> None:
    clock = SystemClock()
    await clock.sleep(max(0.0, (moment - clock.now()).total_seconds()))


async def _nothing_to_go_back_to(fleet: GuardedFleet, entry: dict[str, Any]) -> None:
    """It is over, also for a person; who is told the command that works."""
    previous = entry["evidence"]["evidence"]["versions"]["previous"]
    over_at, at = (datetime.fromisoformat(told) for told in (previous["not_after"], entry["at"]))
    assert over_at < at, (over_at, at)
    assert f"version {previous['number']} ended at " in entry["sentence"], entry["sentence"]
    await _a_person_is_refused_too(fleet, entry)
    await _check_command(fleet, entry["sentence"])


def _clock_may_be_set(setting: Setting) -> Setting:
    """An API's answers have the machine's own time, whatever time a test has set."""
    return replace(setting, limits={**setting.limits, "max_clock_offset": "10m"})


def _ends_within_a_day(setting: Setting) -> Setting:
    return replace(setting, lasts=timedelta(hours=12))


SCENARIOS = {
    one.name: one
    for one in (
        Scenario(name="undone", ends=Ends(ending="recovered"), force=_force, check=_all_are_back),
        Scenario(
            name="logs-only",
            ends=Ends(ending="recovered"),
            change=lambda setting: replace(setting, told=Told.LOGS),
            force=_force,
            check=_decided_by_handshakes,
        ),
        Scenario(
            name="recovered",
            ends=Ends(ending="recovered"),
            change=lambda setting: replace(setting, told=Told.REPORTS, count=5),
            force=_lose_all,
            has_recovery=True,
            check=_all_are_back,
        ),
        Scenario(
            name="not-back",
            ends=Ends(ending="not_back"),
            change=lambda setting: replace(setting, told=Told.REPORTS),
            force=_lose_all_and_one_is_off,
            has_recovery=True,
            meanwhile=_reachable_are_back,
            check=_others_are_told,
        ),
        Scenario(
            name="previous-ends-today",
            ends=Ends(refusal="previous_expired"),
            change=_ends_within_a_day,
            force=_force,
            check=_a_person_is_refused_too,
        ),
        Scenario(
            name="previous-expired",
            # What has expired is accepted by nobody either
            ends=Ends(refusal="previous_expired", beside=frozenset({"no_gain"})),
            change=_clock_may_be_set,
            force=_force_from_one_that_expires,
            check=_nothing_to_go_back_to,
        ),
        Scenario(
            name="old-ca-removed",
            # The second where somebody is known to take that CA away
            ends=Ends(refusal="no_gain", beside=frozenset({"removes_in_flight"})),
            change=lambda setting: replace(setting, told=Told.REPORTS),
            prepare=_take_the_old_ca_away,
            force=_lose_the_new_one,
            check=_a_person_is_refused_too,
        ),
    )
}


@dataclass(slots=True, kw_only=True)
class Course:
    """A scenario as it runs, and what the gateway was when it began."""

    scenario: Scenario
    fleet: GuardedFleet
    began_at: datetime
    before: object = None

    async def begin(self) -> None:
        """Make the outage; return when all devices are out, and the service knows."""
        self.began_at = self.fleet.clock.now()
        await self.scenario.force(self.fleet)
        self.before = await self._gateway()

    async def _gateway(self) -> object:
        return self.fleet.on_disk(), await self.fleet.served()

    async def end(self) -> dict[str, Any] | None:
        """The entry or the decision that it ended with; None: it is not over yet."""
        ends, fleet = self.scenario.ends, self.fleet
        if ends.ending:
            return await ended(fleet)
        return await refused_for(fleet, ends, self.began_at)

    async def check(self, entry: dict[str, Any]) -> None:
        """Raise AssertionError when it did not end as it must."""
        ends = self.scenario.ends
        if ends.ending:
            assert entry["facts"]["ending"] == ends.ending, entry
        if self.scenario.check is not None:
            await self.scenario.check(self.fleet, entry)
        if ends.refusal:
            assert await self._gateway() == self.before, "the gateway was changed"

    def told(self, entry: dict[str, Any]) -> str:
        """What a person is told of it."""
        facts = entry.get("facts", {})
        return str(entry.get("sentence") or f"{facts['ending']}: {facts['detail']}")
