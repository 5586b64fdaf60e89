"""Real programs that log TLS handshakes, and clients that make each kind of failure with them."""

import contextlib
import os
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exporter.certificates import describe
from tests import daemons
from tests.daemons import Daemon, free_port, has_read_all, need, wait_until
from tests.handshake_log.snippets import snippet
from tests.pki import CLIENT_AUTH, Issued, make_ca, make_leaf

HANDSHAKE_TIMEOUT_S = 1
DEBUG = False  # a test sets it: everything that a program can say
OF_DEBIANS_HAPROXY = "option dontlognull"  # in its "defaults"; a test leaves it out
MQTT_PORTS: set[int] = set()  # those that want MQTT after the handshake, not HTTP


@dataclass(frozen=True, slots=True, kw_only=True)
class Pki:
    """Files that every producer and client of a test run shares."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def other_ca(self) -> Path:
        return self.folder / "other-ca.pem"

    def pair(self, name: str) -> Path:
        """Certificate and key in one file: server, expired-server, device, stranger, expired."""
        return self.folder / f"{name}.pem"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def not_after(self, name: str) -> datetime:
        return describe(self._der(name)).not_after

    def _der(self, name: str) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.certificate(name).read_text())


def make_pki(folder: Path) -> Pki:
    """Make a CA with a server and devices, and a CA that nobody trusts with one of each."""
    now = datetime.now(UTC)  # noqa: TID251 - real daemons have the real clock
    begun, ended = now - timedelta(days=30), now - timedelta(days=1)
    ca, other = make_ca("fleet CA"), make_ca("other CA")
    hosts, client = ("localhost", "127.0.0.1"), (CLIENT_AUTH,)
    _write(folder, "ca", ca)
    _write(folder, "other-ca", other)
    _write(folder, "server", make_leaf(ca, *hosts))
    _write(folder, "expired-server", make_leaf(ca, *hosts, not_before=begun, not_after=ended))
    _write(folder, "device", make_leaf(ca, "dev-01", purposes=client))
    _write(folder, "stranger", make_leaf(other, "dev-99", purposes=client))
    _write(
        folder,
        "expired",
        make_leaf(ca, "dev-02", purposes=client, not_before=begun, not_after=ended),
    )
    return Pki(folder=folder)


def _write(folder: Path, name: str, issued: Issued) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    daemons.write_pem(folder, f"{name}.pem", issued, with_key=not name.endswith("ca"))
    daemons.write_pem(folder, f"{name}.crt", issued)
    daemons.write_key(folder, f"{name}.key", issued)


# --- clients ---------------------------------------------------------------------------------


def _context(
    pki: Pki, version: ssl.TLSVersion, *, trusts: Path, shows: str | None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(trusts)
    context.minimum_version = context.maximum_version = version
    if shows is not None:
        context.load_cert_chain(pki.pair(shows))
    return context


_HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
# MQTT 3.1.1, 3.1 and 3.14: CONNECT as "dev-01", DISCONNECT.
_MQTT = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06dev-01\xe0\x00"


def shake(port: int, context: ssl.SSLContext) -> None:
    """Shake hands, say something and read to the end; a refusal of either side is no error.

    A refusing client waits for the server to close: closing with unread bytes resets the
    connection, and the reset may overtake the alert.
    """
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        plain.dup() as kept,
        contextlib.suppress(OSError),
    ):
        with (
            contextlib.suppress(OSError),  # ssl.SSLError is one
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(_MQTT if MQTT_PORTS & {port} else _HTTP)
            # In TLS 1.3 a server's refusal of our certificate is read, not met before.
            while secure.recv(4096):
                pass
            secure.unwrap()
        kept.shutdown(socket.SHUT_WR)
        while kept.recv(4096):
            pass


Client = Callable[[int, Pki, ssl.TLSVersion], None]


def good(port: int, pki: Pki, version: ssl.TLSVersion) -> None:
    shake(port, _context(pki, version, trusts=pki.ca, shows="device"))


def resuming(port: int, pki: Pki) -> None:
    """Shake hands in TLS 1.2, and again with the session of the first time."""
    context = _context(pki, ssl.TLSVersion.TLSv1_2, trusts=pki.ca, shows="device")
    session = None
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as secure,
        ):
            secure.sendall(_HTTP)
            session = secure.session
            with contextlib.suppress(OSError):
                while secure.recv(4096):
                    pass
                secure.unwrap()


def distrusting(port: int, pki: Pki, version: ssl.TLSVersion) -> None:
    """Refuses the server: unknown CA, or expired where the server's certificate is."""
    shake(port, _context(pki, version, trusts=pki.other_ca, shows="device"))


