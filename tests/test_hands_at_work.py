"""One rollback by the service's own hands: what looks and logs say decides how it ends."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from aiohttp import web

from exporter.clock import SystemClock
from exporter.gateway.agent.driver import CHAIN
from exporter.remediation.carry_out import CarryOut
from exporter.remediation.codec import decided
from exporter.remediation.decide import Question
from exporter.remediation.intents import Ending, Intent, Stage
from exporter.remediation.options import Options
from exporter.remediation.records import Records
from exporter.remediation.waiting import Waiting
from exporter.store import Store
from tests.daemons import free_port, nginx
from tests.drill.standing import TLS_LOG_FORMAT
from tests.fake_gateway import FakeGateway, Handler
from tests.gateway.agent.shifted_clock import ShiftedClock
from tests.listeners import by_name, by_turns, listening, load_chain, say_nothing, server_context
from tests.pki import Issued, make_leaf, new_key
from tests.test_hands import (
    CHANGED,
    DATES,
    NAME,
    NEW,
    OLD,
    OLD_CA,
    Stand,
    after_the_rotation,
    fingerprint,
    serving,
    two_addresses,
    version,
)

pytestmark = pytest.mark.timeout(90)


# Long enough for two rounds of looks
OPTIONS = Options(proof_within=2.0)


class QuickClock(ShiftedClock):
    """Whoever sleeps on it has slept at once."""

    def __init__(self) -> None:
        super().__init__()
        self._skipped_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._skipped_s

    async def sleep(self, seconds: float) -> None:
        self.shift(seconds)
        self._skipped_s += seconds
        await super().sleep(0)


@dataclass(slots=True, kw_only=True)
class Work:
    """What carries an intent out, with the hands of a running service."""

    stand: Stand
    records: Records
    clock: QuickClock

    async def intend(self) -> Intent:
        case = decided(
            await self.stand.gathered(), Options(), now=self.clock.now(), question=Question()
        )
        return await self.records.intend(case, hold=timedelta(days=1))

    @property
    def carry_out(self) -> CarryOut:
        return CarryOut(
            self.records,
            self.stand.hands,
            self.clock,
            options=lambda: OPTIONS,
            why_stopped=_nothing_stops,
        )

    @property
    def waiting(self) -> Waiting:
        return Waiting(
            self.carry_out, self.records, self.stand.hands, self.clock, options=lambda: OPTIONS
        )

    async def last_facts(self) -> dict[str, object]:
        return dict((await self.records.journal(limit=1_000))[-1].facts())


async def _nothing_stops(_intent: Intent) -> str:
    return ""


@asynccontextmanager
async def working(folder: Path, *, address: str, api: str) -> AsyncIterator[Work]:
    store = Store(f"sqlite:///{folder / 'own.db'}")
    await store.open()
    try:
        async with serving(folder, address=address, api=api) as stand:
            await stand.until(lambda found: found.versions is not None)
            yield Work(stand=stand, records=Records(store), clock=QuickClock())
    finally:
        await store.close()


def says_success(
    fake: FakeGateway, folder: Path, *contexts: ssl.SSLContext, leaf: Issued = OLD
) -> Handler:
    """A platform that answers SUCCESS, and has ``contexts`` serve ``leaf``, the previous one."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        for context in contexts:
            load_chain(context, folder, [leaf])
        told = fake.answers["certificates"]
        told["serving"] = told["memory"] = {"version": 3, "fingerprint": fingerprint(leaf)}
        body = {"operationId": "op-1", "fromVersion": 4, "toVersion": 3, "status": "SUCCESS"}
        return web.json_response(body)

    return answer


@pytest.mark.parametrize("is_whole", [False, True])
async def test_a_gateway_that_goes_back_on_one_address_only_is_not_rolled_back(
    is_whole: bool, tmp_path: Path
) -> None:
    fake, secrets = after_the_rotation(), tmp_path / "secrets"
    four, six = server_context(secrets, [NEW]), server_context(secrets, [NEW])
    async with (
        listening(say_nothing, tls=four) as port,
        listening(say_nothing, host="::1", tls=six) as other,
        fake.serving() as api,
    ):
        fake.script("rollback", says_success(fake, secrets, four, *([six] if is_whole else [])))
        with patch("socket.getaddrinfo", two_addresses(port, other)):
            async with working(tmp_path, address="two.test:443", api=api) as work:
                intent = await work.carry_out.serve(await work.intend())
                facts = await work.last_facts()

    if is_whole:
        assert (intent.stage, intent.ending) == (Stage.SERVED, None)
    else:
        assert (intent.stage, intent.ending) == (Stage.ENDED, Ending.UNPROVEN)
        assert str(facts["detail"]).startswith(f"[::1]:{other} ")
        assert f"the leaf {fingerprint(NEW)[:16]} is served, not" in str(facts["detail"])
    assert len(fake.asked("rollback")) == 1  # what was said to be done is not asked for again


