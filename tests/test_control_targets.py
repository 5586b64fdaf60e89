"""Whether we can look at all: real endpoints, asked once however many ask."""

import asyncio
from collections.abc import Sequence

from exporter.certificates import CertificateCache
from exporter.clock import SystemClock
from exporter.control_targets import ControlTargets
from exporter.observations import Observation
from exporter.probe.model import Endpoint, Limits, Tools
from exporter.probe.tls import TlsProber
from tests.daemons import free_port
from tests.fake_clock import FakeClock
from tests.listeners import close_after_hello, listening


class Stand:
    def __init__(self, *targets: str) -> None:
        self.targets: Sequence[str] = targets
        self.clock = FakeClock()
        self.asked: list[str] = []
        tools = Tools(clock=SystemClock(), certificates=CertificateCache())
        self._prober = TlsProber(tools)
        self.control = ControlTargets(self._look, lambda: self.targets, self.clock)

    async def _look(self, endpoint: Endpoint) -> Observation:
        self.asked.append(endpoint.address)
        return await self._prober(endpoint, Limits(phase_s=5.0))


async def test_without_a_control_target_nothing_is_known() -> None:
    assert await Stand().control.is_good() is None


async def test_one_that_can_be_reached_is_enough_whatever_it_speaks() -> None:
    async with listening(close_after_hello) as port:
        stand = Stand(f"127.0.0.1:{free_port()}", f"127.0.0.1:{port}")

        assert await stand.control.is_good() is True


async def test_when_none_can_be_reached_we_are_blind() -> None:
    assert await Stand(f"127.0.0.1:{free_port()}").control.is_good() is False


async def test_many_who_ask_together_cost_one_look_and_a_later_one_looks_again() -> None:
    stand = Stand(f"127.0.0.1:{free_port()}")

    together = await asyncio.gather(*(stand.control.is_good() for _ in range(50)))
    await stand.clock.advance(1.0)
    await stand.control.is_good()
    assert len(stand.asked) == 1
    await stand.clock.advance(2.0)
    await stand.control.is_good()

    assert set(together) == {False}
    assert len(stand.asked) == 2
