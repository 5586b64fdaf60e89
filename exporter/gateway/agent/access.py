"""Who may call what: bearer tokens from files that may change, or a client certificate."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from exporter.gateway.agent.answers import RefusedError
from exporter.gateway.messages import ErrorCode
from exporter.web.auth import is_bearer

_MAX_TOKEN_BYTES = 4096


class Access:
    """Lets requests through, or refuses them.

    Args:
        token_file: Opens every call; None: only a client certificate does.
        report_token_file: Opens the calls of all devices.
        device_files: Open the calls of one device each.
        has_client_ca: Nobody gets here without a client certificate that was verified.
    """

    def __init__(
        self,
        *,
        token_file: Path | None,
        report_token_file: Path | None,
        device_files: Mapping[str, Path],
        has_client_ca: bool,
    ) -> None:
        self._token_file = token_file
        self._report_token_file = report_token_file
        self._device_files = device_files
        self._has_client_ca = has_client_ca

    async def check(self, request: web.Request) -> None:
        """Return when everything may be asked for.

        Raises:
            RefusedError: no credential, or not a good one.
        """
        if self._token_file is None and self._has_client_ca:
            return
        if not await self._opens(request, self._token_file):
            raise _unauthorized(request)

    async def check_device(self, request: web.Request, device: str) -> None:
        """Return when ``device`` may be spoken for.

        Raises:
            RefusedError: no credential, or not a good one.
        """
        for file in (self._device_files.get(device), self._report_token_file):
            if await self._opens(request, file):
                return
        await self.check(request)

    async def _opens(self, request: web.Request, file: Path | None) -> bool:
        if file is None:
            return False
        token = await asyncio.to_thread(_read, file)
        return is_bearer(request.headers.get("Authorization"), token)


def _read(path: Path) -> bytes:
    # Read for each request, so that a changed file counts at once; without one nobody is let in
    try:
        with path.open("rb") as file:
            return file.read(_MAX_TOKEN_BYTES).strip()
    except OSError:
        return b""


def _unauthorized(request: web.Request) -> RefusedError:
    what = (
        "this credential is not the right one"
        if "Authorization" in request.headers
        else "a bearer token is needed"
    )
    return RefusedError(ErrorCode.UNAUTHORIZED, what)