@pytest.mark.parametrize(
    "right",
    [{"named"}, {"others"}, {"named", "others"}],
    ids=["for who names it", "for who names none", "for both"],
)
async def test_a_gateway_that_goes_back_for_one_server_name_only_is_not_rolled_back(
    right: set[str], tmp_path: Path
) -> None:
    fake, secrets = after_the_rotation(), tmp_path / "secrets"
    contexts = {name: server_context(secrets, [NEW]) for name in ("named", "others")}
    both = by_name(NAME, contexts["named"], contexts["others"])
    async with listening(say_nothing, tls=both) as port, fake.serving() as api:
        fake.script("rollback", says_success(fake, secrets, *(contexts[one] for one in right)))
        async with working(tmp_path, address=f"127.0.0.1:{port}", api=api) as work:
            intent = await work.carry_out.serve(await work.intend())
            facts = await work.last_facts()

    if len(right) == 2:
        assert (intent.stage, intent.ending) == (Stage.SERVED, None)
    else:
        asked = "without a server name" if right == {"named"} else f"as {NAME}"
        assert (intent.stage, intent.ending) == (Stage.ENDED, Ending.UNPROVEN)
        assert str(facts["detail"]).startswith(f"127.0.0.1:{port} {asked}")
        assert f"the leaf {fingerprint(NEW)[:16]} is served, not" in str(facts["detail"])
    assert len(fake.asked("rollback")) == 1


@pytest.mark.parametrize(
    ("workers", "right"),
    [(2, 1), (16, 15), (16, 16)],
    ids=["one of two", "all but one of 16", "all"],
)
async def test_a_gateway_of_which_not_every_worker_goes_back_is_not_rolled_back(
    workers: int, right: int, tmp_path: Path
) -> None:
    fake, secrets = after_the_rotation(), tmp_path / "secrets"
    contexts = [server_context(secrets, [NEW]) for _ in range(workers)]
    async with (
        listening(say_nothing, tls=by_turns(*contexts)) as port,
        fake.serving() as api,
    ):
        fake.script("rollback", says_success(fake, secrets, *contexts[:right]))
        async with working(tmp_path, address=f"127.0.0.1:{port}", api=api) as work:
            intent = await work.carry_out.serve(await work.intend())
            facts = await work.last_facts()

    if right == workers:
        assert (intent.stage, intent.ending) == (Stage.SERVED, None)
    else:
        assert (intent.stage, intent.ending) == (Stage.ENDED, Ending.UNPROVEN)
        assert f"the leaf {fingerprint(NEW)[:16]} is served, not" in str(facts["detail"])
    assert len(fake.asked("rollback")) == 1


async def test_a_gateway_that_goes_back_for_one_kind_of_key_only_is_not_rolled_back(
    tmp_path: Path,
) -> None:
    """The previous one's key is of another kind: the new one stays beside it (mosquitto)."""
    fake, secrets = after_the_rotation(), tmp_path / "secrets"
    of_rsa = make_leaf(OLD_CA, NAME, key=new_key("RSA 2048"), **DATES)
    fake.answers["certificates"]["versions"][0] = version(3, "previous", of_rsa)
    context = server_context(secrets, [NEW])
    async with listening(say_nothing, tls=context) as port, fake.serving() as api:
        fake.script("rollback", says_success(fake, secrets, context, leaf=of_rsa))
        async with working(tmp_path, address=f"127.0.0.1:{port}", api=api) as work:
            intent = await work.carry_out.serve(await work.intend())
            facts = await work.last_facts()

    assert (intent.stage, intent.ending) == (Stage.ENDED, Ending.UNPROVEN)
    assert f"the leaf {fingerprint(NEW)[:16]} is served, not" in str(facts["detail"])
    assert len(fake.asked("rollback")) == 1


async def test_where_a_leaf_of_each_kind_is_served_nothing_is_sent_until_a_person_has_seen_to_it(
    tmp_path: Path,
) -> None:
    fake, secrets = after_the_rotation(), tmp_path / "secrets"
    of_rsa = make_leaf(OLD_CA, NAME, key=new_key("RSA 2048"), **DATES)
    both, context = server_context(secrets, [NEW]), server_context(secrets, [NEW])
    load_chain(both, secrets, [of_rsa])
    async with fake.serving() as api:
        async with (
            listening(say_nothing, tls=both) as port,
            working(tmp_path, address=f"127.0.0.1:{port}", api=api) as work,
        ):
            intent = await work.carry_out.serve(await work.intend())
            detail = str((await work.last_facts())["detail"])
        assert fake.asked("rollback") == []
        async with (
            listening(say_nothing, tls=context) as port,  # the other one was taken out
            working(tmp_path, address=f"127.0.0.1:{port}", api=api) as work,
        ):
            fake.script("rollback", says_success(fake, secrets, context))
            again = await work.carry_out.serve(await work.intend())

    assert (intent.stage, intent.ending) == (Stage.ENDED, Ending.NOT_SERVED)
    assert detail.startswith("nothing was sent: ")
    assert "leaves of several kinds are served at once (EC P-256 " in detail
    assert "take the others out of the terminator's configuration and ask again" in detail
    assert (again.stage, again.round) == (Stage.SERVED, 2)


