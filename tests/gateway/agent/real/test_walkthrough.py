"""Runs docs/incident-walkthrough.md against the agent in front of each real terminator."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.observations import Reason, ToldBy
from tests.daemons import need, wait_until
from tests.gateway.agent.real.agent_process import ROOT, AgentProcess
from tests.gateway.agent.real.stand import Authority
from tests.gateway.agent.real.terminators import TERMINATORS, Real, standing
from tests.handshake_log.records import handshakes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PAGE = ROOT / "docs/incident-walkthrough.md"
ANYTHING = "…"
_PART = re.compile(
    r"^```sh\n(?P<shell>.*?)^```$|^```json\n(?P<json>.*?)^```$"
    r"|^\*\*Connects\*\*: (?P<connects>[^\n]+)\.$|^\*\*Logged\*\*: (?P<logged>[^\n]+)\.$",
    re.DOTALL | re.MULTILINE,
)
_CONNECTS = re.compile(r"old only (yes|no), both (yes|no), new only (yes|no)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something of the page that is done or looked at."""

    kind: str
    text: str
    line: int


def parts_of(text: str) -> list[Part]:
    return [
        Part(
            kind=found.lastgroup or "",
            text=found[found.lastgroup or 0],
            line=text.count("\n", 0, found.start()) + 1,
        )
        for found in _PART.finditer(text)
    ]


def differences(said: Any, wanted: Any, place: str = "") -> Iterator[str]:
    """What of ``wanted`` is not so in ``said``."""
    if wanted == ANYTHING:
        return
    if isinstance(wanted, dict) and isinstance(said, dict):
        for name in wanted.keys() - {ANYTHING}:
            yield from differences(said.get(name), wanted[name], f"{place}.{name}")
        if ANYTHING not in wanted and said.keys() - wanted.keys():
            yield f"{place} has also {said.keys() - wanted.keys()}"
    elif isinstance(wanted, list) and isinstance(said, list) and len(said) == len(wanted):
        for number, pair in enumerate(zip(said, wanted, strict=True)):
            yield from differences(*pair, f"{place}[{number}]")
    elif said != wanted:
        yield f"{place} is {said!r}, not {wanted!r}"


class Shell:
    """Runs the blocks of the page in one folder, each after the functions of the first ones."""

    def __init__(self, folder: Path, agent: AgentProcess) -> None:
        self._folder = folder
        self._env = {**os.environ, "API": agent.url, "TOKEN_FILE": str(agent.token_file)}
        self._prelude = ""

    def run(self, block: str) -> str:
        script = f"set -euo pipefail\n{self._prelude}\n{block}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self._folder, env=self._env, capture_output=True,
            text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        if "() {" in block:
            self._prelude += block
        return done.stdout


def connects_openssl(real: Real, store: Path) -> bool:
    return "Verify return code: 0 (ok)" in real.client(store).connect()


def connects_curl(real: Real, store: Path) -> bool:
    command = [need("curl"), "--silent", "--cacert", str(store), f"https://localhost:{real.port}/"]
    code = subprocess.run(command, capture_output=True, timeout=20, check=False).returncode
    assert code in {0, 60}, code  # 60: the certificate cannot be verified
    return code == 0


def connects_mosquitto(real: Real, store: Path) -> bool:
    command = [
        need("mosquitto_sub"), "-h", "localhost", "-p", str(real.port), "--cafile", str(store),
        "-t", "$SYS/broker/version", "-C", "1", "-W", "10",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0 or "A TLS error occurred" in done.stderr, done.stderr
    return done.returncode == 0


CLIENTS: Mapping[str, Sequence[Callable[[Real, Path], bool]]] = {
    "nginx": (connects_openssl, connects_curl),
    "haproxy": (connects_openssl, connects_curl),
    "mosquitto": (connects_openssl, connects_mosquitto),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    real: Real
    agent: AgentProcess
    shell: Shell
    stores: tuple[Path, Path, Path]


@pytest.fixture(params=list(TERMINATORS))
def walk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Walk]:
    """The agent and its terminator, serving version 1, and a folder as the page begins with."""
    old, new = Authority("old CA"), Authority("new CA")
    first = old.leaf()
    folder = tmp_path / "walk"
    folder.mkdir()
    (folder / "old-chain.pem").write_bytes(first.pem)
    for name, authority in {"old-ca": old, "new-ca": new}.items():
        (folder / f"{name}.pem").write_bytes(authority.ca.pem)
        (folder / f"{name}.key").write_bytes(authority.ca.key_pem)
    for device in ("dev-01", "dev-02", "dev-03"):
        (folder / "devices" / device).mkdir(parents=True)
        (folder / "devices" / device / "old-ca.pem").write_bytes(old.ca.pem)
    both = tmp_path / "both.pem"
    both.write_bytes(old.ca.pem + new.ca.pem)
    with ExitStack() as stack:
        real, agent = stack.enter_context(standing(TERMINATORS[request.param], tmp_path, first))
        yield Walk(
            real=real,
            agent=agent,
            shell=Shell(folder, agent),
            stores=(folder / "old-ca.pem", both, folder / "new-ca.pem"),
        )


def test_the_page_is_true_of_each_terminator(walk: Walk) -> None:
    said, logged_before = "", b""
    done = 0
    for part in parts_of(PAGE.read_text()):
        where = f"{PAGE.name}:{part.line}"
        if part.kind == "shell":
            logged_before = walk.real.logged()
            said = walk.shell.run(part.text)
        elif part.kind == "json":
            answer = json.loads(said.splitlines()[-1])
            assert list(differences(answer, json.loads(part.text))) == [], where
        elif part.kind == "connects":
            wanted = _CONNECTS.fullmatch(part.text)
            assert wanted is not None, where
            for client in CLIENTS[walk.real.name]:
                seen = ["yes" if client(walk.real, store) else "no" for store in walk.stores]
                assert seen == list(wanted.groups()), f"{where} {client.__name__}"
        else:
            assert part.text == "a refusal by the device, unknown_ca"
            wait_for_refusal(walk.real, len(logged_before), where)
        done += 1
    assert done > 30


def wait_for_refusal(real: Real, begin: int, where: str) -> None:
    def is_logged() -> bool:
        return any(
            record.reason is Reason.UNKNOWN_CA and record.rejected_by is ToldBy.PEER
            for record in handshakes(real.logged()[begin:])
        )

    wait_until(is_logged, what=f"{where}: the refusal in the log")


def test_what_the_page_shows_and_what_is_said_are_compared_in_full() -> None:
    wanted = {"a": ANYTHING, "b": [{"c": 1, ANYTHING: ANYTHING}]}

    assert list(differences({"a": 5, "b": [{"c": 1, "d": 2}]}, wanted)) == []
    assert list(differences({"b": [{"c": 2}]}, wanted)) == [".b[0].c is 2, not 1"]
    assert list(differences({"a": 1, "b": [], "e": 1}, wanted)) != []
    assert list(differences({"a": 1, "b": [{"c": 1}], "e": 1}, wanted)) == [" has also {'e'}"]
