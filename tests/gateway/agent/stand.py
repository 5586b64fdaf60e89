"""An agent in front of the embedded terminator, with a real HTTP client."""

import asyncio
import contextlib
import io
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from exporter.clock import SystemClock
from exporter.gateway.agent.agent import run_agent
from exporter.gateway.agent.driver import Driver, Place, Tools
from exporter.gateway.agent.drivers.embedded.driver import EmbeddedDriver
from exporter.gateway.agent.drivers.embedded.driver import Options as EmbeddedOptions
from exporter.gateway.agent.options import Options
from exporter.web.options import ListenAddress
from tests.pki import Issued, certificate_of, make_ca, make_leaf

TOKEN = "a-token-for-tests"  # noqa: S105 - as it says
NAME = "gw-1.example"
NOW = datetime.now(UTC)  # noqa: TID251 - real handshakes judge by the machine's clock
DATES: Any = {"not_before": NOW - timedelta(days=1), "not_after": NOW + timedelta(days=60)}
OLD_CA, NEW_CA = make_ca("old CA", **DATES), make_ca("new CA", **DATES)
INNER = make_ca("new inner CA", issuer=NEW_CA, **DATES)
FIRST = make_leaf(OLD_CA, NAME, "127.0.0.1", **DATES)
LOCAL = ListenAddress(host="127.0.0.1", port=0)

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])

    @property
    def message(self) -> str:
        return str(self.body["error"]["message"])


@dataclass(kw_only=True)
class Agent:
    """A running agent, as seen by those who call it."""

    url: str
    directory: Path
    driver: Driver | None = None
    token: str | None = TOKEN
    session: aiohttp.ClientSession = field(repr=False)

    async def call(self, method: str, path: str, body: object = None, **headers: Any) -> Answer:
        """Call; ``raw`` among the headers is a body as it stands."""
        raw = headers.pop("raw", None)
        data = json.dumps(body).encode() if body is not None else raw
        sent = None if data is None else io.BytesIO(data)  # large ones, too
        named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        if self.token is not None:
            named.setdefault("Authorization", f"Bearer {self.token}")
        if data is not None:
            named.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method, self.url + path, data=sent, headers=named
        ) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return Answer(
                status=answer.status,
                body=json.loads(text) if is_json else text,
                headers=answer.headers,
            )

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.call("GET", path, **headers)

    async def post(self, path: str, body: object, **headers: str) -> Answer:
        return await self.call("POST", path, body, **headers)

    async def rotate(self, chain: str, mode: str = "none", **more: object) -> Answer:
        headers = {name: str(more.pop(name)) for name in list(more) if "_" in name}
        body = {"newCertificate": chain, "validationMode": mode, **more}
        return await self.post("/gateway/certificates/rotate", body, **headers)

    async def rollback(self, version: str | int = "previous", **headers: str) -> Answer:
        body = {"targetVersion": version, "scope": "gateway-only", "preserveDeviceCerts": True}
        return await self.post("/gateway/certificates/rollback", body, **headers)

    async def certificates(self) -> Json:
        answer = await self.get("/gateway/certificates")
        assert answer.status == 200, answer
        body: Json = answer.body
        return body

    async def new_chain(self, *issuers: Issued, **wishes: object) -> str:
        """A chain for a fresh csr of the gateway, by the first of ``issuers``."""
        answer = await self.post("/gateway/certificates/csr", {})
        assert answer.status == 200, answer
        return signed(answer.body["csr"], *(issuers or (NEW_CA,)), **wishes)

    async def report(self, device: str, *anchors: Issued) -> Answer:
        body = {
            "anchors": [certificate_of(one).fingerprint_sha256 for one in anchors],
            "reportedAt": NOW.isoformat(),
        }
        return await self.post(f"/devices/{device}/truststore/report", body)

    def files(self) -> dict[str, bytes]:
        """Everything on the disk but the store's own files."""
        found = {}
        for path in sorted(self.directory.rglob("*")):
            name = str(path.relative_to(self.directory))
            if path.is_symlink():
                found[name] = str(path.readlink()).encode()
            elif path.is_file() and not name.startswith("state.db"):
                found[name] = path.read_bytes()
        return found

    def stored(self) -> list[str]:
        """Everything in the store, as SQL."""
        with contextlib.closing(sqlite3.connect(self.directory / "state.db")) as database:
            return list(database.iterdump())