def checking(port: int, pki: Pki, version: ssl.TLSVersion) -> None:
    """Trusts the CA, and so refuses only what is wrong with the server's certificate."""
    shake(port, _context(pki, version, trusts=pki.ca, shows="device"))


def stranger(port: int, pki: Pki, version: ssl.TLSVersion) -> None:
    shake(port, _context(pki, version, trusts=pki.ca, shows="stranger"))


def expired(port: int, pki: Pki, version: ssl.TLSVersion) -> None:
    shake(port, _context(pki, version, trusts=pki.ca, shows="expired"))


def nameless(port: int, pki: Pki, version: ssl.TLSVersion) -> None:
    shake(port, _context(pki, version, trusts=pki.ca, shows=None))


def old_version(port: int, pki: Pki, _version: ssl.TLSVersion) -> None:
    """Speaks TLS 1.1 at most; Python warns of that, so the program does it."""
    _s_client(port, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")


def odd_cipher(port: int, pki: Pki, version: ssl.TLSVersion) -> None:
    """Offers what the server, which has an EC key and no CCM suite, cannot take."""
    if version is ssl.TLSVersion.TLSv1_3:
        _s_client(port, "-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256")
    else:
        _s_client(port, "-tls1_2", "-cipher", "AES128-SHA256")


def plain_http(port: int, _pki: Pki, _version: ssl.TLSVersion) -> None:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 30) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while plain.recv(4096):
            pass


def resetting(port: int, _pki: Pki, _version: ssl.TLSVersion) -> None:
    """Sends the head of a record and resets the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        plain.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        own = plain.getsockname()[1]
        wait_until(lambda: has_read_all(port, own), what="the server to read it before the reset")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(port: int, _pki: Pki, _version: ssl.TLSVersion) -> None:
    """Connects, sends the head of a record and nothing more until the server gives up."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 30) as plain:
        plain.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        while plain.recv(4096):
            pass


