"""Wires the parts into one service: configuration, inventory, looks, fleet, exposition, pages."""

import asyncio
import logging
import signal
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from exporter import systemd
from exporter.certificates import Certificate, CertificateCache
from exporter.clock import Clock, SystemClock, every
from exporter.config import Config, load
from exporter.errors import ConfigError, Fault
from exporter.fleet import Fleet, FleetSnapshot
from exporter.fleet_page.history import SAMPLE_S, History
from exporter.fleet_page.remedies import Remedies
from exporter.fleet_page.rotations import Rotations
from exporter.gateway.clients import Clients
from exporter.hands import Around, ServiceHands
from exporter.handshake_log.sources import HandshakeLogs
from exporter.in_force import InForce
from exporter.metrics.exposition import Exposition
from exporter.metrics.own import OwnMetrics, Parts, ReloadStats
from exporter.metrics.stalls import StallWatch
from exporter.observations import Observation
from exporter.probe.model import Endpoint, Limits, Tools, endpoint_of
from exporter.probe.schedule import Scheduler
from exporter.response import Response
from exporter.rotating import Rotating
from exporter.rotation_hands import RotationHands, Surroundings
from exporter.store import Store
from exporter.targets.inventory import InventorySources
from exporter.targets.model import Inventory, Role, Target
from exporter.trust_map.maps import SignedBy, TrustMaps
from exporter.trust_map.model import TrustMap
from exporter.trust_store.poll import Polled
from exporter.trust_store.sync import TrustSync
from exporter.verdicts.cache import Judge
from exporter.verdicts.model import Verdict
from exporter.web.logs_push import LogsPush
from exporter.web.reach import Reach
from exporter.web.server import Server
from exporter.web.service import Readiness
from exporter.web.trust_push import TrustPush

log = logging.getLogger(__name__)

Listening = Callable[[str], None]

# A reload is answered when the new inventory is in force; sources are files, so this is ample
_TAKEN_UP_S = 10.0


