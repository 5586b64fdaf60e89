"""What we show to a management API, and whom we take it for: files that may change."""

import asyncio
import logging
import ssl
from pathlib import Path

from exporter.errors import ConfigError
from exporter.gateway.api import GatewayError, GatewayReason
from exporter.gateway.options import Options
from exporter.text_files import FileState, read_bounded, state_of

log = logging.getLogger(__name__)

_MAX_TOKEN_BYTES = 65_536


class Credentials:
    """Token and TLS settings of one API.

    The token is read for each request. The TLS settings are made again when one of their files
    has changed; a renewal that is half done changes nothing: the last good ones stay in use.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._seen: tuple[FileState | None, ...] | None = None
        self._context: ssl.SSLContext | None = None
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """Return the token as its file holds it now; empty: none is shown.

        Raises:
            GatewayError: the file cannot be read, or holds no token.
        """
        path = self._options.token_file
        return "" if path is None else await asyncio.to_thread(_token_in, path)

    async def tls(self) -> ssl.SSLContext:
        """Return how the server is verified, and which certificate it is shown.

        Raises:
            GatewayError: the files cannot be used, and never could.
        """
        async with self._lock:
            options = self._options
            paths = (options.ca_file, options.client_cert_file, options.client_key_file)
            seen = tuple(None if path is None else state_of(path) for path in paths)
            if seen != self._seen or self._context is None:
                self._context = await self._read_again()
                # the state from before the reading: what changed meanwhile is read once more
                self._seen = seen
            return self._context

    async def _read_again(self) -> ssl.SSLContext:
        try:
            return await asyncio.to_thread(_context_of, self._options)
        except GatewayError as exc:
            if self._context is None:
                raise
            log.warning(
                "management API %s: %s; the last good files are used", self._options.name, exc
            )
            return self._context


def _token_in(path: Path) -> str:
    try:
        token = read_bounded(path, _MAX_TOKEN_BYTES).decode("latin-1").strip()
    except ConfigError as exc:
        raise _unusable(f"{path}: {exc.faults[0].message}") from exc
    if not token or not token.isascii() or not token.isprintable():
        raise _unusable(f"{path} does not hold a token of one line")
    return token


def _context_of(options: Options) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            cafile=None if options.ca_file is None else str(options.ca_file)
        )
    except OSError as exc:
        raise _unusable(f"{options.ca_file} holds no CA certificates that can be read") from exc
    if options.client_cert_file is not None and options.client_key_file is not None:
        try:
            # an encrypted key is refused, and its password not asked for on a terminal
            context.load_cert_chain(options.client_cert_file, options.client_key_file, "")
        except OSError as exc:
            raise _unusable(
                f"{options.client_cert_file} with {options.client_key_file} cannot be used: both"
                " must be PEM, the key not encrypted and that of the first certificate"
            ) from exc
    return context


def _unusable(sentence: str) -> GatewayError:
    # retryable: files are put right while we run
    return GatewayError(GatewayReason.CREDENTIALS, sentence, retryable=True)
