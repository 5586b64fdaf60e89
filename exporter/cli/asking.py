"""How a command asks the running service: where it is, who we are, and a bounded answer."""

import http.client
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from exporter.cli.names import PROGRAM
from exporter.errors import ExporterError

_DEFAULT_URL = "http://127.0.0.1:9883"
_TIMEOUT_S = 30.0
_MAX_ANSWER_BYTES = 64 * 2**20
_MAX_TOKEN_BYTES = 65_536
_MAX_SAID = 300
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True, readable=True)
_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not to listen at


class ServiceError(ExporterError):
    """The running service did not answer as asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service.

    Attributes:
        url: Its base URL.
        token: The bearer token; empty: none is shown.
        tls: How it is verified; None: by the system's CAs.
        leaf: DER of the certificate it must show, because it is our own; None: any that verifies.
    """

    url: str
    token: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    leaf: bytes | None = None

    def ask(self, path: str, *, method: str = "GET", body: bytes | None = None) -> bytes:
        """Return the body of the answer to ``path``, which begins with a slash.

        Raises:
            ServiceError: it cannot be reached, or refuses.
        """
        try:
            status, said = self._exchange(path, method, body)
        except (OSError, http.client.HTTPException) as exc:
            why = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
            raise ServiceError(f"the service at {self.url} cannot be asked: {why}") from exc
        if status != http.client.OK:
            words = said[:_MAX_SAID].decode("utf-8", "replace").strip()
            raise ServiceError(f"the service at {self.url} answered with status {status}: {words}")
        return said

    def _exchange(self, path: str, method: str, body: bytes | None) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        connection = self._connection(parts.hostname or "", parts.port, parts.scheme)
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.connect()
            self._check_leaf(connection)
            connection.request(method, parts.path.rstrip("/") + path, body, headers)
            answer = connection.getresponse()
            said = answer.read(_MAX_ANSWER_BYTES + 1)
        finally:
            connection.close()
        if len(said) > _MAX_ANSWER_BYTES:
            raise ServiceError(f"the service at {self.url} answers with too much; is it ours?")
        return answer.status, said

    def _connection(self, host: str, port: int | None, scheme: str) -> http.client.HTTPConnection:
        if scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=self.tls)
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)

    def _check_leaf(self, connection: http.client.HTTPConnection) -> None:
        if self.leaf is None or not isinstance(connection.sock, ssl.SSLSocket):
            return
        if connection.sock.getpeercert(binary_form=True) != self.leaf:
            raise ServiceError(
                f"the service at {self.url} does not show the certificate of its configuration;"
                " give --url and --ca-file instead"
            )


def told_by(service: Service, path: str, key: str) -> Mapping[str, Any]:
    """Return the answer to ``path``, which holds ``key`` if it is our service that answered.

    Raises:
        ServiceError: it cannot be reached, refuses, or is another program.
    """
    return _read(service, service.ask(path), key)


def tell(service: Service, path: str, body: Mapping[str, object], key: str) -> Mapping[str, Any]:
    """Tell the service something; return its answer, as ``told_by`` does."""
    said = service.ask(path, method="POST", body=json.dumps(body).encode())
    return _read(service, said, key)


def _read(service: Service, said: bytes, key: str) -> Mapping[str, Any]:
    try:
        answer = dict(json.loads(said))
    except (ValueError, TypeError):
        answer = {}
    if key not in answer:
        raise ServiceError(f"what {service.url} answers is not ours; is it another program?")
    return answer


def asks_the_service(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``command`` the options that say where the service is, and the argument ``service``."""

    @wraps(command)
    def with_service(
        *args: Any,
        url: str | None,
        token_file: Path | None,
        ca_file: Path | None,
        client_cert: Path | None,
        client_key: Path | None,
        config: Path | None,
        **more: Any,
    ) -> Any:
        service = _from_config(config) if config is not None else Service(url=_DEFAULT_URL)
        if url is not None:
            service = Service(url=_checked(url), token=service.token)
        tls, leaf = service.tls, service.leaf
        if ca_file is not None or client_cert is not None:
            tls, leaf = _tls(ca_file, client_cert, client_key), None
        token = service.token if token_file is None else _token_in(token_file)
        found = Service(url=service.url, token=token, tls=tls, leaf=leaf)
        return command(*args, service=found, **more)

    for option in reversed(_OPTIONS):
        with_service = option(with_service)
    return with_service


_OPTIONS = (
    click.option(
        "--url",
        metavar="URL",
        help=f"The running service.  [default: that of --config, else {_DEFAULT_URL}]",
    ),
    click.option(
        "--token-file",
        type=_FILE,
        metavar="FILE",
        help="Bearer token, one line.  [default: web.token_file of --config]",
    ),
    click.option("--ca-file", type=_FILE, metavar="PEM", help="CAs of the service's certificate."),
    click.option(
        "--client-cert", type=_FILE, metavar="PEM", help="Our certificate, where it wants one."
    ),
    click.option("--client-key", type=_FILE, metavar="PEM", help="Its private key."),
    click.option(
        "--config", type=_FILE, metavar="FILE", help="The configuration the service runs with."
    ),
)


def _from_config(path: Path) -> Service:
    from exporter.config import load  # noqa: PLC0415 - help stays quick

    config = load(path)
    host, port = config.listen.host, config.listen.port
    if not port:
        raise ServiceError(f"{path} lets the system choose the port; say where with --url")
    host = _ANYWHERE.get(host, host)
    shown = f"[{host}]" if ":" in host else host
    scheme = "http" if config.web.cert_file is None else "https"
    token = "" if config.web.token_file is None else _token_in(config.web.token_file)
    service = Service(url=f"{scheme}://{shown}:{port}", token=token)
    if config.web.cert_file is None:
        return service
    # Its certificate is for the name others know it by, so it is known by its own file instead
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    leaf = ssl.PEM_cert_to_DER_cert(_first_pem(config.web.cert_file))
    return Service(url=service.url, token=token, tls=context, leaf=leaf)


def _first_pem(path: Path) -> str:
    end = "-----END CERTIFICATE-----"
    begin = "-----BEGIN CERTIFICATE-----"
    head, _, _ = path.read_text("latin-1").partition(end)
    return begin + head.partition(begin)[2] + end


def _tls(
    ca_file: Path | None, client_cert: Path | None, client_key: Path | None
) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        if client_cert is not None:
            context.load_cert_chain(client_cert, client_key or client_cert, "")
    except OSError as exc:
        names = " and ".join(str(one) for one in (ca_file, client_cert, client_key) if one)
        raise ServiceError(
            f"{names} cannot be used: PEM is needed, and the key of the certificate, not encrypted"
        ) from exc
    return context


def _checked(url: str) -> str:
    from exporter.urls import http_url  # noqa: PLC0415 - help stays quick

    try:
        return http_url(url).rstrip("/")
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--url") from exc


def _token_in(path: Path) -> str:
    from exporter.text_files import read_bounded  # noqa: PLC0415 - help stays quick

    token = read_bounded(path, _MAX_TOKEN_BYTES).decode("latin-1").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise ServiceError(f"{path} does not hold a token of one line; see {PROGRAM} --help")
    return token
