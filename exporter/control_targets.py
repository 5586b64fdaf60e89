"""Looks at what is not ours, to tell "the gateway is gone" from "we are blind"."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from exporter.clock import Clock
from exporter.observations import Observation
from exporter.probe.model import Endpoint
from exporter.targets.addresses import parse_address

_KEEP_S = 2.0

Look = Callable[[Endpoint], Coroutine[None, None, Observation]]


class ControlTargets:
    """Answers whether any of them can be reached at this moment.

    They belong to others: five hundred gateways that are judged together ask them once.

    Args:
        targets: ``HOST:PORT`` of each, as configured at the time.
    """

    def __init__(
        self,
        look: Look,
        targets: Callable[[], Sequence[str]],
        clock: Clock,
    ) -> None:
        self._look = look
        self._targets = targets
        self._clock = clock
        self._turn = asyncio.Lock()
        self._seen_s: float | None = None
        self._is_good = False

    async def is_good(self) -> bool | None:
        """Return whether any answers, as seen within two seconds; None: there is none."""
        targets = self._targets()
        if not targets:
            return None
        async with self._turn:
            now_s = self._clock.monotonic()
            if self._seen_s is None or now_s - self._seen_s > _KEEP_S:
                async with asyncio.TaskGroup() as tasks:
                    looks = [tasks.create_task(self._look(_endpoint(text))) for text in targets]
                self._is_good = any(one.result().connected for one in looks)
                self._seen_s = now_s
            return self._is_good


def _endpoint(text: str) -> Endpoint:
    host, port = parse_address(text)
    return Endpoint(target=text, host=host, port=port)
