"""Behind a balancer: which real terminators log the real address that the PROXY protocol tells."""

import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import daemons
from tests.daemons import Daemon, free_port, need, wait_until
from tests.handshake_log import producers
from tests.handshake_log.producers import Pki
from tests.handshake_log.records import handshakes
from tests.handshake_log.snippets import snippet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

DEVICE = "10.0.0.77"  # behind the balancer, which is the test's own 127.0.0.1


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return producers.make_pki(tmp_path_factory.mktemp("pki"))


def shake(port: int, pki: Pki, trusts: Path) -> None:
    """Shake hands as a client whom a balancer passes on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(trusts)
    context.load_cert_chain(pki.pair("device"))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        contextlib.suppress(OSError),
    ):
        plain.sendall(f"PROXY TCP4 {DEVICE} 10.0.0.1 51234 8883\r\n".encode())
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while secure.recv(4096):
                pass


def nginx_stream(folder: Path, pki: Pki, port: int) -> Daemon:
    block = _nginx_block(folder, pki, port, "stream", "return ok;")
    return daemons.nginx(folder, stream=block, ports=(port,), error_level="info")


def nginx_http(folder: Path, pki: Pki, port: int) -> Daemon:
    more = 'real_ip_header proxy_protocol; location / { return 200 "ok"; }'
    block = _nginx_block(folder, pki, port, "http", more)
    return daemons.nginx(folder, http=block, ports=(port,), error_level="info")


def _nginx_block(folder: Path, pki: Pki, port: int, kind: str, more: str) -> str:
    return (
        f"{snippet(f'nginx {kind} format', tls_log=str(folder / 'tls.log'))}"
        f"server {{ listen 127.0.0.1:{port} ssl proxy_protocol; set_real_ip_from 127.0.0.0/8;"
        f" ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {pki.certificate('server')};"
        f" ssl_certificate_key {pki.key('server')}; ssl_client_certificate {pki.ca};"
        f" ssl_verify_client on; {more} }}"
    )


def haproxy(folder: Path, pki: Pki, port: int) -> Daemon:
    section = (
        f"frontend devices\n mode http\n timeout client 30s\n {snippet('haproxy formats')}"
        f" bind 127.0.0.1:{port} accept-proxy ssl crt {pki.pair('server')} ca-file {pki.ca}"
        " verify required\n http-request return status 200\n"
    )
    return daemons.haproxy(folder, sections=section, ports=(port,))


def apache(folder: Path, pki: Pki, port: int) -> Daemon:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("mpm_event", "authz_core", "socache_shmcb", "ssl", "remoteip")
    modules = "/usr/lib/apache2/modules"
    loads = "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in names)
    config = folder / "apache.conf"
    config.write_text(
        f"{loads}ServerRoot {folder}\nServerName localhost\nPidFile {folder}/pid\n"
        f"User {producers._user()}\nGroup {producers._group()}\nErrorLog {folder}/error.log\n"
        f"DocumentRoot {folder}\nStartServers 1\n{snippet('apache log level')}"
        f"{snippet('apache access log', apache_log=str(folder / 'tls.log'))}"
        f"Listen 127.0.0.1:{port}\n<VirtualHost 127.0.0.1:{port}>\n RemoteIPProxyProtocol On\n"
        f" SSLEngine on\n SSLCertificateFile {pki.certificate('server')}\n"
        f" SSLCertificateKeyFile {pki.key('server')}\n SSLCACertificateFile {pki.ca}\n"
        " SSLVerifyClient require\n</VirtualHost>\n"
    )
    command = (need("apache2"), "-f", config, "-D", "FOREGROUND")
    return Daemon(command, directory=folder, ports=(port,))


Start = Callable[[Path, Pki, int], Daemon]


def told_by(start: Start, logs: tuple[str, ...], folder: Path, pki: Pki) -> set[tuple[bool, str]]:
    """Success or not, and whose, after one client that refuses and one that does not."""
    port = free_port()

    def told() -> set[tuple[bool, str]]:
        paths = [folder / name for name in logs]
        text = b"".join(path.read_bytes() for path in paths if path.exists())
        return {(one.success, (one.peer or "").split(":")[0]) for one in handshakes(text)}

    with start(folder, pki, port):
        shake(port, pki, trusts=pki.other_ca)
        shake(port, pki, trusts=pki.ca)
        wait_until(lambda: len(told()) >= 2, what="two handshakes in the log")
    return told()


@pytest.mark.parametrize(
    ("start", "logs"),
    [
        pytest.param(nginx_stream, ("error.log", "tls.log"), id="nginx stream"),
        pytest.param(haproxy, ("output",), id="haproxy"),
    ],
)
def test_the_real_address_is_told_of_failures_and_of_successes(
    tmp_path: Path, pki: Pki, start: Start, logs: tuple[str, ...]
) -> None:
    assert told_by(start, logs, tmp_path / "daemon", pki) == {(False, DEVICE), (True, DEVICE)}


@pytest.mark.parametrize("start", [nginx_http, apache])
def test_where_the_address_comes_with_the_request_a_failure_is_the_balancers(
    tmp_path: Path, pki: Pki, start: Start
) -> None:
    told = told_by(start, ("error.log", "tls.log"), tmp_path / "daemon", pki)

    assert told == {(False, "127.0.0.1"), (True, DEVICE)}
