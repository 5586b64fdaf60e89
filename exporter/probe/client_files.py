"""Our own client certificate: read from its files, and again whenever they change."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from exporter.clock import Clock
from exporter.errors import CertificateError
from exporter.probe.openssl import ClientContext
from exporter.text_files import FileState, state_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredential:
    """A certificate with its chain (leaf first) and its key."""

    chain: tuple[x509.Certificate, ...]
    key: PrivateKeyTypes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFilesState:
    """What is known of the files; for metrics and messages.

    Attributes:
        problem: Why the files as they are now cannot be used; None: they can, and are.
        loaded_at: When the certificate in use was read; None: none ever was.
        not_after: The end of the certificate in use.
        failure_count: How often a changed pair could not be used.
    """

    problem: str | None = None
    loaded_at: datetime | None = None
    not_after: datetime | None = None
    failure_count: int = 0


class ClientFiles:
    """Keeps the last pair that worked; a broken one changes nothing and is told in ``state``."""

    def __init__(self, cert_file: Path, key_file: Path, clock: Clock) -> None:
        self._cert_file = cert_file
        self._key_file = key_file
        self._clock = clock
        self._seen: tuple[FileState | None, FileState | None] | None = None
        self._lock = asyncio.Lock()
        self._context: ClientContext | None = None
        self.state = ClientFilesState()

    async def context(self) -> ClientContext | None:
        """Return the settings with the pair in use; None while there never was a good one.

        The files' state is asked for at each look (3 us on a local disk); they are read in a
        thread, and only when it changed.
        """
        seen = (state_of(self._cert_file), state_of(self._key_file))
        if seen != self._seen:
            async with self._lock:
                if seen != self._seen:
                    await self._read_again(seen)
        return self._context

    async def _read_again(self, seen: tuple[FileState | None, FileState | None]) -> None:
        try:
            credential, context = await asyncio.to_thread(self._load)
        except CertificateError as exc:
            self.state = ClientFilesState(
                problem=str(exc),
                loaded_at=self.state.loaded_at,
                not_after=self.state.not_after,
                failure_count=self.state.failure_count + 1,
            )
            kept = "the last good one is kept" if self._context else "none is shown"
            log.warning("client certificate: %s; %s", exc, kept)
        else:
            self._context = context
            self.state = ClientFilesState(
                loaded_at=self._clock.now(),
                not_after=credential.chain[0].not_valid_after_utc,
                failure_count=self.state.failure_count,
            )
        # the state from before the reading: a file that changed meanwhile is read once more
        self._seen = seen

    def _load(self) -> tuple[ClientCredential, ClientContext]:
        credential = read_pair(self._cert_file, self._key_file)
        try:
            return credential, ClientContext(credential)
        except ValueError as exc:
            raise CertificateError(
                f"{self._cert_file} with {self._key_file} cannot be used: {exc}"
            ) from exc


def read_pair(cert_file: Path, key_file: Path) -> ClientCredential:
    """Return the certificate chain and the key that goes with it.

    Raises:
        CertificateError: with a sentence, when one cannot be read or they do not fit.
    """
    chain = _read_chain(cert_file)
    key = _read_key(key_file)
    try:
        fits = chain[0].public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise CertificateError(f"{cert_file}: its key cannot be used: {exc}") from exc
    if not fits:
        raise CertificateError(
            f"{key_file} does not hold the key of the first certificate in {cert_file}"
        )
    return ClientCredential(chain=chain, key=key)


def _read_chain(path: Path) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except OSError as exc:
        raise CertificateError(f"{path} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise CertificateError(
            f"{path} holds no certificate in PEM form that can be read"
        ) from exc


def _read_key(path: Path) -> PrivateKeyTypes:
    # nothing of the key's text may reach a message: the exceptions' own words are left out
    try:
        return load_pem_private_key(path.read_bytes(), password=None)
    except OSError as exc:
        raise CertificateError(f"{path} cannot be read: {exc.strerror}") from exc
    except TypeError as exc:
        raise CertificateError(
            f"{path} holds an encrypted key; decrypt it (openssl pkey) and restrict its mode"
        ) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise CertificateError(
            f"{path} holds no private key in PEM form that can be read"
        ) from exc
