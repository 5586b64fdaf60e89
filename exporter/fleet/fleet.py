"""The fleet's state: what each look changes, and what time changes without a look."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from exporter.anchors import TrustStore
from exporter.certificates import Certificate
from exporter.clock import Clock, every
from exporter.fleet.changes import after_look, is_kept, taken_over
from exporter.fleet.due import Due
from exporter.fleet.model import (
    MISSED_LOOKS,
    NO_VERDICTS,
    Acceptance,
    FleetSnapshot,
    TargetState,
)
from exporter.fleet.predictions import Group, Predictions
from exporter.observations import Observation
from exporter.targets.model import Inventory
from exporter.verdicts.model import Verdict

_BATCH = 50
"""Targets judged again in one go: 50 with two stores and nothing cached are about 15 ms."""


class Judging(Protocol):
    """Who says whether a chain is accepted."""

    def judge(
        self, chain: Sequence[Certificate], store: TrustStore, *, name: str | None, at: datetime
    ) -> Verdict:
        """Return the verdict; the same object while nothing changes."""
        ...

    def learn(self, certificates: Iterable[Certificate]) -> None:
        """Remember CA certificates, which may complete the path of another chain."""
        ...


class Watcher(Protocol):
    """Who is told of changes as they happen, in the event loop; must not take long."""

    def inventory_changed(self, snapshot: FleetSnapshot) -> None:
        """Any target may have come, gone or changed."""
        ...

    def target_changed(self, state: TargetState) -> None:
        """One target's state was replaced by ``state``."""
        ...


@dataclass(slots=True, kw_only=True)
class FleetStats:
    """What the fleet counts of itself.

    Attributes:
        observation_count: Looks that were recorded.
        ignored_count: Looks at what is not, or no longer, in the inventory at that address.
    """

    observation_count: int = 0
    ignored_count: int = 0


