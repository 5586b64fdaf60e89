"""The responding part over real HTTP on both sides, its facts and the gateway's faults scripted.

Alerts come to the real endpoint and into a real store; what is asked of the gateway goes by the
real client to a server that fails as a test wants it to. Time passes by sleeping only.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from exporter.gateway.api import ManagementApi
from exporter.journal import Entry, Kind, entries, faults_in
from exporter.remediation.hands import Looked
from exporter.remediation.options import Options
from exporter.remediation.records import Records
from exporter.remediation.respond import Responder
from exporter.store import Store
from exporter.web.alerts import Alerts, Askers
from exporter.web.auth import Passwords
from exporter.webhook.inbox import Inbox
from exporter.webhook.stats import WebhookStats
from tests.fake_gateway import FakeGateway, Handler
from tests.gateway.apis import api_of
from tests.remediation.cases import ACT, ALL_OUT, NEW, NOW, OLD
from tests.remediation.scripted import HastyClock, ScriptedApi, ScriptedHands
from tests.webhook.bodies import body

TOKEN = "of-alertmanager"  # noqa: S105 - the test's own
DEVICES = tuple(one.device for one in ALL_OUT.devices)
_AT = {"notBefore": "2026-01-01T00:00:00Z", "notAfter": "2027-01-04T00:00:00Z"}
_WITHIN_S = 30.0
_POLL_S = 0.005


def certificates(serving: str) -> dict[str, object]:
    """What the management API tells: version 4 was put in after 3."""
    version = {NEW: 4, OLD: 3}.get(serving)
    return {
        "serving": {"version": version, "fingerprint": serving},
        "tickets": {"kept": False, "lifetimeSeconds": 7200},
        "lastOperationNumber": 0,
        "activationNumber": 7,
        "versions": [
            {"version": 3, "state": "previous", "fingerprint": OLD, "proven": True, **_AT},
            {"version": 4, "state": "current", "fingerprint": NEW, "proven": False, **_AT},
        ],
    }


class HttpHands(ScriptedHands):
    """Asks over HTTP; a look shows what the gateway serves, or what ``shown`` says."""

    def __init__(self, gateway: FakeGateway, clock: HastyClock) -> None:
        super().__init__(ScriptedApi(), clock, evidence=ALL_OUT)
        self.gateway = gateway
        self.real: ManagementApi | None = None
        self.back = lambda _: DEVICES if self.served == OLD else ()

    @property
    def served(self) -> str:
        return str(self.gateway.answers["certificates"]["serving"]["fingerprint"])

    def api(self, gateway: str) -> ManagementApi | None:
        return self.real

    async def look(self, gateway: str, chain: Sequence[str], leaf: str) -> Looked:
        if self.shown is not None:
            return self.shown()
        fault = "" if self.served == leaf else f"{self.served[:8]} is shown"
        return Looked(fingerprint=self.served, fault=fault)


@dataclass
class Stand:
    """What a test speaks to; ``options`` are those in force."""

    path: Path
    gateway: FakeGateway
    hands: HttpHands
    clock: HastyClock
    store: Store
    inbox: Inbox
    records: Records
    stats: WebhookStats
    options: Options = ACT
    responder: Responder = None  # type: ignore[assignment] # made with the rest of it
    client: TestClient[web.Request, web.Application] = None  # type: ignore[assignment] # as above

    # The outside

    async def deliver(
        self, *alerts: dict[str, object], token: str = TOKEN, **changes: object
    ) -> tuple[int, str]:
        return await self.post(body(*alerts, **changes), token)

    async def post(self, data: bytes, token: str = TOKEN) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.client.post(
            "/webhook/alertmanager", data=io.BytesIO(data), headers=headers
        ) as answer:
            return answer.status, await answer.text()

    def serve(self, fingerprint: str) -> None:
        self.gateway.answers["certificates"] = certificates(fingerprint)

    def acting(self, then: Handler) -> Handler:
        """Really done, whatever is answered ``then``."""

        async def act(request: web.Request) -> web.StreamResponse:
            self.serve(OLD)
            return await then(request)

        return act

    @property
    def rollbacks(self) -> list[dict[str, str]]:
        """Key, condition and number of each request that came."""
        names = ("idempotency-key", "if-match", "operation-number")
        return [
            {name: one.headers.get(name, "") for name in names}
            for one in self.gateway.asked("rollback")
        ]

    # What is durable

    async def journal(self) -> list[Entry]:
        async with self.store.reading() as connection:
            found = await entries(connection)
        assert list(faults_in(found)) == []
        return found

    async def facts(self, kind: Kind) -> list[dict[str, Any]]:
        return [dict(one.facts()) for one in await self.journal() if one.kind is kind]

    async def decisions(self) -> list[dict[str, Any]]:
        return await self.facts(Kind.DECISION)

    async def outcome(self) -> dict[str, Any]:
        """The one end, once there is one."""
        await until(lambda: self._has(Kind.OUTCOME))
        (found,) = await self.facts(Kind.OUTCOME)
        return found

    async def decision(self) -> dict[str, Any]:
        """The first decision, once there is one."""
        await until(lambda: self._has(Kind.DECISION))
        return (await self.decisions())[0]

    async def _has(self, kind: Kind) -> bool:
        return bool(await self.facts(kind))

    async def settled(self) -> None:
        """Return once nothing that was asked waits for a look."""

        async def is_settled() -> bool:
            return not await self.inbox.pending()

        await until(is_settled)

    async def all_ended(self) -> None:
        """Return once nothing waits for a look, and whatever was begun has come to its end."""
        await self.settled()

        async def is_over() -> bool:
            return not await self.records.unfinished()

        await until(is_over)


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while not await is_so():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(_POLL_S)  # noqa: TID251 - HTTP and the store take real time


@asynccontextmanager
async def stand_at(
    path: Path, *, gateways: Sequence[str] = ("gw-1",), answers_within_s: float = 30.0
) -> AsyncIterator[Stand]:
    """The part, running on the store in ``path``, which may be there already.

    Args:
        answers_within_s: A gateway that has not answered by then does not; real time.
    """
    token_file = path.with_name("token")
    token_file.write_text(TOKEN)
    gateway = FakeGateway()
    clock = HastyClock(NOW)
    store = Store(f"sqlite:///{path}")
    inbox = Inbox(store, clock)
    made = Stand(
        path=path, gateway=gateway, hands=HttpHands(gateway, clock), clock=clock, store=store,
        inbox=inbox, records=Records(store), stats=WebhookStats(inbox.clock_offset_at_most_s),
    )  # fmt: skip
    made.serve(NEW)
    made.responder = Responder(
        made.inbox, made.records, made.hands, clock, options=lambda: made.options
    )
    askers = Askers(token_file=token_file, passwords=Passwords({}))
    alerts = Alerts(made.inbox, made.stats, askers=lambda: askers, gateways=lambda: set(gateways))
    app = web.Application()
    for method, route, handler in alerts.routes():
        app.router.add_route(method, route, handler)
    made.client = TestClient(TestServer(app))
    await store.open()
    async with gateway.serving() as url, made.client:
        made.hands.real, _ = api_of(
            url, clock, timeout=answers_within_s, change_timeout=answers_within_s
        )
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(made.inbox.run()), tasks.create_task(_responding(made))]
            yield made
            for task in running:
                task.cancel()
    await store.close()


async def _responding(stand: Stand) -> None:
    await stand.responder.run()
