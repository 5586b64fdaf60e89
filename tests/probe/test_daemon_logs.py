"""What looks leave behind in the logs of real servers: nothing that reads like an error."""

import re
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop

from exporter.clock import SystemClock
from exporter.handshake_log.identity import Identity
from exporter.observations import Observation, Reason, ToldBy
from exporter.probe.client_files import ClientFiles
from exporter.targets.model import Inventory, Role, Target
from tests.daemons import (
    Daemon,
    free_port,
    haproxy,
    is_idle,
    mosquitto,
    nginx,
    wait_until,
    write_key,
    write_pem,
)
from tests.handshake_log.records import handshakes
from tests.probe.conftest import AMPLE, Pki, at, names_of, new_prober

pytestmark = pytest.mark.slow

LOOKS = 10
ERROR = re.compile(
    r"\[(warn|error|crit|alert|emerg)\]|error|fail|alert|reset|abort|unexpected|invalid",
    re.IGNORECASE,
)


@pytest.fixture
def client_files(pki: Pki, tmp_path: Path) -> ClientFiles:
    return ClientFiles(
        write_pem(tmp_path, "client.pem", pki.client),
        write_key(tmp_path, "client.key", pki.client),
        SystemClock(),
    )


def look_often(port: int, credentials: ClientFiles | None = None) -> Sequence[Observation]:
    """Looks one after the other and side by side, in the event loop of the real service."""

    async def looks() -> list[Observation]:
        prober = new_prober(credentials)
        return [await prober(at(port), AMPLE) for _ in range(LOOKS)]

    return uvloop.run(looks())


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """For a server: chain, key, both in one, and the clients' CA."""

    chain: Path
    key: Path
    both: Path
    client_ca: Path


def serve(pki: Pki, directory: Path) -> Files:
    return Files(
        chain=write_pem(directory, "chain.pem", *pki.chain),
        key=write_key(directory, "key.pem", pki.leaf),
        both=write_pem(directory, "both.pem", *pki.chain, with_key=True),
        client_ca=write_pem(directory, "client-ca.pem", pki.client_root),
    )


def assert_all_good(seen: Sequence[Observation], version: str) -> None:
    assert [(o.handshake, o.reason, o.tls_version) for o in seen] == [
        (True, None, version)
    ] * LOOKS
    assert names_of(seen[0]) == ["gw.test", "intermediate"]


KINDS = ["nginx", "nginx-stream", "haproxy", "haproxy-http", "haproxy-err", "mosquitto"]
VERSIONS = ["TLSv1.2", "TLSv1.3"]
# nginx for HTTP refuses by an answer to a request, which a look does not make
REFUSING = ["nginx-stream", "haproxy", "mosquitto"]
# mosquitto cannot be kept from TLS 1.3
KINDS_AND_VERSIONS = [
    (kind, version)
    for kind in KINDS
    for version in VERSIONS
    if (kind, version) != ("mosquitto", "TLSv1.2")
]
ASKING = [pytest.param(False, id="asks-for-nothing"), pytest.param(True, id="asks-for-ours")]


@contextmanager
def serving(
    pki: Pki, directory: Path, kind: str, *, version: str = "TLSv1.3", asks: bool = False
) -> Iterator[tuple[Daemon, int]]:
    """One of the servers with our chain, and where it listens."""
    port = free_port()
    files = serve(pki, directory)
    start = {
        "nginx": nginx_with,
        "nginx-stream": nginx_with,
        "haproxy": haproxy_with,
        "haproxy-http": haproxy_with,
        "haproxy-err": haproxy_with,
        "mosquitto": mosquitto_with,
    }[kind]
    with start(directory / kind, kind, port, files, version, asks) as server:
        yield server, port


def nginx_with(
    directory: Path, kind: str, port: int, files: Files, version: str, asks: bool
) -> Daemon:
    tls = (
        f"listen 127.0.0.1:{port} ssl; ssl_protocols {version};\n"
        f"ssl_certificate {files.chain}; ssl_certificate_key {files.key};\n"
    )
    if asks:
        tls += f"ssl_verify_client on; ssl_client_certificate {files.client_ca};\n"
    if kind == "nginx":
        return nginx(directory, http=f"server {{ {tls} return 200 ok; }}", ports=[port])
    return nginx(directory, stream=f"server {{ {tls} return ok; }}", ports=[port])


