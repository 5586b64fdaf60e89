"""The demo as a user starts it: the real command, the real service, in a process of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from exporter.demo.options import Break, Terminator
from exporter.demo.setups import SETUPS
from exporter.trust_map.svg import as_svg
from exporter.trust_map.text import as_text
from tests.daemons import wait_until
from tests.trust_page import DRAWING, constant, map_at, shown

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

# The embedded one goes the same way, and is what most tests of the rollback use
TERMINATORS = list(Terminator) if "FLEET_TLS_CAMPAIGN" in os.environ else list(SETUPS)
SAMPLE = re.compile(r"^(fleet_tls_\w+)\{(.*)\} (\S+)$")
LABEL = re.compile(r'(\w+)="([^"]*)"')
REASONS = {
    Break.UNKNOWN_CA: "unknown_ca",
    Break.EXPIRED: "expired",
    Break.MISSING_INTERMEDIATE: "chain_incomplete",
    Break.HOSTNAME: "hostname_mismatch",
}


class Demo:
    """A running demo, its JSON read."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        self.found = json.loads(line)
        self.directory = Path(self.found["directory"])

    def samples(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The metric's values by label set."""
        with urllib.request.urlopen(f"{self.found['exporter']}/metrics") as answer:  # noqa: S310 - our own URL
            text = answer.read().decode()
        rows = (SAMPLE.match(line) for line in text.splitlines())
        return {
            tuple(sorted(LABEL.findall(row[2]))): float(row[3])
            for row in rows
            if row and row[1] == name
        }

    def values(self, name: str, label: str) -> dict[str, float]:
        """The metric's values by one label."""
        return {dict(labels)[label]: value for labels, value in self.samples(name).items()}

    def stop(self) -> tuple[int, str]:
        """End it; return its exit code and what else it printed.

        Well under 5 s on a machine that is not crowded.
        """
        self.process.terminate()
        rest, _ = self.process.communicate(timeout=60)
        return self.process.returncode, rest


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "exporter", "demo", *arguments]


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[Demo]:
    process = subprocess.Popen(
        command("--port", "0", "--json", *arguments),
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Demo(process)
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)


def test_a_healthy_fleet_is_all_there_and_goes_without_a_trace(tmp_path: Path) -> None:
    names = {f"dev-{number:02d}" for number in range(1, 19)}

    with demo(tmp_path) as one:
        targets = {dict(key)["target"] for key in one.samples("fleet_tls_target_info")}
        accepts = one.values("fleet_tls_device_accepts_gateway", "device")
        states = one.values("fleet_tls_trust_store_devices", "state")
        bases = {dict(key)["basis"] for key in one.samples("fleet_tls_device_accepts_gateway")}
        # The gateway and the six devices that listen; a busy machine may fail a first look
        wait_until(
            lambda: list(one.values("fleet_tls_probe_success", "target").values()) == [1.0] * 7,
            what="seven good looks",
        )
        # It may be asked before all is known, and is kept for 10 s
        with suppress(pytest.fail.Exception):  # what differs is shown below
            wait_until(
                lambda: constant(as_text(map_at(one.found["exporter"]))) == constant(shown()),
                within_s=30,
                what="the map to be as on the page",
            )
        trust_map = map_at(one.found["exporter"])
        token = Path(one.found["token_file"]).read_text()
        gateway = one.found["gateway"]
        code, rest = one.stop()

    assert targets == names | {"gw-1"}
    assert accepts == dict.fromkeys(names, 1.0)
    assert bases == {"reported"}
    assert states == {
        "synced": 18, "pending": 0, "failed": 0, "stale": 0, "never_reported": 0,
    }  # fmt: skip
    # docs/trust-map.md shows this very map; python -m tests.trust_page writes it anew
    assert constant(as_text(trust_map)) == constant(shown())
    # their order is that of the fingerprints, which are others in each run
    drawn, drawing = constant(as_svg(trust_map)), constant(DRAWING.read_text())
    assert sorted(drawn.split("<")) == sorted(drawing.split("<"))
    assert one.found["management_api"].startswith("http://127.0.0.1:")
    assert token.endswith("\n")
    assert token.count("\n") == 1
    assert (code, rest) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == []
    with socket.socket() as gone:
        host, port = gateway.split(":")
        assert gone.connect_ex((host, int(port))) != 0


@pytest.mark.parametrize("broken", list(Break))
def test_each_outage_shows_for_all_devices_and_the_dates_stay(
    tmp_path: Path, broken: Break
) -> None:
    with demo(tmp_path, "--break", broken) as one:
        accepts = one.values("fleet_tls_device_accepts_gateway", "device")
        bases = {dict(key)["basis"] for key in one.samples("fleet_tls_device_accepts_gateway")}
        complete = one.values("fleet_tls_trust_platform_complete_devices", "api")
        problems = {
            dict(key)["reason"]
            for key, value in one.samples("fleet_tls_chain_problem").items()
            if dict(key)["target"] == "gw-1" and value == 1
        }
        dates = [
            value
            for key, value in one.samples(
                "fleet_tls_certificate_not_after_timestamp_seconds"
            ).items()
            if dict(key)["target"] == "gw-1"
        ]
        everybody = {f"127.0.1.{number}" for number in range(1, 19)}
        wait_until(lambda: refused(one) == everybody, what="the gateway to log all refusals")

    assert accepts == {f"dev-{number:02d}": 0.0 for number in range(1, 19)}
    assert bases == {"reported"}
    assert complete == {"site-a": 18.0}  # the platform's word, while nobody can connect
    assert problems == {REASONS[broken]}
    assert len(dates) == (1 if broken is Break.MISSING_INTERMEDIATE else 2)


