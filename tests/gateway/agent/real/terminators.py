"""The three real terminators, each with one TLS listener that serves ``current``."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from exporter.gateway.agent.driver import Driver
from exporter.gateway.agent.drivers import Terminator, make_driver
from tests import daemons
from tests.daemons import Daemon, free_port, is_listening, need, wait_until
from tests.gateway.agent.real.stand import SClient, Service, Versions

HTTP = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
# MQTT 3.1.1, 3.1 and 3.14: CONNECT as "dev-01", DISCONNECT
MQTT = "\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06dev-01\xe0\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """A running terminator.

    Attributes:
        folder: Its configuration and logs.
        words: What a client says to it after the handshake, so that it answers and closes.
        logs: Files in ``folder`` where handshakes may be logged.
        stop: Ends it.
    """

    name: str
    folder: Path
    versions: Versions
    port: int
    words: str
    logs: tuple[str, ...]
    section: Terminator
    stop: Callable[[], None]

    def driver(self) -> Driver:
        return make_driver(self.section, self.versions.tools)

    def client(self, store: Path) -> SClient:
        return SClient(self.port, store, words=self.words)

    def logged(self) -> bytes:
        paths = [self.folder / name for name in self.logs]
        return b"".join(path.read_bytes() for path in paths if path.exists())


Start = Callable[[Path, Versions], AbstractContextManager[Real]]


@contextmanager
def nginx(
    folder: Path,
    versions: Versions,
    *,
    context: str = "http",
    chosen: bool = False,
    more: str = "",
) -> Iterator[Real]:
    """nginx with one server; ``chosen``: a variable chooses its certificate."""
    port = free_port()
    (folder / "include").mkdir(parents=True)
    (folder / "keys").write_bytes(bytes(range(80)))
    where = "$versions" if chosen else str(versions.current)
    answer = 'location / { return 200 "ok"; }' if context == "http" else "return ok;"
    block = (
        f"include {folder}/include/{context}*.conf;\n"
        f"map $ssl_server_name $versions {{ default {versions.current}; }}\n"
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.2 TLSv1.3;\n"
        f"ssl_certificate {where}/chain.pem;\nssl_certificate_key {where}/key.pem;\n"
        f"{more}\n{answer} }}"
    )
    is_http = context == "http"
    daemon = daemons.nginx(
        folder,
        http=block if is_http else "",
        stream="" if is_http else block,
        ports=(port,),
        error_level="error",
    )
    section = {
        "addresses": [f"127.0.0.1:{port}"],
        "config": f"{folder}/nginx.conf",
        "pid_file": f"{folder}/nginx.pid",
        "handshake_include": f"{folder}/include",
        "handshakes_log": f"{folder}/tls.log",
        "timeout": "15s",
    }
    with daemon:
        yield _real(
            "nginx", section, folder, versions, port, HTTP, ("error.log", "tls.log"), daemon
        )


@contextmanager
def haproxy(
    folder: Path,
    versions: Versions,
    *,
    apply: str = "runtime",
    bind: str = "",
    globally: str = "",
    crt_list: Path | None = None,
) -> Iterator[Real]:
    """HAProxy with its master; ``bind``, ``globally``: further settings."""
    served = f"crt {versions.current}/haproxy.pem"
    if crt_list is not None:
        crt_list.write_text(f"{versions.current}/haproxy.pem [alpn http/1.1]\n")
        served = f"crt-list {crt_list}"
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "1-defaults.cfg").write_text(
        f"global\n  {globally}\n  log stdout format raw local0 info\n"
        f"  stats socket {folder}/admin.sock mode 600 level admin\n"
        "defaults\n  log global\n"
        "  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
    )
    (folder / "2-gateway.cfg").write_text(
        f"frontend gateway\n  mode http\n"
        f"  bind 127.0.0.1:{port} ssl {served} {bind}\n"
        '  http-request return status 200 content-type text/plain string "ok"\n'
    )
    command = (
        need("haproxy"), "-W", "-S", f"{folder}/master.sock,mode,600",
        "-f", folder / "1-defaults.cfg", "-f", folder / "2-gateway.cfg",
    )  # fmt: skip
    section = {
        "addresses": [f"127.0.0.1:{port}"],
        "config": [f"{folder}/1-defaults.cfg", f"{folder}/2-gateway.cfg"],
        "apply": apply,
        "control_socket": f"{folder}/admin.sock",
        "master_socket": f"{folder}/master.sock",
        "handshake_include": f"{folder}/1-defaults.cfg",
        "timeout": "15s",
    }
    with Daemon(command, directory=folder, ports=(port,)) as daemon:
        yield _real("haproxy", section, folder, versions, port, HTTP, ("output",), daemon)


@contextmanager
def mosquitto(
    folder: Path, versions: Versions, *, drop_tickets: bool = False, log_type: str = "warning"
) -> Iterator[Real]:
    port = free_port()
    (folder / "conf.d").mkdir(parents=True)
    config, pid_file = folder / "mosquitto.conf", folder / "mosquitto.pid"
    config.write_text(
        # as root it would drop to a user of its own, who cannot read a test's folder
        ("user root\n" if os.geteuid() == 0 else "")
        + f"pid_file {pid_file}\nlog_dest file {folder}/mosquitto.log\n"
        f"log_type {log_type}\n"
        f"allow_anonymous true\npersistence false\n"
        f"listener {port} 127.0.0.1\ncertfile {versions.current}/chain.pem\n"
        f"keyfile {versions.current}/key.pem\ninclude_dir {folder}/conf.d\n"
    )
    command = [need("mosquitto"), "-c", str(config), "-d"]
    with Service(folder, command, pid_file) as service:
        wait_until(lambda: is_listening(port), what="mosquitto to listen")
        section = {
            "addresses": [f"127.0.0.1:{port}"],
            "config": str(config),
            "pid_file": str(pid_file),
            "restart": [str(service.script)],
            "drop_tickets": drop_tickets,
            "handshake_include": f"{folder}/conf.d",
            "timeout": "15s",
        }
        yield _real(
            "mosquitto", section, folder, versions, port, MQTT, ("mosquitto.log",), service
        )


def _real(  # noqa: PLR0917 - each says what it is by its name
    name: str,
    section: Mapping[str, object],
    folder: Path,
    versions: Versions,
    port: int,
    words: str,
    logs: tuple[str, ...],
    daemon: Daemon | Service,
) -> Real:
    return Real(
        name=name,
        folder=folder,
        versions=versions,
        port=port,
        words=words,
        logs=logs,
        section=Terminator.model_validate_json(json.dumps({name: section})),
        stop=daemon.stop,
    )


TERMINATORS: Mapping[str, Start] = {"nginx": nginx, "haproxy": haproxy, "mosquitto": mosquitto}