def signed(csr: str, *issuers: Issued, **wishes: object) -> str:
    """A chain in PEM: a leaf for ``csr`` by the first issuer, then all of them that have one."""
    request = x509.load_pem_x509_csr(csr.encode())
    dates = {**DATES, **wishes}
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(issuers[0].certificate.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dates["not_before"])
        .not_valid_after(dates["not_after"])
        .add_extension(names.value, critical=False)
        .sign(issuers[0].key, hashes.SHA256())
    )
    sent = [one for one in issuers if one.certificate.issuer != one.certificate.subject]
    pem = leaf.public_bytes(serialization.Encoding.PEM)
    return (pem + b"".join(one.pem for one in sent)).decode()


def leaf_fingerprint(chain: str) -> str:
    return x509.load_pem_x509_certificate(chain.encode()).fingerprint(hashes.SHA256()).hex()


def options(directory: Path, devices: Sequence[str | Json] = (), **more: object) -> Options:
    """An agent's options; what stands in ``more`` is taken as in the file."""
    secrets = directory.parent / "secrets"
    secrets.mkdir(exist_ok=True)
    (secrets / "token").write_text(TOKEN + "\n")
    (secrets / "first.pem").write_bytes(FIRST.pem)
    (secrets / "first.key").write_bytes(FIRST.key_pem)
    log = directory.parent / "gateway.log"
    document = {
        "listen": "127.0.0.1:0",
        "web": {"token_file": str(secrets / "token")},
        "directory": str(directory),
        "terminator": {"embedded": {"listen": ["127.0.0.1:0"], "log_file": str(log)}},
        "initial": {
            "chain_file": str(secrets / "first.pem"), "key_file": str(secrets / "first.key"),
        },
        "server_name": NAME,
        "proof": {"rounds": 1, "within": "3s"},
        "second_port": "127.0.0.1:0",
        "devices": [{"name": one} if isinstance(one, str) else one for one in devices],
        **more,
    }  # fmt: skip
    return Options.model_validate_json(json.dumps(document), strict=True)


def embedded(directory: Path, listen: Sequence[ListenAddress] = (LOCAL,)) -> EmbeddedDriver:
    directory.mkdir(exist_ok=True)
    place = Place(current=directory / "current", scratch=directory / "scratch")
    return EmbeddedDriver(
        EmbeddedOptions(listen=tuple(listen), log_file=directory.parent / "gateway.log"),
        Tools(place=place, clock=SystemClock()),
    )


@asynccontextmanager
async def running(
    folder: Path,
    devices: Sequence[str | Json] = (),
    *,
    driver: Driver | None = None,
    clock: Any = None,
    **more: object,
) -> AsyncIterator[Agent]:
    """An agent until the context ends; its files stay below ``folder``."""
    directory = folder / "agent"
    made = driver or embedded(directory)
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        agent = tasks.create_task(
            run_agent(
                options(directory, devices, **more),
                clock or SystemClock(),
                listening=url.set_result,
                driver=made,
            )
        )
        agent.add_done_callback(lambda _: url.done() or url.cancel())
        await asyncio.wait([url])
        if url.cancelled():
            await agent
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=50)) as session:
            try:
                yield Agent(url=await url, directory=directory, driver=made, session=session)
            finally:
                agent.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({agent})


async def until_proven(agent: Agent) -> None:
    """Return once version 1 may be gone back to.

    The agent proves it while it answers already; whoever rotates before that leaves it unproven.
    """

    async def is_proven() -> bool:
        return bool((await agent.certificates())["versions"][0]["proven"])

    await until(is_proven, "version 1 to be proven")


async def until(condition: Any, what: str, within_s: float = 40.0) -> Any:
    """What ``condition`` returns once it is true; it may be asked often."""
    clock = SystemClock()
    end = clock.monotonic() + within_s
    while True:
        found = await condition()
        if found:
            return found
        assert clock.monotonic() < end, f"waited {within_s} s for: {what}"
        await clock.sleep(0.02)
