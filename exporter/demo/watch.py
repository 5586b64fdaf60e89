"""What the service says of the demo's targets, asked over HTTP as everybody else would."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import aiohttp

from exporter.clock import Clock
from exporter.errors import ExporterError

_ATTEMPT = re.compile(
    r'^fleet_tls_probe_last_attempt_timestamp_seconds\{target="([^"]*)"\} (\S+)$', re.MULTILINE
)
_BETWEEN_S = 0.1
_ANSWER = aiohttp.ClientTimeout(total=10)


class DemoError(ExporterError):
    """The demo cannot start or go on."""


def attempts_in(exposition: str) -> Mapping[str, datetime]:
    """Return when each target was last looked at, from the text of ``/metrics``."""
    return {
        name: datetime.fromtimestamp(float(value), tz=UTC)
        for name, value in _ATTEMPT.findall(exposition)
    }


async def wait_for_looks(
    url: str, targets: Iterable[str], *, since: datetime, clock: Clock
) -> None:
    """Return once each of ``targets`` was looked at after ``since``.

    Raises:
        DemoError: the service answers, but not with metrics.
    """
    wanted = set(targets)
    async with aiohttp.ClientSession(timeout=_ANSWER) as session:
        while True:
            async with session.get(f"{url}/metrics") as answer:
                text = await answer.text()
                if answer.status != 200:
                    raise DemoError(f"{url}/metrics answers {answer.status}: {text[:200]}")
            seen = {name for name, at in attempts_in(text).items() if at > since}
            if wanted <= seen:
                return
            await clock.sleep(_BETWEEN_S)
