"""The three real terminators, each with one TLS listener that serves ``current``."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from exporter.gateway.agent.driver import Driver
from exporter.gateway.agent.drivers import Terminator, make_driver
from tests import daemons
from tests.daemons import Daemon, free_port, heeds, is_listening, need, wait_until
from tests.gateway.agent.real.agent_process import AgentProcess
from tests.gateway.agent.real.stand import SClient, Service, Versions
from tests.pki import Issued

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
    settings: Mapping[str, object]
    stop: Callable[[], None]

    def driver(self) -> Driver:
        return make_driver(self.section, self.versions.tools)

    def client(self, store: Path) -> SClient:
        return SClient(self.port, store, words=self.words)

    def logged(self) -> bytes:
        paths = [self.folder / name for name in self.logs]
        return b"".join(path.read_bytes() for path in paths if path.exists())


Settings = Mapping[str, object]
Before = Callable[[Settings], None]
"""Is told the agent's section of the terminator before that is started."""


class Start(Protocol):
    """Runs a terminator that serves what ``versions`` have."""

    def __call__(
        self, folder: Path, versions: Versions, /, *, before: Before = ...
    ) -> AbstractContextManager[Real]: ...


@contextmanager
def nginx(
    folder: Path,
    versions: Versions,
    *,
    context: str = "http",
    chosen: bool = False,
    more: str = "",
    before: Before = lambda _settings: None,
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
    before({"nginx": section})
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
    ticket_keys: str = "",
    globally: str = "",
    crt_list: Path | None = None,
    before: Before = lambda _settings: None,
) -> Iterator[Real]:
    """HAProxy with its master.

    Args:
        ticket_keys: Base64 of a ticket key, to be read from a file.
        globally: A setting of the section ``global``.
        crt_list: The list of certificates to use, in place of the certificate itself.
    """
    # The path of a socket has 97 characters at most; that of a test's folder may have more
    with TemporaryDirectory(prefix="haproxy-") as sockets:
        port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        served = f"crt {versions.current}/haproxy.pem"
        if crt_list is not None:
            crt_list.write_text(f"{versions.current}/haproxy.pem [alpn http/1.1]\n")
            served = f"crt-list {crt_list}"
        if ticket_keys:
            keys = folder / "keys"
            keys.write_text(f"{ticket_keys}\n" * 3)
            served += f" tls-ticket-keys {keys}"
        (folder / "1-defaults.cfg").write_text(
            f"global\n  {globally}\n  log stdout format raw local0 info\n"
            f"  stats socket {sockets}/admin.sock mode 600 level admin\n"
            "defaults\n  log global\n"
            "  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
        )
        (folder / "2-gateway.cfg").write_text(
            f"frontend gateway\n  mode http\n"
            f"  bind 127.0.0.1:{port} ssl {served}\n"
            '  http-request return status 200 content-type text/plain string "ok"\n'
        )
        command = (
            need("haproxy"), "-W", "-S", f"{sockets}/master.sock,mode,600",
            "-f", folder / "1-defaults.cfg", "-f", folder / "2-gateway.cfg",
        )  # fmt: skip
        section = {
            "addresses": [f"127.0.0.1:{port}"],
            "config": [f"{folder}/1-defaults.cfg", f"{folder}/2-gateway.cfg"],
            "apply": apply,
            "control_socket": f"{sockets}/admin.sock",
            "master_socket": f"{sockets}/master.sock",
            "handshake_include": f"{folder}/1-defaults.cfg",
            "timeout": "15s",
        }
        before({"haproxy": section})
        with Daemon(command, directory=folder, ports=(port,)) as daemon:
            yield _real("haproxy", section, folder, versions, port, HTTP, ("output",), daemon)


@contextmanager
def mosquitto(
    folder: Path,
    versions: Versions,
    *,
    drop_tickets: bool = False,
    log_type: str = "warning",
    before: Before = lambda _settings: None,
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
    section = {
        "addresses": [f"127.0.0.1:{port}"],
        "config": str(config),
        "pid_file": str(pid_file),
        "restart": [f"{folder}/restart.sh"],
        "drop_tickets": drop_tickets,
        "handshake_include": f"{folder}/conf.d",
        "timeout": "15s",
    }
    before({"mosquitto": section})
    with Service(folder, command, pid_file) as service:
        wait_until(lambda: is_listening(port), what="mosquitto to listen")
        # which it does before; until then it would end by the agent's SIGHUP
        pid = int(pid_file.read_text())
        wait_until(lambda: heeds(pid, signal.SIGHUP), what="mosquitto to heed signals")
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
        settings={name: section},
        stop=daemon.stop,
    )


TERMINATORS: Mapping[str, Start] = {"nginx": nginx, "haproxy": haproxy, "mosquitto": mosquitto}


@contextmanager
def standing(
    which: Start, folder: Path, first: Issued, **more: object
) -> Iterator[tuple[Real, AgentProcess]]:
    """A terminator and the agent that stands in front of it, with version 1 served and proven."""
    devices = [{"name": f"dev-0{n}", "fallback_channel": n == 3} for n in (1, 2, 3)]
    options = {"devices": devices, **more}
    versions = Versions(folder / "agent")

    def begin(settings: Settings) -> None:
        """Have the agent make ``current``: without that no terminator starts."""
        with AgentProcess(folder, settings, first, **options):
            pass

    with which(folder / "terminator", versions, before=begin) as real:
        agent = AgentProcess(folder, real.settings, first, **options)
        with agent:
            wait_until(
                lambda: bool(agent.certificates()["versions"][0]["proven"]),
                within_s=30,
                what="version 1 to be proven",
            )
            yield real, agent
