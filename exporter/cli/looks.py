"""Looks made for the command line: one, or many at a time, each with its verdicts."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exporter.anchors import TrustStore
from exporter.certificates import CertificateCache
from exporter.clock import SystemClock
from exporter.observations import Observation
from exporter.probe import PROBERS
from exporter.probe.client_files import ClientFiles, read_pair
from exporter.probe.model import Endpoint, Limits, Tools
from exporter.report import Outcome, outcome_of
from exporter.verdicts.judge import judge
from exporter.verdicts.model import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One look to be made.

    Attributes:
        text: The target as it was written.
        name: What the certificate must be for; None: no name is checked.
    """

    text: str
    endpoint: Endpoint
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look saw, and what each store says to it."""

    wanted: Wanted
    observation: Observation
    verdicts: tuple[Verdict, ...]
    outcome: Outcome

    @property
    def is_good(self) -> bool:
        """The handshake was done, and every store accepts the chain."""
        return self.observation.handshake and self.outcome.verified is True


class Looker:
    """Looks and judges; the same stores and limits for all."""

    def __init__(
        self,
        stores: Sequence[TrustStore],
        *,
        timeout_s: float,
        client_files: tuple[Path, Path] | None,
    ) -> None:
        self._clock = SystemClock()
        self._stores = stores
        self._limits = Limits(phase_s=timeout_s)
        credentials = None
        if client_files:
            read_pair(*client_files)  # a pair that cannot be used is said before any look
            credentials = ClientFiles(*client_files, self._clock)
        tools = Tools(clock=self._clock, certificates=CertificateCache())
        self._probers = {name: make(tools, credentials) for name, make in PROBERS.items()}

    async def look(self, wanted: Wanted) -> Seen:
        """Return what is seen now at one endpoint."""
        prober = self._probers[wanted.endpoint.protocol]
        observation = await prober(wanted.endpoint, self._limits)
        return await asyncio.to_thread(self._judged, wanted, observation)

    def _judged(self, wanted: Wanted, observation: Observation) -> Seen:
        verdicts: tuple[Verdict, ...] = ()
        if observation.chain:
            verdicts = tuple(
                judge(observation.chain, store, name=wanted.name, at=observation.observed_at)
                for store in self._stores
            )
        return Seen(
            wanted=wanted,
            observation=observation,
            verdicts=verdicts,
            outcome=outcome_of(verdicts, failure=observation.reason, detail=observation.detail),
        )

    async def look_at_all(self, wanted: Iterable[Wanted], *, at_once: int) -> AsyncIterator[Seen]:
        """Yield each as it is seen, at most ``at_once`` under way."""
        waiting = iter(wanted)
        finished: asyncio.Queue[Seen] = asyncio.Queue()
        under_way = 0
        async with asyncio.TaskGroup() as tasks:

            def start_next() -> int:
                following = next(waiting, None)
                if following is None:
                    return 0
                tasks.create_task(self._look_into(following, finished))
                return 1

            for _ in range(at_once):
                under_way += start_next()
            while under_way:
                seen = await finished.get()
                under_way += start_next() - 1
                yield seen

    async def _look_into(self, wanted: Wanted, finished: "asyncio.Queue[Seen]") -> None:
        await finished.put(await self.look(wanted))
