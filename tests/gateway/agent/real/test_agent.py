"""The agent in a process of its own, in front of each real terminator."""

import http.client
import os
import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exporter.certificates import fingerprint_of
from exporter.clock import SystemClock
from exporter.gateway.agent.driver import CHAIN, KEY
from exporter.gateway.agent.versions import Content, Versions
from tests.daemons import free_port, is_listening, wait_until
from tests.gateway.agent.real.agent_process import AgentProcess
from tests.gateway.agent.real.stand import (
    Authority,
    fingerprint,
    is_refused,
    is_resumed,
    leaf_at,
)
from tests.gateway.agent.real.terminators import (
    TERMINATORS,
    Real,
    Start,
    mosquitto,
    nginx,
    standing,
)
from tests.gateway.agent.stand import signed
from tests.handshake_log.records import handshakes
from tests.pki import Issued

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KILLS = 100 if os.environ.get("FLEET_TLS_CAMPAIGN") else 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    real: Real
    agent: AgentProcess
    first: Issued
    old: Authority
    new: Authority

    def new_chain(self, authority: Authority) -> str:
        """A chain for a fresh csr of the gateway."""
        return signed(
            self.agent.call("POST", "/gateway/certificates/csr", {})["csr"], authority.ca
        )

    def rotate(self, chain: str) -> Any:
        body = {"newCertificate": chain, "validationMode": "none"}
        return self.agent.call("POST", "/gateway/certificates/rotate", body)

    def rollback(self, version: int | str = "previous") -> Any:
        body = {"targetVersion": version, "scope": "gateway-only", "preserveDeviceCerts": True}
        return self.agent.call("POST", "/gateway/certificates/rollback", body)


@contextmanager
def stand_of(which: Start, folder: Path, **more: object) -> Iterator[Stand]:
    old, new = Authority("old CA"), Authority("new CA")
    first = old.leaf()
    with standing(which, folder, first, **more) as (real, agent):
        yield Stand(real=real, agent=agent, first=first, old=old, new=new)


@pytest.fixture(params=list(TERMINATORS))
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    with stand_of(TERMINATORS[request.param], tmp_path) as stand:
        yield stand


KEPT = {"nginx": False, "haproxy": True, "mosquitto": True}


def test_the_answer_is_of_full_handshakes_and_tells_of_tickets_that_live_on(
    stand: Stand, tmp_path: Path
) -> None:
    is_kept = KEPT[stand.real.name]
    client = stand.real.client(stand.old.store(tmp_path))
    session = tmp_path / "session"
    logging = {"GatewayConfig.tls.logHandshakes": True}
    assert stand.agent.call("PUT", "/gateway/config", logging) == {
        **logging,
        "GatewayConfig.tls.debugLevel": "NORMAL",
    }
    client.connect("-tls1_3", "-sess_out", session)

    answer = stand.rotate(stand.new_chain(stand.new))
    told = stand.agent.certificates()

    assert answer["status"] == "SUCCESS", answer
    # The proof's own handshakes are no failures in anybody's log
    wait_until(lambda: bool(handshakes(stand.real.logged())), what="a handshake in the log")
    assert [one for one in handshakes(stand.real.logged()) if one.failure] == []
    assert told["serving"] == {"version": 2, "fingerprint": leaf_at(stand.real.port)}
    assert told["tickets"]["kept"] is is_kept
    said = client.connect("-tls1_3", "-sess_in", session)
    assert is_resumed(said) is is_kept
    assert is_refused(client.connect("-tls1_3"))
    assert stand.rollback()["status"] == "SUCCESS"
    assert leaf_at(stand.real.port) == fingerprint(stand.first)


def test_a_dead_terminator_is_said_so_and_leaves_the_old_version_on_the_disk(
    stand: Stand,
) -> None:
    chain = stand.new_chain(stand.new)
    stand.real.stop()

    answer = stand.rotate(chain)

    assert "error" in answer, answer
    assert "does not" in answer["error"]["message"]  # run, answer
    told = stand.agent.certificates()
    assert [one["version"] for one in told["versions"] if one["state"] == "current"] == [1]
    assert "fingerprint" not in told["serving"]


