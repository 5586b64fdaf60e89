"""What a device does for its trust store: fetch what it is to change, change it, and report.

Through the gateway only while the device accepts it; over the fallback channel, where it has one,
only what a recovery put there. How it goes can be set while it runs, by two files beside the
store: ``update-delay`` (like ``30s``) and ``update-failure`` (the sentence it fails with).
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from exporter.certificates import Certificate, read_pem
from exporter.clock import Clock
from exporter.demo.device import Device
from exporter.durations import parse_duration
from exporter.errors import CertificateError

_REPORT_EVERY_S = 10.0
_SUFFIX = ".pem"


def anchors_in(trust_store: Path) -> Mapping[Path, Certificate]:
    """Return the certificate in each file; what is no certificate is no anchor."""
    found = {}
    for path in sorted(trust_store.glob(f"*{_SUFFIX}")):
        try:
            (certificate,) = read_pem(path.read_bytes(), what=path.name)
        except (OSError, CertificateError, ValueError):
            continue
        found[path] = certificate
    return found


def add_anchor(trust_store: Path, pem: str) -> None:
    """Write an anchor so that no reader ever sees half of it; one that is there stays.

    Raises:
        OSError: it cannot be written; the store is as it was.
    """
    (certificate,) = read_pem(pem.encode(), what="the new anchor")
    fingerprint = certificate.fingerprint_sha256
    if any(one.fingerprint_sha256 == fingerprint for one in anchors_in(trust_store).values()):
        return
    unnamed = trust_store / f".{fingerprint[:16]}"
    try:
        unnamed.write_text(pem)
        unnamed.rename(trust_store / f"{fingerprint[:16]}{_SUFFIX}")
    except OSError:  # a full disk holds the name and no content
        unnamed.unlink(missing_ok=True)
        raise


def remove_anchor(trust_store: Path, fingerprint: str) -> None:
    """Remove an anchor under whatever name it lies there."""
    for path, certificate in anchors_in(trust_store).items():
        if certificate.fingerprint_sha256 == fingerprint:
            path.unlink(missing_ok=True)


class StoreKeeper:
    """Keeps one device's trust store as the management API has it.

    Args:
        session: Speaks to the management API, as devices may.
        is_connected: Whether the device reaches its gateway now.
    """

    def __init__(
        self,
        device: Device,
        session: aiohttp.ClientSession,
        clock: Clock,
        *,
        interval_s: float,
        is_connected: Callable[[], bool],
    ) -> None:
        self._device = device
        self._session = session
        self._clock = clock
        self._interval_s = interval_s
        self._is_connected = is_connected
        self._path = f"/devices/{device.name}/truststore"
        self._told: frozenset[str] | None = None
        self._told_at = 0.0

    async def run(self) -> None:
        """Look for updates until cancelled; what does not answer is asked again."""
        while True:
            # The API may not be there for a moment: a device comes again
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                await self._look()
            await self._clock.sleep(self._interval_s)

    async def _look(self) -> None:
        if self._is_connected():
            await self._update("usual")
            await self._report(is_due=self._clock.monotonic() >= self._told_at + _REPORT_EVERY_S)
        elif self._device.has_fallback and await self._update("fallback"):
            await self._report(is_due=True)

    async def _update(self, channel: str) -> bool:
        """Carry out what is to be done; return whether there was anything."""
        url = f"{self._path}/updates"
        async with self._session.get(url, params={"channel": channel}) as answer:
            updates = (await answer.json()).get("updates", [])
        for update in updates:
            error = await self._carry_out(update)
            word = (
                {"status": "COMPLETE"} if error is None else {"status": "FAILED", "error": error}
            )
            async with self._session.post(f"{url}/{update['number']}", json=word):
                pass
        return bool(updates)

    async def _carry_out(self, update: Mapping[str, Any]) -> str | None:
        """Return why it could not be done; None: it is."""
        folder = self._device.trust_store.parent
        await self._clock.sleep(_delay_s(folder / "update-delay"))
        failure = _setting(folder / "update-failure")
        if failure:
            return failure
        try:
            if update["operation"] == "ADD":
                await asyncio.to_thread(
                    add_anchor, self._device.trust_store, update["certificate"]
                )
            else:
                await asyncio.to_thread(
                    remove_anchor, self._device.trust_store, update["fingerprint"]
                )
        except OSError as exc:
            return os.strerror(exc.errno or 0)
        return None

    async def _report(self, *, is_due: bool) -> None:
        held = await asyncio.to_thread(anchors_in, self._device.trust_store)
        store = frozenset(one.fingerprint_sha256 for one in held.values())
        if store == self._told and not is_due:
            return
        body = {
            # In full, so that whoever reads it can judge by it
            "anchors": [path.read_text() for path in held],
            "reportedAt": self._clock.now().isoformat(),
        }
        async with self._session.post(f"{self._path}/report", json=body) as answer:
            if answer.status == 202:
                self._told, self._told_at = store, self._clock.monotonic()


def _setting(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _delay_s(path: Path) -> float:
    try:
        return parse_duration(_setting(path))
    except ValueError:  # not set, or no duration
        return 0.0
