"""TLS of an HTTP server of ours, from the files of the ``web`` section."""

import ssl
from pathlib import Path
from typing import Protocol

from exporter.errors import ConfigError, Fault


class TlsFiles(Protocol):
    """Where certificate, key and the clients' CAs are; certificate and key go together."""

    @property
    def cert_file(self) -> Path | None:
        """PEM chain that is shown; None: plain HTTP."""
        ...

    @property
    def key_file(self) -> Path | None:
        """Its private key."""
        ...

    @property
    def client_ca_file(self) -> Path | None:
        """PEM with the CAs of client certificates; None: none is asked for."""
        ...


def tls_context(options: TlsFiles) -> ssl.SSLContext | None:
    """Return the settings for new connections; None: plain HTTP.

    Raises:
        ConfigError: a file cannot be used.
    """
    if options.cert_file is None or options.key_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # An encrypted key would make OpenSSL ask at the terminal; the empty word makes it fail
        context.load_cert_chain(options.cert_file, options.key_file, password="")
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise _fault("web.cert_file", options.cert_file, exc) from exc
    if options.client_ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(options.client_ca_file)
        except (OSError, ValueError) as exc:
            raise _fault("web.client_ca_file", options.client_ca_file, exc) from exc
    return context


def state_of_files(options: TlsFiles) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what changes when one of the files does."""
    files = (options.cert_file, options.key_file, options.client_ca_file)
    return tuple(_state(path) for path in files)


def _state(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _fault(place: str, path: Path, exc: Exception) -> ConfigError:
    detail = exc.reason if isinstance(exc, ssl.SSLError) and exc.reason else exc
    message = f"{path} cannot be used, or does not fit its key: {detail}"
    return ConfigError([Fault(place=place, message=message)])