class App:
    """The service; also what its pages ask."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._clock = clock
        self._tools = Tools(clock=clock, certificates=CertificateCache())
        self._in_force = InForce.of(config, self._tools)
        self._reloads = ReloadStats(is_good=True, good_at=clock.now(), success_count=1)
        self._reloading = asyncio.Lock()
        self._started_at, self._started_s = clock.now(), clock.monotonic()
        self._is_ready = False
        self._judge = Judge()
        self._fleet = Fleet(self._judge, clock)
        self._history = History()
        self._fleet.watch(self._history)
        self._scheduler = Scheduler(config.probe, clock, self._look_at)
        self._stalls = StallWatch(clock)
        self._exposition = Exposition(self._fleet, clock)
        self._sources_changed, self._taken_up = asyncio.Event(), asyncio.Event()
        self._sources = self._sources_of(self._in_force)
        self._logs = HandshakeLogs(config.handshake_logs, Store(config.store), clock)
        self._apis = Clients(config.management_apis, clock)
        self._trust = TrustSync(
            config.trust_sync, Store(config.store), clock, self._fleet.use_reports
        )
        self._response = self._make_response(config)
        self._rotating = self._make_rotating(config)
        own = OwnMetrics(self._counters())
        self._exposition.expose(own, [self._logs, self._trust, self._response, self._rotating])
        self._trust.read(config.trust_sync, self._polled())
        self._maps = TrustMaps(self._fleet.snapshot, self._signed_by, Store(config.store), clock)
        pushed = LogsPush(lambda: self._logs.push_sources)
        reports = TrustPush(self._trust, clock, self._push_tokens)
        further = [*pushed.routes(), *self._response.routes()]
        self._server = Server(
            self,
            clock,
            further=further,
            opened=[
                *reports.endpoints(),
                *self._response.endpoints(),
                *self._rotating.endpoints(),
            ],
        )
        self._tasks = asyncio.TaskGroup()

    def _make_response(self, config: Config) -> Response:
        around = Around(
            look=lambda endpoint: self.look(endpoint, self.limits),
            apis=lambda: self._apis.apis,
            options=lambda: self._in_force.config.remediation,
            control=lambda: self._in_force.config.probe.control_targets,
            reconnect_s=lambda: self._in_force.reconnect_s,
            in_charge=self._is_rotating,
            removing=self._removing,
            store_files=lambda: {one.name: one.file for one in self._in_force.config.trust_stores},
        )
        return Response(
            Store(config.store),
            ServiceHands(self._fleet, self._logs, around, self._clock),
            self._clock,
            options=around.options,
            askers=lambda: self._in_force.askers,
            gateways=self._gateways,
        )

    def _is_rotating(self, gateway: str) -> bool | None:
        return self._rotating.rotator.is_in_charge(gateway)

    def _removing(self) -> Mapping[str, str] | None:
        return self._rotating.rotator.removing()

    def _stale_s(self, contact_interval_s: float | None) -> float:
        return self._in_force.config.trust_sync.stale_s(contact_interval_s)

    def _make_rotating(self, config: Config) -> Rotating:
        around = Surroundings(
            look=lambda endpoint: self.look(endpoint, self.limits),
            apis=lambda: self._apis.apis,
            options=lambda: self._in_force.config.rotation,
            control=lambda: self._in_force.config.probe.control_targets,
            stale_s=self._stale_s,
            busy=self._response.busy,
        )
        return Rotating(
            Store(config.store),
            RotationHands(self._fleet, self._logs, self._trust, around, self._clock),
            self._clock,
            options=around.options,
            switch=self._response.responder.switch,
        )

    def _gateways(self) -> Collection[str]:
        states = self._fleet.snapshot().targets
        return [name for name, one in states.items() if one.target.role is Role.GATEWAY]

    async def run(self, listening: Listening) -> None:
        """Serve until cancelled; ``listening`` is told the base URL.

        Raises:
            ConfigError: the address cannot be listened at.
        """
        config = self._in_force.config
        async with self._server.listening(config.listen, config.web) as url, self._tasks as tasks:
            tasks.create_task(self._fleet.run())
            tasks.create_task(self._scheduler.run())
            tasks.create_task(self._logs.run())
            tasks.create_task(self._trust.run())
            tasks.create_task(self._response.run())
            tasks.create_task(self._rotating.run())
            tasks.create_task(self._follow_inventory())
            tasks.create_task(self._stalls.run())
            tasks.create_task(self._maps.run())
            tasks.create_task(every(SAMPLE_S, self._sample_handshakes, self._clock))
            tasks.create_task(self._server.run())
            with self._reload_on_signal():
                log.info("listening at %s", url)
                listening(url)
                systemd.notify("READY=1")
                await asyncio.Event().wait()  # until cancelled

    # The data path

    async def _follow_inventory(self) -> None:
        """Keep the inventory current; begin anew when a reload brings other sources."""
        while True:
            self._sources_changed.clear()
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(self._sources.run())
                await self._sources_changed.wait()
                running.cancel()

    def _sources_of(
        self, in_force: InForce, before: InventorySources | None = None
    ) -> InventorySources:
        config = in_force.config
        return InventorySources(
            config.targets,
            static=config.static_targets,
            known=config.known,
            clock=self._clock,
            on_change=lambda inventory: self._use(in_force, inventory),
            last_good=before.last_good if before else None,
        )

    def _use(self, in_force: InForce, inventory: Inventory) -> None:
        probe = in_force.config.probe
        self._exposition.limit(in_force.config.metrics.series_budget)
        self._scheduler.use(inventory, probe)
        stores = in_force.stores_of(inventory)
        self._fleet.use(
            inventory,
            stores,
            interval_s=probe.interval,
            slow_s=self._scheduler.paces.slow_s,
        )
        self._logs.use(inventory)
        self._trust.use(inventory, stores)
        self._taken_up.set()
        log.info("%d targets in the inventory", len(inventory.targets))

    def _polled(self) -> Mapping[str, Polled]:
        options = self._apis.options
        return {
            name: Polled(api=api, interval_s=options[name].poll_interval)
            for name, api in self._apis.apis.items()
        }

    def _push_tokens(self) -> Mapping[str, Path]:
        files = {name: one.push_token_file for name, one in self._apis.options.items()}
        return {name: path for name, path in files.items() if path is not None}

    async def _look_at(self, target: Target) -> None:
        observation = await self.look(endpoint_of(target), self.limits)
        state = self._fleet.record(observation)
        if state is not None:
            self._scheduler.note(
                target.name,
                failing=state.is_success is False,
                not_after=state.chain[0].not_after if state.chain else None,
                answers=bool(observation.chain),
            )

    async def _sample_handshakes(self) -> None:
        self._history.sample(self._logs.shown.tallies, self._clock.now())

    # The configuration, again

    async def reload(self) -> None:
        """Read the configuration again, and take it over whole or not at all.

        Raises:
            ConfigError: it cannot be used; the last good one stays.
        """
        # In a task of its own: whoever asked may go away in the middle of it
        fault = await asyncio.shield(self._tasks.create_task(self._reload()))
        if fault is not None:
            raise fault

    async def _reload(self) -> ConfigError | None:
        async with self._reloading:
            systemd.notify("RELOADING=1", f"MONOTONIC_USEC={self._clock.monotonic() * 1e6:.0f}")
            try:
                await self._take_over()
            except ConfigError as exc:
                self._reloads.is_good = False
                self._reloads.failure_count += 1
                for fault in exc.faults:
                    log.error("configuration not taken over: %s", fault)  # noqa: TRY400 - the fault is the operator's, not a traceback's
                return exc
            finally:
                systemd.notify("READY=1")
            self._reloads.is_good = True
            self._reloads.good_at = self._clock.now()
            self._reloads.success_count += 1
            log.info("the configuration was read again")
            return None

    async def _take_over(self) -> None:
        path = self._in_force.config.path
        config = await asyncio.to_thread(load, path)
        self._refuse_another_store(config)
        in_force = InForce.of(config, self._tools, self._in_force)
        prepared = self._server.prepare(config.listen, config.web)
        # From here on nothing can fail
        await self._server.use(prepared)
        self._in_force = in_force
        self._logs.read(in_force.config.handshake_logs)
        self._apis.read(in_force.config.management_apis)
        self._trust.read(in_force.config.trust_sync, self._polled())
        self._sources = self._sources_of(in_force, self._sources)
        self._taken_up.clear()
        self._sources_changed.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(_TAKEN_UP_S):
                await self._taken_up.wait()

    def _refuse_another_store(self, config: Config) -> None:
        if config.store != self._in_force.config.store:
            # Counters and positions would go back; nobody wants that by accident
            message = "another store is used after a restart only; restart, or change it back"
            raise ConfigError([Fault(place=f"{config.path} store", message=message)])

    @contextmanager
    def _reload_on_signal(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._tasks.create_task(self._reload()))
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    # What the pages ask

    @property
    def started_at(self) -> datetime:
        """When it started."""
        return self._started_at

    @property
    def reach(self) -> Reach:
        """What ``/probe`` may reach besides the inventory."""
        return self._in_force.reach

    @property
    def limits(self) -> Limits:
        """What one look may cost."""
        return self._in_force.limits

    @property
    def readiness(self) -> Readiness:
        """Whether what is shown is complete; once it was, it stays."""
        waiting = 0
        if not self._is_ready:
            states = self._fleet.snapshot().targets.values()
            waiting = sum(s.target.host is not None and s.observation is None for s in states)
            running_s = self._clock.monotonic() - self._started_s
            self._is_ready = self._taken_up.is_set() and (
                not waiting or running_s > self._in_force.config.probe.interval
            )
        if self._is_ready:
            return Readiness(is_ready=True, sentence="Ready.")
        sentence = f"Starting: {waiting} targets are still to be looked at."
        return Readiness(is_ready=False, sentence=sentence)

    @property
    def logs(self) -> HandshakeLogs:
        """What the handshake logs tell."""
        return self._logs

    @property
    def history(self) -> History:
        """What was seen before now."""
        return self._history

    @property
    def trust(self) -> TrustSync:
        """What the devices reported that they trust."""
        return self._trust

    def snapshot(self) -> FleetSnapshot:
        """Return all that is known now."""
        return self._fleet.snapshot()

    async def remedies(self) -> Remedies:
        """Return what remediation did, would do and why."""
        return await self._response.remedies()

    def rotations(self) -> Rotations:
        """Return each rotation as it was last looked at."""
        return self._rotating.told()

    async def trust_map(self) -> TrustMap:
        """Return who trusts whom, and what hangs on it."""
        return await self._maps.map()

    def _signed_by(self) -> SignedBy:
        classes = self._in_force.config.device_classes
        return {one.name: one.signed_by for one in classes if one.signed_by}

    async def scrape(
        self, *, openmetrics: bool, gzip: bool, shard: tuple[int, int] | None
    ) -> Sequence[bytes]:
        """Return the exposition in chunks."""
        if gzip:
            return await self._exposition.render_gzip(openmetrics=openmetrics, shard=shard)
        return self._exposition.render(openmetrics=openmetrics, shard=shard)

    async def look(self, endpoint: Endpoint, limits: Limits) -> Observation:
        """Look now."""
        return await self._in_force.probers[endpoint.protocol](endpoint, limits)

    def judge(
        self,
        chain: Sequence[Certificate],
        stores: Sequence[str],
        *,
        name: str | None,
        at: datetime,
    ) -> tuple[Verdict, ...]:
        """Return what each named store says; one that is not known says nothing."""
        if not chain:
            return ()
        known = (self._in_force.store(store) for store in stores)
        return tuple(self._judge.judge(chain, store, name=name, at=at) for store in known if store)

    def _counters(self) -> Parts:
        return Parts(
            reloads=lambda: self._reloads,
            schedule=lambda: self._scheduler.stats,
            fleet=lambda: self._fleet.stats,
            inventory=lambda: self._sources.stats,
            verdicts=lambda: self._judge,
            exposition=lambda: self._exposition.stats,
            stalls=lambda: self._stalls.stats,
            management_apis=lambda: self._apis.stats,
        )


async def run_service(config: Path, *, listening: Listening = lambda _url: None) -> None:
    """Run the service with the file ``config`` until cancelled; tell its base URL once it answers.

    Raises:
        ConfigError: the configuration cannot be used, or its address not be listened at.
    """
    await App(load(config), SystemClock()).run(listening)