async def test_a_platform_that_says_success_and_does_nothing_has_not_rolled_back(
    tmp_path: Path,
) -> None:
    fake, secrets = after_the_rotation(), tmp_path / "secrets"
    context = server_context(secrets, [NEW])
    async with listening(say_nothing, tls=context) as port, fake.serving() as api:
        fake.script("rollback", *[says_success(fake, secrets)] * 20)
        async with working(tmp_path, address=f"127.0.0.1:{port}", api=api) as work:
            intent = await work.carry_out.serve(await work.intend())

    assert (intent.stage, intent.ending) == (Stage.ENDED, Ending.NOT_SERVED)
    keys = {one.headers["idempotency-key"] for one in fake.asked("rollback")}
    assert keys == {intent.key}


# Who is back


async def _next_second() -> datetime:
    """Return the beginning of a second, when it has come."""
    clock = SystemClock()
    moment = clock.now().replace(microsecond=0) + timedelta(seconds=1)
    while clock.now() < moment:
        await clock.sleep(0.02)
    return moment


async def _until_equal(found: Callable[[], set[str]], wanted: set[str]) -> None:
    async with asyncio.timeout(30):
        while found() != wanted:
            await SystemClock().sleep(0.02)


class Client:
    """A device with a memory: it resumes where it can, at TLS 1.2 and by a ticket."""

    def __init__(self, device: int, port: int) -> None:
        self._from, self._to = (f"127.0.1.{device}", 0), ("127.0.0.1", port)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.maximum_version = ssl.TLSVersion.TLSv1_2
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._session: ssl.SSLSession | None = None

    def connect(self, *, resumes: bool) -> bool:
        """Return whether the session was resumed."""
        with (
            socket.create_connection(self._to, timeout=20, source_address=self._from) as plain,
            self._context.wrap_socket(
                plain, server_hostname=NAME, session=self._session if resumes else None
            ) as secured,
        ):
            assert secured.recv(2) == b"ok"
            self._session = secured.session
            return bool(secured.session_reused)


@pytest.mark.slow
async def test_a_device_that_comes_by_a_ticket_is_not_back_until_it_shakes_hands_in_full(
    tmp_path: Path,
) -> None:
    port, served = free_port(), tmp_path / "served"
    server_context(served, [OLD])
    (tmp_path / CHAIN).write_bytes((served / "served.pem").read_bytes())
    stream = (
        f"{TLS_LOG_FORMAT}\naccess_log {tmp_path}/gateway.log fleet_tls;\n"
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_session_tickets on; return ok;\n"
        f"ssl_certificate {tmp_path}/{CHAIN}; ssl_certificate_key {tmp_path}/{CHAIN}; }}"
    )
    first, second = Client(1, port), Client(2, port)
    with nginx(tmp_path / "nginx", stream=stream, ports=[port]):
        async with (
            after_the_rotation().serving() as api,
            working(tmp_path, address=f"127.0.0.1:{port}", api=api) as work,
        ):
            for device in (1, 2):
                work.stand.log(device, CHANGED - timedelta(minutes=1))
            await work.stand.until(
                lambda found: sum(one.connected_before for one in found.devices) == 2
            )
            await asyncio.to_thread(first.connect, resumes=False)
            served_at = await _next_second()  # nginx tells whole seconds, of the end
            intent = await work.records.advance(await work.intend(), Stage.SERVED, at=served_at)
            await _next_second()
            is_resumed = await asyncio.to_thread(first.connect, resumes=True)
            await asyncio.to_thread(second.connect, resumes=False)

            def came(*, by_ticket: bool) -> set[str]:
                found = work.stand.hands.returned("gw-1", served_at)
                return set(found.by_ticket if by_ticket else found.back)

            await _until_equal(lambda: came(by_ticket=True), {"dev-01"})
            await _until_equal(lambda: came(by_ticket=False), {"dev-02"})
            ended = await work.waiting.until_back(intent)
            facts = await work.last_facts()
            await asyncio.to_thread(first.connect, resumes=False)
            await _until_equal(lambda: came(by_ticket=False), {"dev-01", "dev-02"})

    assert is_resumed
    assert ended.ending is Ending.NOT_BACK
    assert (facts["back"], facts["out"], facts["by_ticket"]) == (1, ["dev-01"], ["dev-01"])
