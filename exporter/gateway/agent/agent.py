"""One gateway's agent: composed of its parts, and run until cancelled."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from aiohttp import web

from exporter.clock import Clock
from exporter.errors import CertificateError, ConfigError, Fault
from exporter.gateway.agent import keeping, requesting, serving, switching
from exporter.gateway.agent.access import Access
from exporter.gateway.agent.answers import Reply, answered
from exporter.gateway.agent.beginning import alone_in, begin, prepare
from exporter.gateway.agent.calls_of_devices import DeviceCalls
from exporter.gateway.agent.changing import Changer
from exporter.gateway.agent.core import Core
from exporter.gateway.agent.devices.book import Devices, Served
from exporter.gateway.agent.driver import Address, Closeable, Driver, Place, Tools
from exporter.gateway.agent.drivers import make_driver
from exporter.gateway.agent.journal import Journal
from exporter.gateway.agent.keys import Keys
from exporter.gateway.agent.looking import Looker, Thoroughness
from exporter.gateway.agent.once import Once, Ticket
from exporter.gateway.agent.options import Options
from exporter.gateway.agent.schema import MIGRATIONS
from exporter.gateway.agent.second_port import Rehearsals
from exporter.gateway.agent.server import Handlers, Server, response_of
from exporter.gateway.agent.settings import SettingsKeeper
from exporter.gateway.agent.versions import (
    Versions,
)
from exporter.gateway.messages import (
    Fingerprint,
    RecoveryRequest,
    TrustStoreUpdateRequest,
    ValidateRequest,
)
from exporter.probe.client_files import read_pair
from exporter.store import Store

log = logging.getLogger(__name__)


async def run_agent(
    options: Options,
    clock: Clock,
    *,
    listening: Callable[[str], None] = lambda _url: None,
    driver: Driver | None = None,
) -> None:
    """Run an agent until cancelled.

    Args:
        options: What it stands in front of, and who may call it.
        clock: Where time comes from.
        listening: Is told the base URL once calls are answered.
        driver: Instead of the one in ``options``.

    Raises:
        ConfigError: it cannot run.
        StoreError: its store cannot be used.
    """
    try:
        with alone_in(options.directory) as scratch:
            versions, keys = Versions(options.directory), Keys(options.directory)
            await asyncio.to_thread(prepare, versions, keys)
            place = Place(current=versions.current, scratch=scratch)
            driver = driver or make_driver(options.terminator, Tools(place=place, clock=clock))
            async with _opened(options.directory / "state.db") as store:
                core = _core(options, clock, driver, store, versions=versions, keys=keys)
                await begin(core, options.initial)
                await _run(core, options, store, scratch=scratch, listening=listening)
    finally:
        if isinstance(driver, Closeable):
            driver.close()


@asynccontextmanager
async def _opened(path: Path) -> AsyncIterator[Store]:
    store = Store(f"sqlite:///{path}", migrations=MIGRATIONS)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def _run(
    core: Core,
    options: Options,
    store: Store,
    *,
    scratch: Path,
    listening: Callable[[str], None],
) -> None:
    async with asyncio.TaskGroup() as tasks:
        once = Once(store, core.clock, tasks)
        await once.forget_interrupted()
        rehearsals = Rehearsals(_address(options), scratch, tasks)
        await asyncio.to_thread(rehearsals.prepare)
        settings = SettingsKeeper(store, core.clock, verbose_s=options.verbose_for)
        server = Server(
            core.clock,
            _access(options),
            once,
            _handlers(core, rehearsals, settings),
            require_key=options.require_idempotency_key,
        )
        tasks.create_task(core.driver.run())
        tasks.create_task(keeping.look_after(core, once))
        tasks.create_task(keeping.wait_for_confirmation(core))
        tasks.create_task(settings.run(core))
        async with server.listening(options.listen, options.web) as url:
            log.info("the management API answers url=%s", url)
            listening(url)
            await asyncio.Event().wait()


def _core(
    options: Options,
    clock: Clock,
    driver: Driver,
    store: Store,
    *,
    versions: Versions,
    keys: Keys,
) -> Core:
    looker, journal = _looker(options, clock), Journal(store)
    return Core(
        driver=driver,
        versions=versions,
        journal=journal,
        looker=looker,
        changer=Changer(driver, versions, journal, looker, clock),
        keys=keys,
        devices=Devices(
            store,
            clock,
            {device.name: device.fallback_channel for device in options.devices},
            options.server_name,
        ),
        clock=clock,
        server_name=options.server_name,
    )


def _handlers(core: Core, rehearsals: Rehearsals, settings: SettingsKeeper) -> Handlers:
    calls = DeviceCalls(core.devices)

    async def update(
        body: TrustStoreUpdateRequest, ticket: Ticket, served: Fingerprint | None
    ) -> Reply:
        await core.check_served(served)
        return await core.devices.update(body, ticket)

    async def recover(body: RecoveryRequest, ticket: Ticket, served: Fingerprint | None) -> Reply:
        await core.check_served(served)
        current, record = await core.current(), await core.journal.record()
        since = record.activations[-1].at if record.activations else None
        chain = current.chain if current else ()
        return await core.devices.recover(body, ticket, Served(chain=chain, since=since))

    async def certificates(_request: web.Request, _body: None) -> web.Response:
        return response_of(answered(await serving.certificates(core)))

    async def validate(_request: web.Request, body: ValidateRequest) -> web.Response:
        return response_of(await requesting.validate(core, body))

    return Handlers(
        changes={
            "rotate": partial(switching.rotate, core),
            "rollback": partial(switching.rollback, core),
            "confirm": partial(switching.confirm, core),
            "csr": partial(requesting.csr, core),
            "rehearse": partial(rehearsals.rehearse, core),
            "configure": partial(settings.configure, core),
            "update_trust_store": update,
            "recover": recover,
        },
        questions={
            "certificates": certificates,
            "validate": validate,
            "trust_status": calls.status,
            "report": calls.report,
        },
        further=calls.further,
    )


def _looker(options: Options, clock: Clock) -> Looker:
    proof, credential = options.proof, None
    if proof.client_cert_file is not None and proof.client_key_file is not None:
        try:
            credential = read_pair(proof.client_cert_file, proof.client_key_file)
        except CertificateError as exc:
            raise ConfigError([Fault(place="proof.client_cert_file", message=str(exc))]) from exc
    thoroughness = Thoroughness(
        rounds=proof.rounds,
        within_s=proof.within,
        server_names=proof.server_names,
        without_sni=proof.without_sni,
    )
    return Looker(clock, thoroughness, credential)


def _access(options: Options) -> Access:
    return Access(
        token_file=options.web.token_file,
        report_token_file=options.web.report_token_file,
        device_files={
            device.name: device.token_file
            for device in options.devices
            if device.token_file is not None
        },
        has_client_ca=options.web.client_ca_file is not None,
    )


def _address(options: Options) -> Address | None:
    second = options.second_port
    return None if second is None else Address(host=second.host, port=second.port)
