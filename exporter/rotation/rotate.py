"""Keeps rotations going: looks, settles what was begun, takes one step, and looks again.

Nothing but the marks outlives a tick; the position is derived from facts each time. A person's
word changes marks only, and what follows from it is found at the next look.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from exporter.clock import Clock
from exporter.errors import StoreError
from exporter.modes import Mode
from exporter.rotation.blockers import Gate
from exporter.rotation.carry_out import CarryOut
from exporter.rotation.hands import Hands
from exporter.rotation.model import ENDED, Consent, Marks, Step
from exporter.rotation.options import Options
from exporter.rotation.phases import TRANSITIONS
from exporter.rotation.reconcile import adopted, reconciled
from exporter.rotation.records import Records, Rotation, with_marks
from exporter.rotation.seen import Seen, seen_of
from exporter.rotation.steps import next_action
from exporter.rotation.turn import Turn
from exporter.rotation.view import View, absence_to_keep, view_of
from exporter.rotation.words import (
    RotationError,
    approved,
    closed,
    left_out,
    resumed,
    undone,
    with_gateway,
)

log = logging.getLogger(__name__)

_MOST_STEPS = 1_000
_SHOWN_ENDED = timedelta(days=1)

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def _not_killed() -> bool | None:
    return False


def _in_turn(
    method: Callable[Concatenate["Rotator", _P], Awaitable[_T]],
) -> Callable[Concatenate["Rotator", _P], Coroutine[Any, Any, _T]]:
    """Let a person's word wait for the end of the step that is being carried out."""

    @wraps(method)
    async def waiting(self: "Rotator", /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        async with self.turn.of_a_person():
            return await method(self, *args, **kwargs)

    return waiting


class Rotator:
    """The part of the service that rotates.

    Args:
        options: The section in force, asked for at each step.
        is_killed: Whether the kill switch is on; None: it is not known, which stops as well.
    """

    def __init__(
        self,
        records: Records,
        hands: Hands,
        clock: Clock,
        *,
        options: Callable[[], Options],
        is_killed: Callable[[], Awaitable[bool | None]] = _not_killed,
    ) -> None:
        self._records = records
        self._hands = hands
        self._clock = clock
        self._options = options
        self._is_killed = is_killed
        self._carry_out = CarryOut(records, hands, clock, may_go_on=self._may_go_on)
        self.turn = Turn()
        self._open: Mapping[str, Rotation] | None = None
        self._removed: Mapping[str, str] = {}
        self.seen: dict[str, Seen] = {}
        """By name, as of the last look; one that has ended stays for a day."""

    async def run(self) -> None:
        """Keep all rotations going until cancelled."""
        while True:
            self.turn.begin()
            try:
                await self.tick()
            except StoreError as exc:
                log.warning("rotations wait for the store: %s", exc)
            except Exception:
                log.exception("rotations could not be looked at")
            await self._wait()

    async def _wait(self) -> None:
        """Return when a person said something, or it is time to look again."""
        async with asyncio.TaskGroup() as tasks:
            waits = [
                tasks.create_task(self._clock.sleep(self._options().interval)),
                tasks.create_task(self.turn.word()),
            ]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def tick(self) -> None:
        """Look at each rotation that has not ended, and take the steps that may be taken.

        Raises:
            StoreError: the store cannot be used; nothing was sent that is not in it.
        """
        rotations = await self._records.open()
        self._removed = await self._records.removed()
        self._open = {one.plan.id: one for one in rotations}
        self._forget()
        for rotation in rotations:
            await self._steps(rotation.plan.id)

    def _forget(self) -> None:
        """Let go of what ended a while ago; renewals end all the time."""
        since = self._clock.now() - _SHOWN_ENDED
        self.seen = {
            name: one
            for name, one in self.seen.items()
            if one.rotation.marks.ended is None or one.view.now >= since
        }

    async def _steps(self, name: str) -> None:
        for _ in range(_MOST_STEPS):
            if not await self.step(name):
                return

    async def step(self, name: str) -> bool:
        """Look at one rotation and take at most one step; return whether one was taken."""
        async with self.turn.of_a_step():
            return await self._step(name)

    async def _step(self, name: str) -> bool:
        rotation = await self._records.get(name)
        if rotation is None or rotation.marks.ended is not None:
            return False
        rotation, view = await self._look(rotation)
        action = next_action(view)
        self.seen[name] = seen_of(rotation, view)
        if action is None or not await self._may_act():
            return False
        if (view.phase, action.step) not in TRANSITIONS:
            raise RotationError(f"{action.step} is no step of the phase {view.phase}")
        log.warning("rotation %s, %s: %s: %s", name, view.phase, action.step, action.why)
        done = await self._carry_out.do(rotation, view, action)
        self._open = {**(self._open or {}), name: done}
        self.seen[name] = replace(self.seen[name], rotation=done)
        if done.marks.ended is None:
            return True
        nothing = Gate(blockers=())
        self.seen[name] = replace(self.seen[name], gate=nothing, would=None)
        return False

    async def _may_act(self) -> bool:
        return self._options().mode is Mode.ACT and await self._is_killed() is False

    async def _may_go_on(self, step: Step) -> bool:
        """Return whether a step of many parts goes on with the next; the way back does."""
        is_asked = self.turn.is_wanted and step is not Step.ROLL_BACK
        return not is_asked and await self._may_act()

    async def _look(self, rotation: Rotation) -> tuple[Rotation, View]:
        facts = await self._hands.facts(rotation)
        now, options = self._clock.now(), self._options()
        found = list(reconciled(rotation.plan, facts, rotation.marks, now=now, options=options))
        for told in found:
            rotation = with_gateway(rotation, told.gateway, told.mark)
            said = {"looked": told.why}
            await self._records.note(rotation, said, at=now, gateway=told.gateway)
            log.warning("rotation %s: %s: %s", rotation.plan.id, told.gateway, told.why)
        view = view_of(rotation.plan, facts, rotation.marks, now=now, options=options)
        return await self._told(rotation, view), view

    async def _told(self, rotation: Rotation, view: View) -> Rotation:
        """Keep what the next looks could not find out any more: since when, and how long ago."""
        marks, changes = rotation.marks, dict[str, object]()
        if view.phase is not marks.phase:
            changes |= {"phase": view.phase, "phase_at": view.now}
        before = self.seen.get(rotation.plan.id)
        absence = absence_to_keep(view, before.view if before is not None else None)
        if absence is not None:
            changes["longest_absence_s"], changes["longest_absent"] = absence
        if not changes:
            return rotation
        rotation = with_marks(rotation, **changes)
        told = {"phase": view.phase, "longest_absence_s": rotation.marks.longest_absence_s}
        await self._records.note(rotation, told, at=view.now)
        return rotation

    # What remediation asks, so that one arbiter is in charge of a gateway

    def is_in_charge(self, gateway: str) -> bool | None:
        """Return whether a rotation is changing ``gateway``; None: the store was not read yet."""
        if self._open is None:
            return None
        return any(
            _is_running(one.marks) and gateway in {planned.name for planned in one.plan.gateways}
            for one in self._open.values()
        )

    def is_removing(self, anchor: str) -> bool | None:
        """Return whether the CA is being, or was, removed from devices; None: not known yet."""
        if self._open is None:
            return None
        return anchor in self._removing()

    def removing(self) -> Mapping[str, str] | None:
        """Return the CAs that are being, or were, removed, as PEM by SHA-256; None: not known."""
        return None if self._open is None else self._removing()

    def _removing(self) -> Mapping[str, str]:
        known = (*(self._open or {}).values(), *(seen.rotation for seen in self.seen.values()))
        now = {one.plan.old_ca: one.old_pem for one in known if one.marks.removing_at is not None}
        return {**self._removed, **now}

    # What persons ask

    @_in_turn
    async def start(self, rotation: Rotation, *, by: str) -> None:
        """Keep a plan; nothing of a device or of what is served changes before it is approved.

        Raises:
            RotationError: the mode is ``disabled``.
            TakenError: another rotation has the same gateways or CAs.
        """
        if self._options().mode is Mode.DISABLED:
            raise RotationError("rotation.mode is disabled; write dry_run or act")
        await self._records.start(rotation, by=by)
        self._open = {**(self._open or {}), rotation.plan.id: rotation}
        # Whoever asks next finds it
        rotation, view = await self._look(rotation)
        self.seen[rotation.plan.id] = seen_of(rotation, view)

    @_in_turn
    async def approve(self, name: str, named: str, *, by: str) -> Consent:
        """Take a person's yes to what is next, which must be named by its hash.

        Raises:
            RotationError: nothing waits for it, or it is the hash of something else.
        """
        rotation, consent = approved(*await self._fresh(name), named)
        await self._change(rotation, "approve", {"consent": consent, "by": by})
        return consent

    @_in_turn
    async def pause(self, name: str, *, by: str) -> None:
        """Start no further step; the way back stays open."""
        rotation, _ = await self._fresh(name)
        await self._change(with_marks(rotation, is_paused=True), "pause", {"by": by})

    @_in_turn
    async def resume(self, name: str, *, by: str) -> None:
        """Go on, and try again what was put back or had failed too often."""
        rotation, _ = await self._fresh(name)
        await self._change(resumed(rotation, self._clock.now()), "resume", {"by": by})

    @_in_turn
    async def close(self, name: str, *, by: str) -> None:
        """End a renewal whose chain is kept for good, though not every device was seen with it.

        Raises:
            RotationError: it is no renewal, or its chain is not kept yet.
        """
        rotation, view = await self._fresh(name)
        ended = closed(rotation, view)
        unseen = [one.name for one in view.devices if one.full_at is None]
        await self._change(ended, "close", {"by": by, "not_seen": unseen})
        self.seen[name] = replace(seen_of(ended, view), gate=Gate(blockers=()), would=None)

    @_in_turn
    async def abort(self, name: str, *, by: str, reason: str) -> None:
        """Leave nothing but the way back."""
        rotation, _ = await self._fresh(name)
        fresh = with_marks(rotation, is_aborting=True)
        await self._change(fresh, "abort", {"by": by, "reason": reason})

    @_in_turn
    async def exclude(self, name: str, device: str, *, by: str, reason: str) -> None:
        """Leave a device out; what was approved before is not approved without it.

        Raises:
            RotationError: there is no such device, or no reason.
        """
        rotation = left_out(*await self._fresh(name), device, reason)
        await self._change(rotation, "exclude", {"by": by, "device": device, "reason": reason})

    @_in_turn
    async def adopt(self, name: str, *, by: str) -> None:
        """Take what is served for right, where it is not what the journal says."""
        rotation, view = await self._fresh(name)
        for told in adopted(rotation.plan, view.facts, rotation.marks, now=view.now):
            rotation = with_gateway(rotation, told.gateway, told.mark)
        await self._change(rotation, "adopt", {"by": by, "drift": list(view.position.drift)})

    @_in_turn
    async def undo(self, name: str, *, by: str) -> None:
        """Put back the gateways that were changed by hand.

        Raises:
            RotationError: there are none, or the old CA is being removed already.
        """
        rotation, changed = undone(*await self._fresh(name))
        await self._change(rotation, "undo", {"by": by, "gateways": list(changed)})

    async def _fresh(self, name: str) -> tuple[Rotation, View]:
        rotation = await self._records.get(name)
        if rotation is None:
            raise RotationError(f"there is no rotation {name}")
        if rotation.marks.ended in ENDED:
            raise RotationError(f"the rotation {name} has ended: {rotation.marks.ended}")
        return await self._look(rotation)

    async def _change(self, rotation: Rotation, what: str, facts: Mapping[str, object]) -> None:
        now: datetime = self._clock.now()
        await self._records.note(rotation, {"what": what, **facts}, at=now)
        self._open = {**(self._open or {}), rotation.plan.id: rotation}
        log.warning("rotation %s: %s by %s", rotation.plan.id, what, facts.get("by", ""))


def _is_running(marks: Marks) -> bool:
    return marks.begun_at is not None and marks.ended is None
