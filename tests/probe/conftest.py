"""A prober, a small PKI, and short words for a look."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from exporter.certificates import CertificateCache
from exporter.clock import Clock, SystemClock
from exporter.observations import Observation
from exporter.probe.client_files import ClientFiles
from exporter.probe.model import Endpoint, Limits, Tools
from exporter.probe.tls import TlsProber
from tests.pki import CLIENT_AUTH, Issued, make_ca, make_leaf

# Nobody waits for its end where somebody answers; a machine that is busy may need some of it
AMPLE = Limits(phase_s=20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pki:
    """One root, one intermediate, one server certificate; another root for clients."""

    root: Issued
    intermediate: Issued
    leaf: Issued
    client_root: Issued
    client: Issued
    stranger: Issued

    @property
    def chain(self) -> tuple[Issued, ...]:
        return self.leaf, self.intermediate


@pytest.fixture(scope="session")
def pki() -> Pki:
    root = make_ca("root")
    intermediate = make_ca("intermediate", issuer=root)
    client_root = make_ca("client root")
    return Pki(
        root=root,
        intermediate=intermediate,
        leaf=make_leaf(intermediate, "gw.test", "127.0.0.1"),
        client_root=client_root,
        client=make_leaf(client_root, "prober", purposes=(CLIENT_AUTH,)),
        stranger=make_leaf(make_ca("strange root"), "stranger", purposes=(CLIENT_AUTH,)),
    )


def new_prober(credentials: ClientFiles | None = None, clock: Clock | None = None) -> TlsProber:
    tools = Tools(clock=clock or SystemClock(), certificates=CertificateCache())
    return TlsProber(tools, credentials)


def at(port: int, *, host: str = "127.0.0.1", server_name: str | None = "gw.test") -> Endpoint:
    return Endpoint(target="gw-1", host=host, port=port, server_name=server_name)


def names_of(observation: Observation) -> list[str]:
    return [certificate.subject_cn for certificate in observation.chain]


Look = Callable[..., Awaitable[Observation]]


@pytest.fixture
def look() -> Look:
    """One look at a port of this machine, without a client certificate."""
    prober = new_prober()

    async def once(port: int, *, limits: Limits = AMPLE, **where: str | None) -> Observation:
        return await prober(at(port, **where), limits)  # type: ignore[arg-type]  # passed on by name

    return once
