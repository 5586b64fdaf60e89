"""nginx writes a good handshake's line when the session ends; it must not count as of then."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from tests import daemons
from tests.daemons import free_port, wait_until
from tests.handshake_log import producers
from tests.handshake_log.producers import Pki
from tests.handshake_log.records import handshakes
from tests.handshake_log.snippets import snippet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

STAY_S = 2.5
ASKING = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return producers.make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def quiet_port() -> Iterator[int]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def stay(port: int, pki: Pki) -> None:
    """Shake hands, stay for a while, ask and leave."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(pki.ca)
    context.load_cert_chain(pki.pair("device"))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        threading.Event().wait(STAY_S)
        with contextlib.suppress(OSError):  # nginx does not wait for the end of the session
            secure.sendall(ASKING)
            secure.unwrap()


@pytest.mark.parametrize("kind", ["http", "stream"])
def test_a_long_session_is_of_the_moment_at_which_it_began(
    kind: str, pki: Pki, tmp_path: Path, quiet_port: int
) -> None:
    folder, port = tmp_path / "nginx", free_port()
    more = {
        "http": 'location / { return 200 "ok"; }',
        "stream": f"proxy_pass 127.0.0.1:{quiet_port};",
    }
    block = (
        f"{snippet(f'nginx {kind} format', tls_log=str(folder / 'tls.log'))}"
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.2 TLSv1.3;"
        f" ssl_certificate {pki.certificate('server')}; ssl_certificate_key {pki.key('server')};"
        f" ssl_client_certificate {pki.ca}; ssl_verify_client on; {more[kind]} }}"
    )
    began_at = SystemClock().now()
    with daemons.nginx(folder, **{kind: block}, ports=(port,), error_level="info"):
        stay(port, pki)
        log = folder / "tls.log"
        wait_until(lambda: bool(handshakes(log.read_bytes())), what="a handshake in the log")
        [record] = handshakes(log.read_bytes())

    assert record.at is not None
    ended_s = (SystemClock().now() - record.at).total_seconds()
    # nginx writes the end in whole seconds
    assert (record.at - began_at).total_seconds() > -1.1
    assert ended_s > STAY_S
