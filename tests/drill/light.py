"""One outage without Prometheus and Alertmanager; TLS, HTTP, agent and service are real."""

from datetime import timedelta
from pathlib import Path

from tests.drill.guarded import GuardedFleet, Setting
from tests.drill.scenarios import Course, Scenario, until_known
from tests.drill.standing import light_fleet
from tests.gateway.agent.shifted_clock import ShiftedClock

SETTING = Setting(count=6, interval="1s", contact_s=0.5)
# The defaults of ``remediation``, and a little
_AGAIN_S = 2.0
_FIRST_BACK = timedelta(minutes=10, seconds=1)
_BACK = timedelta(hours=1, seconds=1)


async def run_light(directory: Path, scenario: Scenario) -> None:
    """Let it happen and end; waits of minutes are over at once.

    Raises:
        AssertionError: it did not end as it must.
    """
    async with light_fleet(directory, scenario.change(SETTING)) as fleet:
        await until_known(fleet)
        if scenario.prepare is not None:
            await scenario.prepare(fleet)
        course = Course(scenario=scenario, fleet=fleet, began_at=fleet.clock.now())
        await course.begin()
        await _asked(course)
        if scenario.has_recovery:
            await _until_recovery(fleet, scenario)
        await course.check(await fleet.until(course.end, f"the end: {scenario.ends}"))


async def _asked(course: Course) -> None:
    """Ask until it is decided as it must be: a log in whole seconds may want another look."""
    fleet, ends = course.fleet, course.scenario.ends
    for number in range(1, 20):
        await fleet.ask(number)
        until_s = fleet.clock.monotonic() + _AGAIN_S
        while fleet.clock.monotonic() < until_s:
            if await course.end() or (ends.ending and await fleet.journal("intent")):
                return
            await fleet.clock.sleep(0.05)


async def _until_recovery(fleet: GuardedFleet, scenario: Scenario) -> None:
    """Nobody comes back in time; then those that can be reached have all the time they need."""

    async def has(key: str, value: object) -> bool:
        return any(one["facts"].get(key) == value for one in await fleet.journal("attempt"))

    await fleet.until(lambda: has("stage", "served"), "the previous one to be served")
    _clock(fleet).shift(_FIRST_BACK.total_seconds())
    await fleet.until(lambda: has("sends", "recovery/initiate"), "the call for recovery")
    if scenario.meanwhile is not None:
        await scenario.meanwhile(fleet)
        _clock(fleet).shift(_BACK.total_seconds())


def _clock(fleet: GuardedFleet) -> ShiftedClock:
    assert isinstance(fleet.clock, ShiftedClock)
    return fleet.clock