class Fleet:
    """The only mutable state of the data path.

    All calls are made in one event loop and return at once. ``run`` does what needs no look:
    verdicts that change with time, and looks that do not come.
    """

    def __init__(
        self, judge: Judging, clock: Clock, *, interval_s: float = 60.0, slow_s: float = 300.0
    ) -> None:
        """See ``use`` for the intervals."""
        self.stats = FleetStats()
        self._judge = judge
        self._clock = clock
        self._interval_s = interval_s
        self._slow_s = slow_s
        self._states: dict[str, TargetState] = {}
        self._stores: Mapping[str, TrustStore] = {}
        self._predictions = Predictions()
        self._due = Due()
        self._watchers: list[Watcher] = []
        self._snapshot: FleetSnapshot | None = None
        self._swept_at_s = clock.monotonic()

    def watch(self, watcher: Watcher) -> None:
        """Tell ``watcher`` of all changes from now on, and of the state as it is."""
        self._watchers.append(watcher)
        watcher.inventory_changed(self.snapshot())

    def snapshot(self) -> FleetSnapshot:
        """Return all that is known now; the same object while nothing changes."""
        if self._snapshot is None:
            self._snapshot = FleetSnapshot(
                at=self._clock.now(),
                targets=MappingProxyType(self._states.copy()),
                stores=self._stores,
                reported=self._predictions.reported,
                certificates=self._predictions.certificates,
            )
        return self._snapshot

    def use(
        self,
        inventory: Inventory,
        stores: Mapping[str, TrustStore],
        *,
        interval_s: float | None = None,
        slow_s: float | None = None,
    ) -> None:
        """Take over an inventory and the trust stores it refers to.

        ``interval_s`` is the time between two looks, ``slow_s`` that between two looks at a
        target that sends no chain; None: as before.

        A target whose endpoint is the same keeps its state. Where only the stores are others it
        is judged again: a few targets at once, of many the rest by ``run`` within seconds, and
        meanwhile the verdicts in question are absent.
        """
        now = self._clock.now()
        steady = {
            name
            for name, store in stores.items()
            if name in self._stores and self._stores[name].digest == store.digest
        }
        self._interval_s = self._interval_s if interval_s is None else interval_s
        self._slow_s = self._slow_s if slow_s is None else slow_s
        self._stores = MappingProxyType(dict(stores))
        for store in self._stores.values():
            self._judge.learn(store.anchors)
        old = self._states
        kept = {name for name, target in inventory.targets.items() if is_kept(old, target)}
        self._predictions.use(inventory.targets.values(), self._stores, kept_gateways=kept)
        told = self._predictions.by_device()
        self._states = {
            name: taken_over(old[name], target, steady, told.get(name))
            if name in kept
            else TargetState(target=target, acceptance=told.get(name))
            for name, target in inventory.targets.items()
        }
        for name in old.keys() - self._states.keys():
            self._due.forget(name)
        unsettled = {
            name
            for name, state in self._states.items()
            if state is not old.get(name) and not state.is_judged
        }
        for name in unsettled | self._predictions.unjudged():
            if name in self._states and self._states[name].is_chain_current:
                self._due.set_now(name, now=now)
        self._snapshot = None
        self.judge_due()
        for watcher in self._watchers:
            watcher.inventory_changed(self.snapshot())

    def use_reports(
        self,
        reported: Mapping[str, frozenset[str]],
        certificates: Mapping[str, Certificate],
    ) -> None:
        """Predict by what devices reported, from now on.

        ``reported`` are the anchors of each device with a report that is fresh; the others go by
        the inventory. ``certificates`` are anchors that came as a whole; both by SHA-256.
        """
        self._predictions.tell_reports(reported, certificates)
        self._snapshot = None
        self._regroup()

    def would_accept(
        self,
        chain: Sequence[Certificate],
        *,
        name: str | None,
        at: datetime,
        gateway: str | None = None,
    ) -> Mapping[str, Acceptance | None]:
        """Return what each device behind ``gateway`` (None: behind any) would say to ``chain``.

        ``name`` is the one that the chain must be for. Each distinct store is judged once. None:
        what the device trusts is not known, or there is no chain; see ``Acceptance.accepts`` for
        what cannot be said of a device whose store is known in part.
        """
        found: dict[str, Acceptance | None] = {
            device: None
            for device, state in self._states.items()
            if state.target.gateway is not None and gateway in (None, state.target.gateway)
        }
        if not chain:
            return found
        groups = self._predictions.groups()
        for group in groups if gateway is None else self._predictions.groups_of(gateway):
            told = self._expected(group, chain, name, at)
            found |= dict.fromkeys(group.devices, told)
        return found

    def record(self, observation: Observation) -> TargetState | None:
        """Take in what a look saw and return the target's new state.

        None: the target is no longer in the inventory, or at another address by now.
        """
        state = self._states.get(observation.target)
        if state is None or state.target.address != observation.address:
            self.stats.ignored_count += 1
            return None
        self.stats.observation_count += 1
        seen = after_look(state, observation, self._clock.monotonic())
        if seen.chain is not state.chain:
            self._judge.learn(seen.chain[1:])
        self._settle(seen)
        if seen.chain is not state.chain and self._predictions.recognize(seen.chain):
            self._regroup()
        return self._states[observation.target]

    def judge_due(self) -> bool:
        """Judge again what time may have changed, a bounded number; False: nothing was due."""
        names = self._due.take(_BATCH, now=self._clock.now())
        for name in names:
            self._settle(self._states[name])
        return bool(names)

    def find_overdue(self) -> None:
        """Mark the targets that have not been looked at for more than three intervals."""
        now_s = self._clock.monotonic()
        limit_s = now_s - MISSED_LOOKS * self._interval_s
        # What is long dead is looked at less often: its failure stays, it does not come and go
        slow_limit_s = now_s - MISSED_LOOKS * max(self._slow_s, self._interval_s)
        late = [
            state
            for state in self._states.values()
            if state.looked_at_s < limit_s
            and state.observation is not None
            and not state.is_overdue
            and (state.looked_at_s < slow_limit_s or not state.missed_looks)
        ]
        for state in late:
            self._settle(replace(state, is_overdue=True))

    async def run(self) -> None:
        """Keep the state true to the time until cancelled."""
        await every(1.0, self._tick, self._clock)

    async def _tick(self) -> None:
        while self.judge_due():
            await self._clock.sleep(0)
        # Going through 10,000 states costs about a millisecond
        now_s = self._clock.monotonic()
        if now_s - self._swept_at_s >= self._interval_s / 12:
            self._swept_at_s = now_s
            self.find_overdue()

    def _settle(self, state: TargetState) -> None:
        """Judge ``state``'s chain, keep it, and predict what the devices behind it would say."""
        now = self._clock.now()
        verdicts = self._verdicts(state, now)
        if verdicts is not state.verdicts:
            state = replace(state, verdicts=verdicts)
        self._put(state)
        ends = [verdict.steady_until for verdict in verdicts.values()]
        for group in self._predictions.groups_of(state.target.name):
            told = self._predict(state, group, now)
            if told is not None:
                ends.append(told.verdict.steady_until)
            if told != self._predictions.last(group):
                self._predictions.tell(group, told)
                for device in group.devices:
                    self._put(replace(self._states[device], acceptance=told))
        self._due.set(
            state.target.name, min((end for end in ends if end is not None), default=None), now=now
        )

    def _verdicts(self, state: TargetState, now: datetime) -> Mapping[str, Verdict]:
        if not state.is_chain_current:
            return NO_VERDICTS
        known = state.verdicts
        name = state.target.checked_name
        found = {
            store: self._judge.judge(state.chain, self._stores[store], name=name, at=now)
            for store in state.target.trust_stores
            if store in self._stores
        }
        return known if found == known else found

    def _predict(self, state: TargetState, group: Group, now: datetime) -> Acceptance | None:
        if not state.is_chain_current:
            return None
        return self._expected(group, state.chain, state.target.checked_name, now)

    def _expected(
        self, group: Group, chain: Sequence[Certificate], name: str | None, at: datetime
    ) -> Acceptance:
        held = group.held
        return Acceptance(
            gateway=group.gateway,
            basis=held.basis,
            verdict=self._judge.judge(chain, held.store, name=name, at=at),
            is_partial=held.is_partial,
        )

    def _regroup(self) -> None:
        """Predict anew where it is known otherwise what devices trust."""
        targets = [state.target for state in self._states.values()]
        self._predictions.use(targets, self._stores, kept_gateways=self._states.keys())
        now = self._clock.now()
        for name in self._predictions.unjudged():
            if name in self._states and self._states[name].is_chain_current:
                self._due.set_now(name, now=now)
        self.judge_due()
        told = self._predictions.by_device()
        for name, state in list(self._states.items()):
            if state.acceptance is not told.get(name):
                self._put(replace(state, acceptance=told.get(name)))

    def _put(self, state: TargetState) -> None:
        name = state.target.name
        if self._states[name] is state:
            return
        self._states[name] = state
        self._snapshot = None
        for watcher in self._watchers:
            watcher.target_changed(state)