def _s_client(port: int, *arguments: str) -> None:
    subprocess.run(
        [need("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )


# --- programs --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """A running program.

    Attributes:
        port: It asks for a client certificate here.
        expired_port: The same with an expired certificate of its own.
        log: Files that it logs to, in its folder.
    """

    daemon: Daemon
    port: int
    expired_port: int
    logs: tuple[str, ...]

    def texts(self) -> tuple[bytes, ...]:
        """All it has logged so far, by file."""
        paths = [self.daemon.directory / name for name in self.logs]
        return tuple(path.read_bytes() if path.exists() else b"" for path in paths)

    def text(self) -> bytes:
        """All it has logged so far."""
        return b"".join(self.texts())


Start = Callable[[Path, Pki, bool], contextlib.AbstractContextManager[Producer]]


@contextlib.contextmanager
def _running(daemon: Daemon, ports: tuple[int, int], *logs: str) -> Iterator[Producer]:
    with daemon:
        yield Producer(daemon=daemon, port=ports[0], expired_port=ports[1], logs=logs)


def _level(everything: str, usual: str) -> str:
    return everything if DEBUG else usual


def _nginx_server(pki: Pki, port: int, name: str, *, more: str) -> str:
    return (
        f"server {{\n listen 127.0.0.1:{port} ssl;\n ssl_protocols TLSv1.2 TLSv1.3;\n"
        f" ssl_certificate {pki.certificate(name)};\n ssl_certificate_key {pki.key(name)};\n"
        f" ssl_client_certificate {pki.ca};\n ssl_verify_client on;\n {more}\n}}\n"
    )


def nginx_http(
    folder: Path, pki: Pki, recommended: bool
) -> contextlib.AbstractContextManager[Producer]:
    ports = free_port(), free_port()
    more = f'client_header_timeout {HANDSHAKE_TIMEOUT_S}s;\n location / {{ return 200 "ok"; }}'
    log = snippet("nginx http format", tls_log=str(folder / "tls.log")) if recommended else ""
    blocks = "".join(
        _nginx_server(pki, port, name, more=more)
        for port, name in zip(ports, ("server", "expired-server"), strict=True)
    )
    level = _level("debug", "info" if recommended else "error")
    daemon = daemons.nginx(folder, http=log + blocks, ports=ports, error_level=level)
    return _running(daemon, ports, "error.log", "tls.log", "access.log")


def nginx_stream(
    folder: Path, pki: Pki, recommended: bool
) -> contextlib.AbstractContextManager[Producer]:
    ports = free_port(), free_port()
    more = f"ssl_handshake_timeout {HANDSHAKE_TIMEOUT_S}s;\n return ok;"
    log = snippet("nginx stream format", tls_log=str(folder / "tls.log")) if recommended else ""
    blocks = "".join(
        _nginx_server(pki, port, name, more=more)
        for port, name in zip(ports, ("server", "expired-server"), strict=True)
    )
    level = _level("debug", "info" if recommended else "error")
    daemon = daemons.nginx(folder, stream=log + blocks, ports=ports, error_level=level)
    return _running(daemon, ports, "error.log", "tls.log")


def haproxy(
    folder: Path, pki: Pki, recommended: bool
) -> contextlib.AbstractContextManager[Producer]:
    ports = free_port(), free_port()
    log = snippet("haproxy formats") if recommended else "option httplog\n"
    sections = "".join(
        f"frontend {name}\n mode http\n timeout client {HANDSHAKE_TIMEOUT_S}s\n"
        f" {OF_DEBIANS_HAPROXY}\n {log}"
        f" bind 127.0.0.1:{port} ssl crt {pki.pair(name)} ca-file {pki.ca} verify required "
        "ssl-min-ver TLSv1.2\n"
        ' http-request return status 200 content-type text/plain string "ok"\n'
        for port, name in zip(ports, ("server", "expired-server"), strict=True)
    )
    daemon = daemons.haproxy(folder, sections=sections, ports=ports)
    return _running(daemon, ports, "output")


def mosquitto(
    folder: Path, pki: Pki, recommended: bool
) -> contextlib.AbstractContextManager[Producer]:
    ports = free_port(), free_port()
    MQTT_PORTS.update(ports)
    listeners = "".join(
        f"listener {port} 127.0.0.1\ncafile {pki.ca}\ncertfile {pki.certificate(name)}\n"
        f"keyfile {pki.key(name)}\nrequire_certificate true\ntls_version tlsv1.2\n"
        for port, name in zip(ports, ("server", "expired-server"), strict=True)
    )
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "mosquitto.conf"
    logs = _level("log_type all\n", snippet("mosquitto log types") if recommended else "")
    user = "user root\n" if os.geteuid() == 0 else ""
    config.write_text(f"{user}log_dest stderr\n{logs}allow_anonymous true\n{listeners}")
    daemon = Daemon((need("mosquitto"), "-c", config), directory=folder, ports=ports)
    return _running(daemon, ports, "output")


def apache(
    folder: Path, pki: Pki, recommended: bool
) -> contextlib.AbstractContextManager[Producer]:
    ports = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    modules = Path("/usr/lib/apache2/modules")
    names = ("mpm_event", "authz_core", "socache_shmcb", "ssl", "reqtimeout")
    loads = "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in names)
    logs = ""
    if recommended:
        access = snippet("apache access log", apache_log=str(folder / "tls.log"))
        logs = _level("LogLevel warn ssl:trace8\n", snippet("apache log level")) + access
    hosts = "".join(
        f"Listen 127.0.0.1:{port}\n<VirtualHost 127.0.0.1:{port}>\n SSLEngine on\n"
        f" SSLCertificateFile {pki.certificate(name)}\n SSLCertificateKeyFile {pki.key(name)}\n"
        f" SSLCACertificateFile {pki.ca}\n SSLVerifyClient require\n"
        f" SSLProtocol -all +TLSv1.2 +TLSv1.3\n</VirtualHost>\n"
        for port, name in zip(ports, ("server", "expired-server"), strict=True)
    )
    config = folder / "apache.conf"
    config.write_text(
        f"{loads}ServerRoot {folder}\nServerName localhost\nPidFile {folder}/pid\n"
        f"User {_user()}\nGroup {_group()}\nErrorLog {folder}/error.log\nDocumentRoot {folder}\n"
        f"StartServers 1\nSSLSessionCache shmcb:{folder}/cache(512000)\n"
        f"RequestReadTimeout handshake={HANDSHAKE_TIMEOUT_S} header=5 body=5\n{logs}{hosts}"
    )
    daemon = Daemon(
        (need("apache2"), "-f", config, "-D", "FOREGROUND"), directory=folder, ports=ports
    )
    return _running(daemon, ports, "error.log", "tls.log")


def _user() -> str:
    return "nobody" if os.geteuid() == 0 else str(os.geteuid())


def _group() -> str:
    return "nogroup" if os.geteuid() == 0 else f"#{os.getegid()}"


def stunnel(
    folder: Path, pki: Pki, recommended: bool
) -> contextlib.AbstractContextManager[Producer]:
    ports = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    level = _level("debug = 7\n", snippet("stunnel debug level") if recommended else "")
    services = "".join(
        f"[{name}]\naccept = 127.0.0.1:{port}\nexec = /bin/true\nexecArgs = true\n"
        f"cert = {pki.pair(name)}\nCAfile = {pki.ca}\nverifyChain = yes\nrequireCert = yes\n"
        f"sslVersionMin = TLSv1.2\nTIMEOUTbusy = {HANDSHAKE_TIMEOUT_S}\n"
        for port, name in zip(ports, ("server", "expired-server"), strict=True)
    )
    config = folder / "stunnel.conf"
    config.write_text(f"foreground = yes\npid =\nsyslog = no\n{level}{services}")
    daemon = Daemon((need("stunnel4"), config), directory=folder, ports=ports)
    return _running(daemon, ports, "output")


def gnutls(
    folder: Path, pki: Pki, _recommended: bool
) -> contextlib.AbstractContextManager[Producer]:
    """One gnutls-serv serves one certificate; a second one has the expired one."""
    return _gnutls(folder, pki)


@contextlib.contextmanager
def _gnutls(folder: Path, pki: Pki) -> Iterator[Producer]:
    ports = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(
                Daemon(
                    (
                        need("gnutls-serv"), "--http", "--port", str(port),
                        "--x509certfile", pki.certificate(name), "--x509keyfile", pki.key(name),
                        "--x509cafile", pki.ca, "--require-client-cert",
                        "--verify-client-cert", "--priority", "NORMAL:-VERS-TLS1.1:-VERS-TLS1.0",
                    ),
                    directory=folder / name, ports=(port,), keep_stdin=True,
                )
            )
            for port, name in zip(ports, ("server", "expired-server"), strict=True)
        ]  # fmt: skip
        yield Producer(
            daemon=running[0],
            port=ports[0],
            expired_port=ports[1],
            logs=("output", "../expired-server/output"),
        )


_GO_SERVER = """
package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"time"
)

func serve(port, cert, key string, pool *x509.CertPool, done chan error) {
	server := &http.Server{
		Addr:        "127.0.0.1:" + port,
		ReadTimeout: %d * time.Second,
		TLSConfig: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
			MinVersion: tls.VersionTLS12},
	}
	done <- server.ListenAndServeTLS(cert, key)
}

func main() {
	pem, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	done := make(chan error)
	go serve(os.Args[2], os.Args[3], os.Args[4], pool, done)
	go serve(os.Args[5], os.Args[6], os.Args[7], pool, done)
	panic(<-done)
}
"""


def go(folder: Path, pki: Pki, _recommended: bool) -> contextlib.AbstractContextManager[Producer]:
    program = need("go")
    ports = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    source, built = folder / "server.go", folder / "server"
    source.write_text(_GO_SERVER % HANDSHAKE_TIMEOUT_S)
    shared = Path(os.environ.get("XDG_CACHE_HOME", "/tmp")) / "go-build-of-tests"  # noqa: S108 - a cache
    environment = {
        **os.environ,
        "GOCACHE": str(shared),
        "GOFLAGS": "-mod=mod",
        "GO111MODULE": "off",
    }
    subprocess.run(
        [program, "build", "-o", built, source], check=True, env=environment, cwd=folder
    )
    pairs = [
        part
        for port, name in zip(ports, ("server", "expired-server"), strict=True)
        for part in (str(port), pki.certificate(name), pki.key(name))
    ]
    daemon = Daemon((built, pki.ca, *pairs), directory=folder, ports=ports)
    return _running(daemon, ports, "output")


PRODUCERS: dict[str, Start] = {
    "nginx-http": nginx_http,
    "nginx-stream": nginx_stream,
    "haproxy": haproxy,
    "mosquitto": mosquitto,
    "apache": apache,
    "stunnel": stunnel,
    "gnutls": gnutls,
    "go": go,
}