def haproxy_with(
    directory: Path, kind: str, port: int, files: Files, version: str, asks: bool
) -> Daemon:
    mode = "http" if kind == "haproxy-http" else "tcp"
    verify = f"ca-file {files.client_ca} verify required" if asks else ""
    sections = (
        f"frontend front\n  mode {mode}\n  option {mode}log\n  option dontlognull\n"
        f"  bind 127.0.0.1:{port} ssl crt {files.both} {verify}"
        f" ssl-min-ver {version} ssl-max-ver {version}\n"
        f"  default_backend back\n"
        f"backend back\n  mode {mode}\n  server one 127.0.0.1:{free_port()}\n"
    )
    level = "err" if kind == "haproxy-err" else "info"
    return haproxy(directory, sections=sections, ports=[port], log_level=level)


def mosquitto_with(
    directory: Path, _kind: str, port: int, files: Files, version: str, asks: bool
) -> Daemon:
    listeners = (
        f"listener {port} 127.0.0.1\ncertfile {files.chain}\nkeyfile {files.key}\n"
        f"tls_version {version.lower()}\n"
    )
    if asks:
        listeners += f"cafile {files.client_ca}\nrequire_certificate true\n"
    return mosquitto(directory, listeners=listeners, ports=[port])


def end(server: Daemon, port: int) -> None:
    """End the server once it is done with all clients, so that its log is whole."""
    wait_until(lambda: is_idle(port), what=f"connections to {port} to end")
    threading.Event().wait(0.1)  # a line may be written after the socket is closed
    server.stop()


def lines_of(server: Daemon, kind: str) -> list[str]:
    """What the server logged about its clients."""
    if kind.startswith("nginx"):
        return [line for line in server.lines("error.log") if "client" in line]
    # both tell their configuration's path at the start, which is ours
    return [line for line in server.lines() if str(server.directory) not in line]


@pytest.mark.parametrize("asks", ASKING)
@pytest.mark.parametrize(("kind", "version"), KINDS_AND_VERSIONS)
def test_a_look_leaves_no_line_of_error(
    pki: Pki, tmp_path: Path, client_files: ClientFiles, kind: str, asks: bool, version: str
) -> None:
    with serving(pki, tmp_path, kind, version=version, asks=asks) as (server, port):
        seen = look_often(port, client_files if asks else None)
        end(server, port)

    assert_all_good(seen, version)
    assert [line for line in lines_of(server, kind) if ERROR.search(line)] == []
    assert server.lines("access.log") == []
    if kind.startswith("haproxy"):
        assert [line for line in server.lines() if "front" in line] == []


def break_off_after_the_certificate(port: int) -> None:
    """What a prober must not do: verify, and leave with an alert."""
    context = ssl.create_default_context()
    with (
        suppress(ssl.SSLError),
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="gw.test"),
    ):
        pass


@pytest.mark.parametrize("kind", ["nginx", "haproxy", "mosquitto"])
def test_a_rude_prober_would_show_in_the_same_logs(pki: Pki, tmp_path: Path, kind: str) -> None:
    with serving(pki, tmp_path, kind) as (server, port):
        break_off_after_the_certificate(port)
        wait_until(
            lambda: any(ERROR.search(line) for line in lines_of(server, kind)),
            what="a line of error",
        )


@pytest.mark.parametrize(
    ("kind", "version"), [pair for pair in KINDS_AND_VERSIONS if pair[0] in REFUSING]
)
def test_a_look_without_the_demanded_certificate_leaves_one_line_at_most_and_charges_no_device(
    pki: Pki, tmp_path: Path, kind: str, version: str
) -> None:
    with serving(pki, tmp_path, kind, version=version, asks=True) as (server, port):
        seen = look_often(port)
        end(server, port)

    assert {(o.handshake, o.reason, o.rejected_by) for o in seen} == {
        (False, Reason.CLIENT_CERT_REQUIRED, ToldBy.PEER)
    }
    assert names_of(seen[0]) == ["gw.test", "intermediate"]
    errors = [line for line in lines_of(server, kind) if ERROR.search(line)]
    # mosquitto tells one refusal twice more: the client's end, and again with the address
    told = [line for line in errors if kind != "mosquitto" or "OpenSSL Error" in line]
    assert len(told) <= LOOKS, told
    assert_told_apart(server, kind)


def assert_told_apart(server: Daemon, kind: str) -> None:
    """By our address where the log tells one: no device is charged with what a look met."""
    device = Target(name="dev-01", role=Role.DEVICE, gateway="gw-1", peers=("127.0.1.1",))
    identity = Identity(Inventory(targets={device.name: device}))
    records = handshakes("\n".join(lines_of(server, kind)).encode())

    assert len(records) == LOOKS
    assert {one.success for one in records} == {False}
    assert {identity.device_of(one.peer) for one in records} == {None}
    if kind != "mosquitto":  # its lines of a refusal name nobody
        assert {(one.peer or "").partition(":")[0] for one in records} == {"127.0.0.1"}
