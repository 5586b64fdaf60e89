"""Trust sync as a part of the service: polls, takes pushes, compares, keeps, and tells."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from exporter.anchors import TrustStore
from exporter.certificates import Certificate
from exporter.clock import Clock, every
from exporter.gateway.api import TrustStatus
from exporter.gateway.messages import DeviceTrustStore
from exporter.observations import TrustReport
from exporter.store import Store
from exporter.targets.model import Inventory, Role, phase_of
from exporter.trust_store.desired import wanted_anchors
from exporter.trust_store.keep import Keeper
from exporter.trust_store.lines import (
    DURABLE,
    PUSHED,
    Lines,
    PushCounts,
    TrustLines,
    poll_lines,
    push_lines,
)
from exporter.trust_store.merge import Ignored, known_of
from exporter.trust_store.model import Known, Standing
from exporter.trust_store.options import Options
from exporter.trust_store.poll import Polled, Poller, PollStats
from exporter.trust_store.reports import ReportBook
from exporter.trust_store.standings import Standings

OnChange = Callable[[Mapping[str, frozenset[str]], Mapping[str, Certificate]], None]
"""Is told what each device trusts by a fresh report, and the anchors that came as a whole."""

_TICK_S = 1.0
_AT_ONCE = 16
_SPREAD_S = 0.05  # for each API, so that a thousand of them are not asked in one moment
_SLICE = 500
_PRUNE_S = 86_400.0
_AGAIN = -1


class TrustSync:
    """What each device trusts beside what it is to trust; a ``LineSource`` of the exposition.

    Reports are shown as soon as they are known, also while the store cannot write; a push is
    answered once it is durable. ``on_change`` is called in the event loop.
    """

    def __init__(self, options: Options, store: Store, clock: Clock, on_change: OnChange) -> None:
        self.pushed = PushCounts()
        self._options = options
        self._clock = clock
        self._on_change = on_change
        self._book = ReportBook()
        self._keeper = Keeper(self._book, store, clock, self._want)
        self._standings = Standings(self._book)
        self._lines = TrustLines(self._standings)
        self._inventory = Inventory()
        self._stores: Mapping[str, TrustStore] = {}
        self._certificates: Mapping[str, Certificate] = {}
        self._inventory_version = 0
        self._taken_version: dict[str, int] = {}
        self._polled: Mapping[str, Polled] = {}
        self._pollers: dict[str, Poller] = {}
        self._stats: dict[str, PollStats] = {}
        self._changed: set[str] = set()
        self._told = (0, 0)
        self._is_shown = False
        self._ready, self._apis_changed = asyncio.Event(), asyncio.Event()

    # What it is told

    def read(self, options: Options, polled: Mapping[str, Polled]) -> None:
        """Go by these options and ask these APIs from now on; ``polled`` by name."""
        self._options, self._polled = options, polled
        self._stats = {name: self._stats.get(name) or PollStats() for name in polled}
        self._keeper.is_needed = bool(polled)
        self._apis_changed.set()
        self._use()

    def use(self, inventory: Inventory, stores: Mapping[str, TrustStore]) -> None:
        """Compare the devices of ``inventory``, by these trust stores, from now on."""
        self._inventory, self._stores = inventory, stores
        self._ready.set()
        self._use()

    def _use(self) -> None:
        self._inventory_version += 1
        if self._is_shown:
            self._want()

    def _want(self) -> None:
        devices = {
            name: target
            for name, target in self._inventory.targets.items()
            if target.role is Role.DEVICE
        }
        wanted = wanted_anchors(devices.values(), self._stores, self._options.desired)
        self._book.want(wanted, self._clock.now())
        anchors = (anchor for store in self._stores.values() for anchor in store.anchors)
        known = {anchor.fingerprint_sha256: anchor for anchor in anchors}
        self._certificates = {**self._book.certificates, **known}
        self._standings.use(devices, self._certificates, self._options)
        self._lines.forget_gone()
        self._keeper.wake()
        self.compare()

    async def push(self, report: TrustReport, certificates: Iterable[Certificate] = ()) -> None:
        """Take a report that its sender vouches for; return once it is durable.

        ``certificates`` are those of its anchors that came as a whole.

        Raises:
            BusyError: too many wait already; nothing was taken.
            StoreError: it is taken, but may not outlast a restart.
        """
        self._keeper.refuse_when_busy()
        if self._book.learn(certificates):
            self._use()
        if self._book.take(report.device, Known(report=report)):
            self._changed.add(report.device)
        await self._keeper.durable()

    # What it is asked

    def lines_of(self, family: str) -> Lines:
        """Return the sample lines of one family; none before the store was tried."""
        if not self._is_shown:
            return []
        if family == DURABLE:
            is_used = self._keeper.is_needed or self._keeper.is_loaded
            return [f"{DURABLE} {int(not self._keeper.fault)}\n".encode()] if is_used else []
        if family == PUSHED:
            return push_lines(self.pushed)
        return poll_lines(family, self._stats) or self._lines.lines_of(family)

    @property
    def standings(self) -> Mapping[str, Standing]:
        """Each device's report, what is wanted of it, and how the one stands to the other."""
        return self._standings.by_device

    @property
    def stats(self) -> Mapping[str, PollStats]:
        """How polling goes, by API."""
        return MappingProxyType(self._stats)

    @property
    def store_fault(self) -> str:
        """Why the store cannot be used; empty when it can, or was not needed yet."""
        return self._keeper.fault

    def certificate(self, fingerprint: str) -> Certificate | None:
        """Return the anchor of that SHA-256; None: only its hash is known."""
        return self._certificates.get(fingerprint)

    def is_device(self, name: str) -> bool:
        """Whether the inventory has a device of that name."""
        target = self._inventory.targets.get(name)
        return target is not None and target.role is Role.DEVICE

    def speaker_of(self, device: str) -> str | None:
        """Return the name of the API that speaks for ``device``; None: none, or no such device.

        Its own, else its gateway's; where neither names one and there is but one API, that.
        """
        targets = self._inventory.targets
        target = targets.get(device)
        if target is None or target.role is not Role.DEVICE:
            return None
        behind = targets.get(target.gateway or "")
        named = target.management_api or (behind.management_api if behind else None)
        return named or (next(iter(self._polled)) if len(self._polled) == 1 else None)

    # What it does

    async def run(self) -> None:
        """Keep it true until cancelled."""
        await self._ready.wait()  # without an inventory every device would be a stranger
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._keeper.load_at_start()
                self._is_shown = True
                self._want()
                tasks.create_task(self._keeper.run())
                tasks.create_task(every(_TICK_S, self._tick, self._clock))
                tasks.create_task(self._prune())
                await self._ask_apis(tasks)
        finally:
            await self._keeper.close()

    async def _tick(self) -> None:
        names, now = self._due(), self._clock.now()
        try:
            while names:
                part, names = names[:_SLICE], names[_SLICE:]
                self._lines.update(self._standings.compare(part, now))
                await self._clock.sleep(0)
        finally:
            self._changed.update(names)  # when whoever asked went away in the middle of it
        self._tell()

    def compare(self) -> None:
        """Bring all standings up to now, at once; cheap when nothing has changed."""
        self._lines.update(self._standings.compare(self._due(), self._clock.now()))
        self._tell()

    def _due(self) -> Sequence[str]:
        changed, self._changed = self._changed, set()
        return self._standings.due(changed, self._clock.now())

    def _tell(self) -> None:
        told = (self._standings.anchors_version, len(self._book.certificates))
        if told != self._told:
            self._told = told
            self._on_change(self._standings.current_anchors, self._book.certificates)

    async def _prune(self) -> None:
        async def tick() -> None:
            await self._keeper.forget(self._inventory.targets.keys())

        await self._clock.sleep(_PRUNE_S)  # at the start the inventory may not be complete
        await every(_PRUNE_S, tick, self._clock)

    async def ask(self, api: str) -> bool:
        """Ask an API now, beside its schedule; False: no good answer, or no such API.

        For whoever needs to know what devices trust at this moment, and not a minute ago.
        """
        poller = self._pollers.get(api)
        if poller is None:
            return False
        await poller.ask()
        await self._tick()
        return not self._stats[api].fault

    async def _ask_apis(self, tasks: asyncio.TaskGroup) -> None:
        """Keep one task for each API."""
        at_once = asyncio.Semaphore(_AT_ONCE)
        running: dict[str, tuple[Polled, asyncio.Task[None]]] = {}
        while True:
            self._apis_changed.clear()
            for name, (polled, task) in list(running.items()):
                if self._polled.get(name) != polled:
                    task.cancel()
                    await asyncio.wait([task])
                    del running[name]
                    self._taken_version.pop(name, None)
                    del self._pollers[name]
            spread_s = _SPREAD_S * (len(self._polled) - 1)
            for name, polled in self._polled.items():
                if name not in running:
                    poller = Poller(polled, self._stats[name], self._clock, self._take, at_once)
                    first_s = min(phase_of(name, polled.interval_s), spread_s)
                    running[name] = (polled, tasks.create_task(poller.run(first_s)))
                    self._pollers[name] = poller
            await self._apis_changed.wait()

    async def _take(
        self, api: str, status: TrustStatus, offset_s: float | None
    ) -> Counter[Ignored]:
        """Take a platform's answer; return what was ignored of it."""
        ignored: Counter[Ignored] = Counter()
        version, now = self._inventory_version, self._clock.now()
        if status.is_unchanged and self._taken_version.get(api) == version:
            return ignored
        for position, entry in enumerate(status.devices):
            if position % _SLICE == _SLICE - 1:
                await self._clock.sleep(0)
            said = self._said(api, entry, offset_s, now)
            if isinstance(said, Ignored):
                ignored[said] += 1
            elif self._book.take(entry.device_id, said):
                self._changed.add(entry.device_id)
        # What was received in the future may be possible by the next time
        self._taken_version[api] = _AGAIN if ignored[Ignored.FUTURE] else version
        self._keeper.wake()
        return ignored

    def _said(
        self, api: str, entry: DeviceTrustStore, offset_s: float | None, now: datetime
    ) -> Known | Ignored:
        if not self.is_device(entry.device_id):
            return Ignored.UNKNOWN_DEVICE
        if self.speaker_of(entry.device_id) != api:
            return Ignored.OTHER_API
        return known_of(entry, offset_s=offset_s, now=now)
