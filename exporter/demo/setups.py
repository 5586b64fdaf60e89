"""How each real terminator is set up in the demo, as its manual page here says; pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.demo.options import Terminator
from exporter.gateway.agent.driver import CHAIN, KEY, Address
from exporter.gateway.agent.drivers.haproxy.driver import COMBINED
from exporter.handshake_log.advice import (
    HAPROXY_FORMATS,
    MOSQUITTO_LOG_TYPES,
    NGINX_STREAM_FORMAT,
)

_ADVISED_LOG = "/var/log/nginx/tls.log"
_TIMEOUT = "15s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a terminator is to stand.

    Attributes:
        folder: For its own files.
        current: Of the agent: what it is to serve.
        log: Where handshakes are logged.
        listen: Where devices connect; ``broker``: what stands behind it.
        is_root: It would give its rights up and then not read our folders, unless told.
        modules: Of nginx, to be loaded where they are.
    """

    folder: Path
    current: Path
    log: Path
    listen: Address
    broker: Address
    is_root: bool
    modules: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What it takes to run one.

    Attributes:
        arguments: The program stays in the foreground with these.
        files: By their path.
        section: The agent's ``terminator``.
        logs_to_stdout: Its log is its standard output.
        running: In its log or its output once it serves; empty: once it listens.
    """

    arguments: tuple[str, ...]
    files: Mapping[Path, str]
    section: Mapping[str, object]
    logs_to_stdout: bool = False
    running: str = ""


def _nginx(site: Site) -> Setup:
    folder, config = site.folder, site.folder / "nginx.conf"
    formats = NGINX_STREAM_FORMAT.replace(_ADVISED_LOG, str(site.log))
    text = (
        "".join(f"load_module {module};\n" for module in site.modules)
        + ("user root;\n" if site.is_root else "")
        + f"daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\n"
        f"error_log {site.log} info;\n"
        "events { worker_connections 1024; }\n"
        "stream {\n"
        f"include {folder}/include/stream*.conf;\n"
        f"{formats}"
        f"server {{\n  listen {site.listen} ssl;\n  ssl_protocols TLSv1.2 TLSv1.3;\n"
        f"  ssl_certificate {site.current}/{CHAIN};\n"
        f"  ssl_certificate_key {site.current}/{KEY};\n"
        f"  proxy_pass {site.broker};\n}}\n}}\n"
    )
    section = {
        "addresses": [str(site.listen)],
        "config": str(config),
        "pid_file": f"{folder}/nginx.pid",
        "handshake_include": f"{folder}/include",
        "handshakes_log": str(site.log),
        "timeout": _TIMEOUT,
    }
    return Setup(
        arguments=("-e", str(site.log), "-c", str(config)),
        files={config: text},
        section={"nginx": section},
    )


def _haproxy(site: Site) -> Setup:
    folder = site.folder
    defaults, gateway = folder / "1-defaults.cfg", folder / "2-gateway.cfg"
    master, control = folder / "master.sock", folder / "admin.sock"
    files = {
        defaults: "global\n  log stdout format raw local0 info\n"
        f"  stats socket {control} mode 600 level admin\n"
        "defaults\n  log global\n  mode tcp\n"
        "  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n"
        f"{HAPROXY_FORMATS}",
        gateway: "frontend gateway\n"
        f"  bind {site.listen} ssl crt {site.current}/{COMBINED} ssl-min-ver TLSv1.2\n"
        "  default_backend brokers\n"
        f"backend brokers\n  server broker {site.broker}\n",
    }
    section = {
        "addresses": [str(site.listen)],
        "config": [str(defaults), str(gateway)],
        "control_socket": str(control),
        "master_socket": str(master),
        "handshake_include": str(defaults),
        "timeout": _TIMEOUT,
    }
    return Setup(
        arguments=("-W", "-S", f"{master},mode,600", "-f", str(defaults), "-f", str(gateway)),
        files=files,
        section={"haproxy": section},
        logs_to_stdout=True,
    )


def _mosquitto(site: Site) -> Setup:
    folder, config = site.folder, site.folder / "mosquitto.conf"
    text = (
        ("user root\n" if site.is_root else "")
        + f"pid_file {folder}/mosquitto.pid\nlog_dest file {site.log}\n{MOSQUITTO_LOG_TYPES}"
        "allow_anonymous true\npersistence false\n"
        f"listener {site.listen.port} {site.listen.host}\n"
        f"certfile {site.current}/{CHAIN}\nkeyfile {site.current}/{KEY}\n"
        f"include_dir {folder}/include\n"
    )
    section = {
        "addresses": [str(site.listen)],
        "config": str(config),
        "pid_file": f"{folder}/mosquitto.pid",
        "handshake_include": f"{folder}/include",
        "timeout": _TIMEOUT,
    }
    return Setup(
        arguments=("-c", str(config)),
        files={config: text},
        section={"mosquitto": section},
        running=" running\n",  # it listens before it has read its certificate
    )


SETUPS: Mapping[Terminator, Callable[[Site], Setup]] = {
    Terminator.NGINX: _nginx,
    Terminator.HAPROXY: _haproxy,
    Terminator.MOSQUITTO: _mosquitto,
}
"""One for each terminator that is a program of its own."""
