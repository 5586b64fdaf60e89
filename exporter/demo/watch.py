"""What the service says of the demo's targets, asked over HTTP as everybody else would."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

import aiohttp

from exporter.clock import Clock
from exporter.errors import ExporterError

_ATTEMPT = re.compile(
    r'^fleet_tls_probe_last_attempt_timestamp_seconds\{target="([^"]*)"\} (\S+)$', re.MULTILINE
)
_REPORT = re.compile(
    r'^fleet_tls_trust_store_report_timestamp_seconds\{device="([^"]*)"\} ', re.MULTILINE
)
_SUCCESS = re.compile(
    r'^fleet_tls_handshake_last_success_timestamp_seconds\{gateway="[^"]*",device="([^"]+)"\} ',
    re.MULTILINE,
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

    def are_looked_at(text: str) -> bool:
        return wanted <= {name for name, at in attempts_in(text).items() if at > since}

    await _wait(url, are_looked_at, clock)


async def wait_for_reports(url: str, devices: Iterable[str], *, clock: Clock) -> None:
    """Return once the service knows what each of ``devices`` reported that it trusts.

    Raises:
        DemoError: the service answers, but not with metrics.
    """
    wanted = set(devices)
    await _wait(url, lambda text: wanted <= set(_REPORT.findall(text)), clock)


async def wait_for_handshakes(url: str, devices: Iterable[str], *, clock: Clock) -> None:
    """Return once the service has read of a good handshake of each of ``devices``.

    Raises:
        DemoError: the service answers, but not with metrics.
    """
    wanted = set(devices)
    await _wait(url, lambda text: wanted <= set(_SUCCESS.findall(text)), clock)


async def _wait(url: str, holds: Callable[[str], bool], clock: Clock) -> None:
    async with aiohttp.ClientSession(timeout=_ANSWER) as session:
        while True:
            async with session.get(f"{url}/metrics") as answer:
                text = await answer.text()
                if answer.status != 200:
                    raise DemoError(f"{url}/metrics answers {answer.status}: {text[:200]}")
            if holds(text):
                return
            await clock.sleep(_BETWEEN_S)