def test_a_chain_that_no_client_would_take_is_refused_before_the_terminator_hears_of_it(
    stand: Stand,
) -> None:
    """Their own checks would let each of these through."""
    now = SystemClock().now()
    past = {"not_before": now - timedelta(days=9), "not_after": now - timedelta(seconds=1)}
    future = {"not_before": now + timedelta(hours=1), "not_after": now + timedelta(days=9)}
    csr = stand.agent.call("POST", "/gateway/certificates/csr", {})["csr"]
    chains = {
        "expired: certificate has expired": signed(csr, stand.new.ca, **past),
        "not_yet_valid": signed(csr, stand.new.ca, **future),
        "the leaf's key is neither that of the last csr": stand.new.leaf().pem.decode(),
    }

    answers = {fault: stand.rotate(chain) for fault, chain in chains.items()}

    for fault, answer in answers.items():
        assert fault in answer["error"]["message"], answer
    assert leaf_at(stand.real.port) == fingerprint(stand.first)
    assert [one["version"] for one in stand.agent.certificates()["versions"]] == [1]


def test_a_reload_that_fails_is_gone_back_from_and_told_with_the_terminators_words(
    tmp_path: Path,
) -> None:
    """By what no check of nginx finds: a new port that is in use."""
    with stand_of(nginx, tmp_path) as stand:
        config = stand.real.folder / "nginx.conf"
        text = config.read_text()
        chain = stand.new_chain(stand.new)
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            listen = f"listen 127.0.0.1:{stand.real.port} ssl;"
            config.write_text(text.replace(listen, f"{listen} listen 127.0.0.1:{port};"))

            answer = stand.rotate(chain)

        assert "goes on as it was: bind() to" in answer["error"]["message"]
        assert leaf_at(stand.real.port) == fingerprint(stand.first)
        config.write_text(text)
        assert stand.rotate(chain)["status"] == "SUCCESS"


def test_a_configuration_that_the_terminator_refuses_changes_nothing(stand: Stand) -> None:
    chain = stand.new_chain(stand.new)
    (config,) = [path for path in configs_of(stand.real) if "current" in path.read_text()]
    config.write_text(config.read_text() + "\nbogus on;\n")

    answer = stand.rotate(chain)

    assert "bogus" in answer["error"]["message"]
    assert "nothing that is served was changed" in answer["error"]["message"]
    assert leaf_at(stand.real.port) == fingerprint(stand.first)
    assert stand.agent.certificates()["serving"]["version"] == 1


def test_a_fault_in_the_operators_configuration_blocks_the_way_back_and_is_told_as_that(
    stand: Stand,
) -> None:
    assert stand.rotate(stand.new_chain(stand.new))["status"] == "SUCCESS"
    served = leaf_at(stand.real.port)
    (config,) = [path for path in configs_of(stand.real) if "current" in path.read_text()]
    good = config.read_text()
    config.write_text(good + "\nbogus on;\n")

    refused = stand.rollback()

    said = refused["error"]["message"]
    assert "bogus" in said
    assert "it refuses version 2, which is served," in said
    assert "the fault is not in the certificate" in said
    assert leaf_at(stand.real.port) == served
    config.write_text(good)
    assert stand.rollback()["status"] == "SUCCESS"
    assert leaf_at(stand.real.port) == fingerprint(stand.first)


def test_a_key_of_another_kind_is_switched_to_and_back_from(tmp_path: Path) -> None:
    """Put there by a person: a csr makes a key of the kind that is served."""
    with stand_of(partial(mosquitto, log_type="all"), tmp_path) as stand:
        stand.agent.stop()
        rsa = stand.new.leaf("RSA 2048")
        content = Content(chain_pem=rsa.pem, key_pem=rsa.key_pem, further={})
        Versions(stand.agent.directory).write(2, content, SystemClock().now())
        stand.agent.start()

        forth = stand.rollback(2)
        served = {
            leaf_at(stand.real.port, ciphers=f"ECDHE-{kind}-AES128-GCM-SHA256")
            for kind in ("RSA", "ECDSA")
        }
        back = stand.rollback(1)

        assert (forth["status"], back["status"]) == ("SUCCESS", "SUCCESS")
        assert served == {fingerprint(rsa), None}
        assert leaf_at(stand.real.port) == fingerprint(stand.first)