def refused(demo: Demo, alert: str = r"\d+") -> set[str]:
    """The devices that refused the gateway by ``alert``, as it logs them."""
    log = (demo.directory / "gateway.log").read_text()
    found = re.findall(rf"SSL alert number {alert}\) .* client: (127\.0\.1\.\d+),", log)
    return set(found)


def test_taking_an_anchor_away_puts_that_device_out_and_no_other(tmp_path: Path) -> None:
    with demo(tmp_path, "--devices", "6") as one:
        for anchor in (one.directory / "devices/dev-02/truststore").iterdir():
            anchor.unlink()
        wait_until(lambda: bool(refused(one, "48")), what="dev-02 to refuse")
        found = refused(one, "48")

    assert found == {"127.0.1.2"}


def test_looks_leave_no_error_in_the_gateways_log(tmp_path: Path) -> None:
    with demo(tmp_path, "--devices", "3") as one:
        log = one.directory / "gateway.log"
        ours = re.compile(r"^127\.0\.0\.1 \[", re.MULTILINE)
        wait_until(lambda: len(ours.findall(log.read_text())) >= 3, what="three looks")
        lines = log.read_text().splitlines()

    told = [line for line in lines if "client: 127.0.0.1" in line or " status=500 " in line]
    assert told == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_time_also_before_it_is_ready(tmp_path: Path, number: int) -> None:
    with subprocess.Popen(
        command("--port", "0", "--json"),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until(lambda: any(tmp_path.glob("*/gateway.log")), what="the gateway's log")
            process.send_signal(number)
            # half a second on a machine with nothing else to do
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()

    assert process.returncode == 0
    assert out == ""
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--devices", "0"], "1 to 200"),
        (["--devices", "201"], "1 to 200"),
        (["--devices", "many"], "many"),
        (["--break", "everything"], "everything"),
        (["--terminator", "apache"], "apache"),
        (["--rotate", "--break", "expired"], "a rotation begins with a healthy fleet"),
        (["--remediation", "maybe"], "maybe"),
    ],
)
def test_what_it_cannot_do_is_a_sentence_and_exit_code_2(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    result = subprocess.run(
        command("--port", "0", *arguments),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_a_sentence_and_exit_code_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = subprocess.run(
            command("--port", str(port)), capture_output=True, text=True, timeout=60, check=False
        )

    assert result.returncode == 2
    assert f"127.0.0.1:{port} cannot be used (Address already in use)" in result.stderr


# --- real terminators, and the way back by itself ----------------------------------------------


def post(demo: Demo, path: str, data: bytes) -> int:
    token = Path(demo.found["token_file"]).read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(demo.found["exporter"] + path, data, headers)  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - likewise
        return int(answer.status)


def latest(demo: Demo, what: str) -> Mapping[str, Any]:
    """The latest ``decision`` about the gateway, or ``action`` on it; empty: none yet."""
    url = f"{demo.found['exporter']}/api/v1/remediation"
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own
        gateways = json.load(answer)["gateways"]
    return dict(gateways[0][what] or {}) if gateways else {}


def accepting(demo: Demo) -> float:
    return sum(demo.values("fleet_tls_device_accepts_gateway", "device").values())


def processes_in(folder: Path) -> list[str]:
    """The command lines of those that were started with something in ``folder``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if str(folder) in line]


@pytest.mark.parametrize("terminator", TERMINATORS)
def test_with_act_an_outage_ends_by_itself_once_the_alert_is_there(
    tmp_path_factory: pytest.TempPathFactory, terminator: Terminator
) -> None:
    """mosquitto's log tells neither who refused nor what was a full handshake: no witnesses."""
    folder = tmp_path_factory.mktemp("d")  # HAProxy's sockets may not have long names
    broken = Break.EXPIRED if terminator is Terminator.HAPROXY else Break.UNKNOWN_CA
    arguments = ("--terminator", terminator, "--break", broken, "--remediation", "act")
    with demo(folder, *arguments) as one:
        out = accepting(one)
        alert = (one.directory / "alert.json").read_bytes()
        status = post(one, "/webhook/alertmanager", alert)
        if terminator is Terminator.MOSQUITTO:
            wait_until(
                lambda: list(latest(one, "decision").get("refusals", ())) == ["too_few_witnesses"],
                what="a refusal for want of witnesses",
            )
        else:  # the first decisions may have found too few devices that had told of it
            wait_until(
                lambda: accepting(one) == 18,
                within_s=60,
                what="18 devices to accept the gateway",
            )
        action = latest(one, "action")
        found = processes_in(folder)
        code, rest = one.stop()

    assert out == 0
    assert status == 202
    if terminator is Terminator.MOSQUITTO:
        assert action == {}
    else:
        assert (action["to_version"], action["by"]) == (1, None)
    assert bool(found) is (terminator is not Terminator.EMBEDDED)
    assert (code, rest) == (0, "")
    assert [path.name for path in folder.iterdir()] == []
    assert processes_in(folder) == []
