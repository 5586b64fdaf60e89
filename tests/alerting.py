"""Real Prometheus and Alertmanager as docs/ sets them up; only places and waits differ."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from exporter.clock import SystemClock
from tests.daemons import Daemon, free_port, need

DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One notification as a receiver got it; ``receiver`` is the end of its path."""

    receiver: str
    at: datetime
    authorization: str
    body: Mapping[str, Any]

    @property
    def names(self) -> set[str]:
        return {alert["labels"]["alertname"] for alert in self.body["alerts"]}

    def firing(self, name: str) -> list[Mapping[str, Any]]:
        return [
            alert
            for alert in self.body["alerts"]
            if alert["labels"]["alertname"] == name and alert["status"] == "firing"
        ]


@dataclass(slots=True)
class Inbox:
    """A real HTTP server that takes notifications and keeps them."""

    deliveries: list[Delivery] = field(default_factory=list)
    url: str = ""

    async def _take(self, request: web.Request) -> web.Response:
        self.deliveries.append(
            Delivery(
                receiver=request.path.rpartition("/")[2],
                at=SystemClock().now(),
                authorization=request.headers.get("Authorization", ""),
                body=await request.json(),
            )
        )
        return web.Response()

    def at(self, receiver: str) -> list[Delivery]:
        return [one for one in self.deliveries if one.receiver == receiver]


@asynccontextmanager
async def inbox() -> AsyncIterator[Inbox]:
    """An inbox that listens while the block runs."""
    kept = Inbox()
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/{receiver}", kept._take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        kept.url = "http://{}:{}".format(*runner.addresses[0])
        yield kept
    finally:
        await runner.cleanup()


def alertmanager(
    directory: Path, *, inbox_url: str, rollback_url: str, token_file: Path,
    waits: Mapping[str, str],
) -> tuple[Daemon, str]:  # fmt: skip
    """Alertmanager with ``docs/alertmanager.yml``, and its address.

    Args:
        waits: What ``group_wait``, ``group_interval`` and ``repeat_interval`` are here.
    """
    config = yaml.safe_load((DOCS / "alertmanager.yml").read_text("utf-8"))
    for route in _routes(config["route"]):
        route.update({key: value for key, value in waits.items() if key in route})
    for receiver in config["receivers"]:
        for hook in receiver["webhook_configs"]:
            if "http_config" in hook:
                hook["url"] = rollback_url
                hook["http_config"]["authorization"]["credentials_file"] = str(token_file)
            else:
                hook["url"] = f"{inbox_url}/{hook['url'].rpartition('/')[2]}"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    port = free_port()
    command = (
        need("prometheus-alertmanager"),
        f"--config.file={path}",
        f"--storage.path={directory}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )
    return Daemon(command, directory=directory, ports=[port]), f"127.0.0.1:{port}"


def _routes(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield route
    for below in route.get("routes", ()):
        yield from _routes(below)


def prometheus(
    directory: Path, *, rules: str, exporter: str, alertmanager: str, interval: str
) -> tuple[Daemon, str]:
    """Prometheus with ``docs/prometheus.yml`` and these rules, and its address."""
    config = yaml.safe_load((DOCS / "prometheus.yml").read_text("utf-8"))
    config["global"] = dict.fromkeys(config["global"], interval)
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": [exporter]}]
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    folder = directory / "fleet-tls"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fleet-tls.rules.yml").write_text(rules)
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    port = free_port()
    command = (
        need("prometheus"),
        f"--config.file={path}",
        f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )
    return Daemon(command, directory=directory, ports=[port]), f"127.0.0.1:{port}"