@pytest.mark.parametrize("name", list(TERMINATORS))
def test_a_candidate_is_met_on_the_second_port_and_the_first_is_not_touched(
    name: str, tmp_path: Path
) -> None:
    second = free_port()
    with stand_of(TERMINATORS[name], tmp_path, second_port=f"127.0.0.1:{second}") as stand:
        body = {"newCertificate": stand.new_chain(stand.new), "seconds": 600}

        answer = stand.agent.call("POST", "/gateway/certificates/rehearse", body)

        assert answer["address"] == f"127.0.0.1:{second}", answer
        assert leaf_at(second) == answer["fingerprint"]
        assert leaf_at(stand.real.port) == fingerprint(stand.first)
        stand.agent.kill()
        stand.agent.start()
        wait_until(lambda: not is_listening(second), what="what was left of it to end")
        assert leaf_at(stand.real.port) == fingerprint(stand.first)


def configs_of(real: Real) -> list[Path]:
    return [path for path in real.folder.iterdir() if path.suffix in {".conf", ".cfg"}]


# --- SIGKILL in the middle of a change ---------------------------------------------------------


@pytest.mark.timeout(60 * KILLS)
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_certificate_in_full(
    stand: Stand, tmp_path: Path
) -> None:
    """After each kill: whole handshakes at once, a whole version on the disk, and one story."""
    dice = random.Random(f"kills of {stand.real.name}")  # noqa: S311 - seeded, to be repeated
    both = tmp_path / "both.pem"
    both.write_bytes(stand.old.ca.pem + stand.new.ca.pem)
    client = stand.real.client(both)
    took_s = duration_of(lambda: stand.rotate(stand.new_chain(stand.new)))
    for number in range(KILLS):
        before = leaf_at(stand.real.port)
        chain = stand.new_chain(dice.choice([stand.old, stand.new]))
        after = fingerprint_of(ssl.PEM_cert_to_DER_cert(chain))
        # what is written and switched is at the beginning; the rest is proof
        delay_s = dice.uniform(0, took_s * dice.choice([0.3, 1.0]))

        kill_within(stand, chain, delay_s)

        where = f"kill {number} after {delay_s:.3f} s"
        for version in ("-tls1_2", "-tls1_3"):
            assert "Verify return code: 0 (ok)" in client.connect(version), where
        assert leaf_at(stand.real.port) in {before, after}, where
        assert leaf_on_disk(stand.agent.directory) in {before, after}, where
        stand.agent.start()
        wait_until(partial(is_settled, stand), within_s=60, what=f"one story after {where}")
        assert leaf_at(stand.real.port) in {before, after}, where
    assert stand.rotate(stand.new_chain(stand.new))["status"] == "SUCCESS"
    assert programs_in(stand.agent.directory / "scratch") == []
    if KILLS >= 100:  # that many meet every step; a few may all come before or after it
        interrupted = stand.agent.text().count("a change was interrupted")
        assert interrupted >= KILLS / 5


def programs_in(folder: Path) -> list[str]:
    """The command lines, of all that runs, which name something in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if f"{folder}/" in line:
                found.append(line)
    return found


def duration_of(work: Callable[[], object]) -> float:
    clock = SystemClock()
    begin = clock.monotonic()
    work()
    return clock.monotonic() - begin


def kill_within(stand: Stand, chain: str, delay_s: float) -> None:
    """Ask for a rotation, and kill the agent so long after that."""

    def ask() -> None:
        with suppress(OSError, http.client.HTTPException):  # it was killed
            stand.rotate(chain)

    asking = threading.Thread(target=ask)
    asking.start()
    threading.Event().wait(delay_s)
    stand.agent.kill()
    asking.join(30)


def leaf_on_disk(directory: Path) -> str:
    """The leaf that ``current`` leads to; its key fits."""
    current = directory / "current"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(current / CHAIN, current / KEY)
    pem = (current / CHAIN).read_text()
    end = "-----END CERTIFICATE-----"
    return fingerprint_of(ssl.PEM_cert_to_DER_cert(pem[: pem.index(end) + len(end)]))


def is_settled(stand: Stand) -> bool:
    """Whether the agent says one thing: what is served is current, on the disk, and proven."""
    told = stand.agent.certificates()
    (current,) = [one for one in told["versions"] if one["state"] == "current"]
    return bool(
        told["serving"].get("fingerprint") == leaf_at(stand.real.port)
        and told["serving"].get("version") == current["version"]
        and current["fingerprint"] == leaf_on_disk(stand.agent.directory)
        and current["proven"]
    )
