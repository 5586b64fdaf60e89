"""docker-compose.yml and what it mounts: by the Compose schema, and by the real programs.

There is no container engine where tests run. What each container reads is put where it would be
mounted, and given to the same program natively.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import yaml

from tests.daemons import Daemon, free_port, need

ROOT = Path(__file__).parents[1]
# In the examples of docs/, and in the network of the containers
PLACES = {
    "127.0.0.1:9883": "tls:9883",
    "127.0.0.1:9093": "alertmanager:9093",
    "127.0.0.1:9095": "receiver:9095",
    "/etc/alertmanager/fleet-tls.token": "/run/fleet-tls/token",
}


def services() -> Mapping[str, dict[str, Any]]:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    found: dict[str, dict[str, Any]] = document["services"]
    return found


def mounts_of(service: dict[str, Any]) -> dict[str, str]:
    """Sources by the place where the container sees them."""
    pairs = [volume.split(":")[:2] for volume in service.get("volumes", ())]
    return {inside: source for source, inside in pairs}


def put(folder: Path, service: str) -> Path:
    """What ``service`` mounts from this repository, below ``folder`` as the container has it."""
    for inside, source in mounts_of(services()[service]).items():
        if source.startswith("./"):
            place = folder / inside.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, place)
    return folder


@pytest.mark.parametrize("profile", ["demo", "fleet"])
def test_the_compose_schema_is_kept(profile: str) -> None:
    command = (need("docker-compose"), "--file", str(ROOT / "docker-compose.yml"))

    done = subprocess.run(
        [*command, "--profile", profile, "config"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert set(yaml.safe_load(done.stdout)["services"]) >= {"prometheus", "grafana", "token"}


def test_without_a_word_the_demo_is_started() -> None:
    lines = (ROOT / ".env").read_text().splitlines()

    assert [line for line in lines if not line.startswith("#")] == ["COMPOSE_PROFILES=demo"]


def test_only_an_operators_own_file_is_not_there_to_be_mounted() -> None:
    named = services().values()
    sources = {source for service in named for source in mounts_of(service).values()}
    local = {source for source in sources if source.startswith("./")}

    assert {source for source in local if not (ROOT / source).exists()} == {"./config.yml"}


def test_every_port_is_published_on_loopback_alone() -> None:
    ports = [port for service in services().values() for port in service.get("ports", ())]

    assert len(ports) == 5  # 9883 by the exporter or by the demo
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", ["prometheus.yml", "alertmanager.yml"])
def test_what_is_mounted_is_the_tested_example_with_other_addresses(name: str) -> None:
    example = (ROOT / "docs" / name).read_text()
    for ours, theirs in PLACES.items():
        example = example.replace(ours, theirs)

    head, _, mounted = (ROOT / "deploy" / name).read_text().partition("\n")

    assert head.startswith("# ")
    assert mounted == example


def test_every_name_that_is_asked_for_is_one_of_a_service() -> None:
    names = {*services(), "tls"}  # the alias that the exporter and the demo share
    grafana = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/datasources/fleet-tls.yml").read_text()
    )
    asked = {place.split(":")[0] for place in PLACES.values() if not place.startswith("/")}
    asked |= {str(urlsplit(source["url"]).hostname) for source in grafana["datasources"]}

    assert asked == {"tls", "alertmanager", "receiver", "prometheus"}
    assert asked <= names


def test_grafana_finds_the_dashboards_where_they_are_mounted() -> None:
    providers = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/dashboards/fleet-tls.yml").read_text()
    )["providers"]
    grafana = services()["grafana"]
    [path] = [provider["options"]["path"] for provider in providers]

    assert mounts_of(grafana)[path] == "./dashboards"
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "dashboards" / home.removeprefix(f"{path}/")).exists()


@pytest.mark.slow
def test_prometheus_takes_what_is_mounted(tmp_path: Path) -> None:
    config = put(tmp_path, "prometheus") / "etc/prometheus/prometheus.yml"
    checked = subprocess.run(
        [need("promtool"), "check", "config", config], capture_output=True, text=True, check=False
    )
    port = free_port()
    command = (
        need("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    )

    with Daemon(command, directory=tmp_path / "run", ports=[port]) as prometheus:
        prometheus.wait_for_line("Server is ready to receive web requests")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "1 rule files found" in checked.stdout
    assert "level=error" not in prometheus.text()


@pytest.mark.slow
def test_alertmanager_takes_what_is_mounted(tmp_path: Path) -> None:
    config = put(tmp_path, "alertmanager") / "etc/alertmanager/alertmanager.yml"
    checked = subprocess.run(
        [need("amtool"), "check-config", config], capture_output=True, text=True, check=False
    )
    port = free_port()
    command = (
        need("prometheus-alertmanager"),
        f"--config.file={config}",
        f"--storage.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )

    with Daemon(command, directory=tmp_path / "run", ports=[port]) as alertmanager:
        alertmanager.wait_for_line("Completed loading of configuration file")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "level=error" not in alertmanager.text()


@pytest.mark.slow
def test_the_receiver_prints_each_alert_of_a_notification(tmp_path: Path) -> None:
    port = free_port()
    alert = {"status": "firing", "labels": {"alertname": "A"}, "annotations": {"summary": "bad"}}
    body = json.dumps({"alerts": [alert, {**alert, "annotations": {}}]}).encode()
    command = (sys.executable, ROOT / "deploy/receiver.py", str(port))

    with Daemon(command, directory=tmp_path, ports=[port]) as receiver:
        with urlopen(f"http://127.0.0.1:{port}/page", data=body, timeout=30) as answer:
            status = answer.status
        receiver.wait_for_line("'A'")

    assert status == 200
    assert receiver.lines() == ["page: firing: 'bad'", "page: firing: 'A'"]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_token_is_made_once_and_the_demo_takes_it(tmp_path: Path) -> None:
    # the one-shot service's own program, with its volume in our folder
    [program] = services()["token"]["command"]
    token = tmp_path / "token"
    program = program.replace("/run/fleet-tls/token", str(token))
    made = []
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], check=True)
        made.append(token.read_text())
    wanted = services()["demo"]["command"]
    given = [str(token) if part == "/run/fleet-tls/token" else part for part in wanted]
    options = ("--port", "0", "--devices", "1", "--json")
    command = (sys.executable, "-m", "exporter", *given, *options)

    with Daemon(command, directory=tmp_path / "demo") as demo:
        demo.wait_for_line("}", within_s=90)
        answer = yaml.safe_load(demo.lines()[-1])
        used = Path(answer["token_file"]).read_text()

    assert made[0] == made[1] == used
    assert len(used.strip()) >= 32
    assert answer["exporter"].startswith("http://0.0.0.0:")
