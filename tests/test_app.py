"""The whole service in this process: real listeners, real HTTP, real files."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
import pytest
import yaml
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.app import App
from exporter.clock import SystemClock
from exporter.config import load
from exporter.errors import ConfigError
from exporter.targets.entries import SYSTEM_STORE
from exporter.trust_map.model import TrustMap
from tests.fake_gateway import FakeGateway, device
from tests.listeners import demand_client_certificate, listening, say_nothing, server_context
from tests.pki import CLIENT_AUTH, Issued, certificate_of, make_ca, make_leaf
from tests.web.test_api import check_answer

CA = make_ca("app CA")
OTHER_CA = make_ca("other CA")
GATEWAY = make_leaf(CA, "gw.test")
TOKEN = {"Authorization": "Bearer t0ken"}


@dataclass(slots=True, kw_only=True)
class Files:
    """The configuration of one test and the files beside it."""

    folder: Path
    document: dict[str, Any]

    @property
    def path(self) -> Path:
        return self.folder / "config.yml"

    def write(self) -> Path:
        self.path.write_text(yaml.safe_dump(self.document))
        return self.path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "token").write_text("t0ken\n")
    (tmp_path / "ca.pem").write_bytes(CA.pem)
    (tmp_path / "other.pem").write_bytes(OTHER_CA.pem)
    return Files(
        folder=tmp_path,
        document={
            "listen": "127.0.0.1:0",
            "web": {"token_file": "token"},
            "trust_stores": [
                {"name": "fw", "file": "ca.pem"},
                {"name": "other", "file": "other.pem"},
            ],
            "targets": {"static": []},
            "probe": {"interval": "1s", "timeout": "60s"},
        },
    )


def gateway(port: int, name: str = "gw-1", **wishes: object) -> dict[str, object]:
    return {
        "name": name,
        "address": f"127.0.0.1:{port}",
        "server_name": "gw.test",
        "trust_stores": ["fw"],
        **wishes,
    }


@asynccontextmanager
async def serving(files: Files) -> AsyncIterator[str]:
    """The base URL of the service with these files, until the test is done with it."""
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        app = App(load(files.write()), SystemClock())
        running = tasks.create_task(app.run(url.set_result))
        yield await url
        running.cancel()


@asynccontextmanager
async def tls(folder: Path, *chain: Issued) -> AsyncIterator[int]:
    async with listening(say_nothing, tls=server_context(folder / "tls", chain)) as port:
        yield port


async def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers) as answer,
    ):
        return answer.status, await answer.text()


async def reload(url: str) -> tuple[int, str]:
    return await ask(f"{url}/-/reload", "POST", **TOKEN)


Samples = dict[str, float]


async def samples(url: str) -> Samples:
    """Every sample; its name with label values behind it, in the order of the labels' names."""
    status, text = await ask(f"{url}/metrics")
    assert status == 200
    return {
        " ".join([sample.name, *(sample.labels[key] for key in sorted(sample.labels))]): (
            sample.value
        )
        for family in parse_text(text)
        for sample in family.samples
    }


async def eventually(url: str, holds: Callable[[Samples], bool], within_s: float = 30) -> Samples:
    async with asyncio.timeout(within_s):
        while True:
            found = await samples(url)
            if holds(found):
                return found
            await SystemClock().sleep(0.02)


async def test_what_a_gateway_serves_is_known_within_one_look(files: Files) -> None:
    async with tls(files.folder, GATEWAY) as port:
        files.document["targets"]["static"] = [
            gateway(port, trust_stores=["fw", "other"]),
            {"name": "dev-1", "gateway": "gw-1", "holds": ["fw"]},
            {"name": "dev-2", "gateway": "gw-1", "holds": ["other"]},
            {"name": "dev-3", "gateway": "gw-1"},
        ]
        async with serving(files) as url:
            found = await eventually(url, lambda s: "fleet_tls_chain_verified gw-1 fw" in s)

    assert found["fleet_tls_chain_verified gw-1 fw"] == 1
    assert found["fleet_tls_chain_verified gw-1 other"] == 0
    assert found["fleet_tls_chain_problem unknown_ca gw-1 other"] == 1
    assert found["fleet_tls_probe_success gw-1"] == 0
    assert found["fleet_tls_probe_handshake_success gw-1"] == 1
    assert found["fleet_tls_certificate_not_after_timestamp_seconds 0 gw-1"] == (
        GATEWAY.certificate.not_valid_after_utc.timestamp()
    )
    assert found["fleet_tls_device_accepts_gateway inventory dev-1 gw-1"] == 1
    assert found["fleet_tls_device_accepts_gateway inventory dev-2 gw-1"] == 0
    assert "fleet_tls_device_accepts_gateway inventory dev-3 gw-1" not in found


async def test_both_formats_and_every_shard_can_be_parsed(files: Files) -> None:
    async with tls(files.folder, GATEWAY) as port:
        files.document["targets"]["static"] = [gateway(port)]
        async with serving(files) as url:
            await eventually(url, lambda s: "fleet_tls_chain_verified gw-1 fw" in s)
            _, openmetrics = await ask(
                f"{url}/metrics", Accept="application/openmetrics-text;version=1.0.0"
            )
            parts = [await ask(f"{url}/metrics?shard={part}/3") for part in (1, 2, 3)]

    names = {family.name for family in parse_openmetrics(openmetrics)}  # type: ignore[no-untyped-call]  # the parser has no types
    assert "fleet_tls_chain_verified" in names
    assert openmetrics.endswith("# EOF\n")
    assert sum('target="gw-1"' in text for _, text in parts) == 1


async def test_it_is_ready_when_every_target_was_looked_at(files: Files) -> None:
    goes_on = asyncio.Event()

    async def silent_for_now(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await goes_on.wait()

    async with listening(silent_for_now) as silent:
        files.document["targets"]["static"] = [gateway(silent)]
        files.document["probe"]["interval"] = "1h"
        async with serving(files) as url:
            before, sentence = await ask(f"{url}/-/ready")
            goes_on.set()
            await eventually(url, lambda s: s.get("fleet_tls_probe_attempts_total gw-1") == 1)
            after, _ = await ask(f"{url}/-/ready")

    assert (before, after) == (503, 200)
    assert sentence in {
        "Starting: 1 targets are still to be looked at.\n",
        "Starting: 0 targets are still to be looked at.\n",  # the inventory itself is to come
    }


async def test_it_is_ready_after_one_interval_whatever_hangs(files: Files) -> None:
    async with listening(say_nothing) as silent:
        files.document["targets"]["static"] = [gateway(silent)]
        async with serving(files) as url, asyncio.timeout(30):
            while (await ask(f"{url}/-/ready"))[0] != 200:
                pass
            assert (await samples(url))["fleet_tls_probe_attempts_total gw-1"] == 0


async def test_a_reload_takes_up_what_changed_and_keeps_the_rest(files: Files) -> None:
    async with tls(files.folder, GATEWAY) as port:
        files.document["targets"]["static"] = [gateway(port), gateway(port, "gw-2")]
        files.document["probe"]["interval"] = "1h"  # what is shown afterwards is what was kept
        async with serving(files) as url:
            await eventually(url, lambda s: s.get("fleet_tls_probe_attempts_total gw-1") == 1)
            files.document["targets"]["static"] = [gateway(port), gateway(port, "gw-3")]
            files.write()
            status, _ = await reload(url)
            after = await samples(url)

    assert status == 200
    assert after["fleet_tls_probe_attempts_total gw-1"] == 1
    assert after["fleet_tls_chain_verified gw-1 fw"] == 1
    assert "fleet_tls_probe_attempts_total gw-2" not in after
    assert "fleet_tls_probe_attempts_total gw-3" in after
    assert after["fleet_tls_exporter_config_reloads_total success"] == 2


async def test_a_broken_file_changes_nothing_and_is_told(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    async with tls(files.folder, GATEWAY) as port:
        files.document["targets"]["static"] = [gateway(port)]
        files.document["probe"]["interval"] = "1h"  # what is shown afterwards is what was kept
        async with serving(files) as url:
            await eventually(url, lambda s: "fleet_tls_chain_verified gw-1 fw" in s)
            files.path.write_text("listen: nowhere\ntargets: {static: [{name: a}]}\n")
            status, text = await reload(url)
            broken = await samples(url)
            files.write()
            again, _ = await reload(url)
            healed = await samples(url)

    assert (status, again) == (500, 200)
    assert "config.yml:1 listen: 'nowhere' has no port" in text
    assert "configuration not taken over" in caplog.text
    assert broken["fleet_tls_exporter_config_last_reload_successful"] == 0
    assert broken["fleet_tls_exporter_config_reloads_total failure"] == 1
    assert broken["fleet_tls_chain_verified gw-1 fw"] == 1
    assert healed["fleet_tls_exporter_config_last_reload_successful"] == 1


async def test_a_hangup_reloads(files: Files) -> None:
    async with serving(files) as url:
        files.document["targets"]["static"] = [gateway(1, "new")]
        files.write()
        os.kill(os.getpid(), signal.SIGHUP)

        await eventually(url, lambda s: "fleet_tls_probe_attempts_total new" in s)


async def test_a_trust_store_that_changed_is_judged_by_after_a_reload(files: Files) -> None:
    async with tls(files.folder, GATEWAY) as port:
        files.document["targets"]["static"] = [gateway(port)]
        async with serving(files) as url:
            await eventually(url, lambda s: s.get("fleet_tls_chain_verified gw-1 fw") == 1)
            (files.folder / "ca.pem").write_bytes(OTHER_CA.pem)
            await reload(url)

            await eventually(url, lambda s: s.get("fleet_tls_chain_verified gw-1 fw") == 0)


async def test_an_address_in_use_keeps_the_old_one(files: Files) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with serving(files) as url:
            files.document["listen"] = f"127.0.0.1:{taken.getsockname()[1]}"
            files.write()
            status, text = await reload(url)
            alive, _ = await ask(f"{url}/-/healthy")

    assert status == 500
    assert "is in use; another program listens there" in text
    assert alive == 200


async def test_scrapes_go_on_while_it_reloads(files: Files) -> None:
    async with tls(files.folder, GATEWAY) as port:
        files.document["targets"]["static"] = [gateway(port, f"gw-{n}") for n in range(50)]
        async with serving(files) as url:

            async def scrape_on() -> list[int]:
                return [(await ask(f"{url}/metrics"))[0] for _ in range(30)]

            async with asyncio.TaskGroup() as tasks:
                scraping = [tasks.create_task(scrape_on()) for _ in range(3)]
                for _ in range(5):
                    assert (await reload(url))[0] == 200

    assert [task.result() for task in scraping] == [[200] * 30] * 3


async def test_reloads_at_the_same_time_wait_for_each_other(files: Files) -> None:
    async with serving(files) as url:
        answers = await asyncio.gather(*(reload(url) for _ in range(5)))
        found = await samples(url)

    assert {status for status, _ in answers} == {200}
    assert found["fleet_tls_exporter_config_reloads_total success"] == 6


async def test_who_leaves_during_a_reload_does_not_break_it(files: Files) -> None:
    begun, work = asyncio.Event(), App._reload

    async def telling(app: App) -> ConfigError | None:
        begun.set()
        return await work(app)

    with patch.object(App, "_reload", telling):
        await _left_during_a_reload(files, begun)


async def _left_during_a_reload(files: Files, begun: asyncio.Event) -> None:
    async with serving(files) as url:
        files.document["targets"]["static"] = [gateway(1, "new")]
        files.write()
        port = int(url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = ["POST /-/reload HTTP/1.1", "Host: a", "Authorization: Bearer t0ken", "", ""]
        writer.write("\r\n".join(lines).encode())
        await writer.drain()
        await begun.wait()
        writer.transport.abort()

        await eventually(url, lambda s: "fleet_tls_probe_attempts_total new" in s)


async def test_a_target_that_hangs_delays_no_scrape(files: Files) -> None:
    async with listening(say_nothing) as silent:
        files.document["targets"]["static"] = [gateway(silent, f"gw-{n}") for n in range(20)]
        async with serving(files) as url:
            await eventually(url, lambda s: s.get("fleet_tls_exporter_looks_running", 0) > 0)
            found = await samples(url)

    # None of those that hang was waited for
    assert found["fleet_tls_exporter_looks_running"] > 0
    assert {found[f"fleet_tls_probe_attempts_total gw-{n}"] for n in range(20)} == {0}


async def test_a_file_of_targets_is_followed_without_a_reload(files: Files) -> None:
    listed = files.folder / "targets.json"
    files.document["targets"] = {"files": ["targets.json"]}
    async with serving(files) as url:
        labels = '{"name": "found", "trust_stores": "fw"}'
        listed.write_text(f'[{{"targets": ["127.0.0.1:1"], "labels": {labels}}}]')

        await eventually(url, lambda s: "fleet_tls_probe_attempts_total found" in s)


async def test_nothing_goes_on_after_the_end(files: Files) -> None:
    async with tls(files.folder, GATEWAY) as port:
        files.document["targets"]["static"] = [gateway(port)]
        async with serving(files) as url:
            await eventually(url, lambda s: "fleet_tls_chain_verified gw-1 fw" in s)

    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(aiohttp.ClientError):
        await ask(f"{url}/-/healthy")


async def test_a_target_without_a_store_is_judged_by_the_systems(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.folder / "ca.pem"))
    async with tls(files.folder, GATEWAY) as port:
        target = gateway(port)
        del target["trust_stores"]
        files.document["targets"]["static"] = [target]
        async with serving(files) as url:
            key = f"fleet_tls_chain_verified gw-1 {SYSTEM_STORE}"
            found = await eventually(url, lambda s: key in s)

    assert found[key] == 1


async def test_a_client_certificate_is_shown_after_a_reload(files: Files) -> None:
    client = make_leaf(OTHER_CA, common_name="ops", purposes=(CLIENT_AUTH,))
    (files.folder / "client.pem").write_bytes(client.pem)
    (files.folder / "client.key").write_bytes(client.key_pem)
    context = server_context(files.folder / "tls", [GATEWAY])
    demand_client_certificate(context, OTHER_CA)
    async with listening(say_nothing, tls=context) as port:
        files.document["targets"]["static"] = [gateway(port)]
        async with serving(files) as url:
            key = "fleet_tls_probe_handshake_success gw-1"
            refused = await eventually(url, lambda s: key in s)
            files.document["probe"] |= {
                "client_cert_file": "client.pem",
                "client_key_file": "client.key",
            }
            files.write()
            await reload(url)

            await eventually(url, lambda s: s.get(key) == 1)

    assert refused[key] == 0
    assert refused["fleet_tls_probe_failures_total client_cert_required gw-1"] >= 1
    assert refused["fleet_tls_chain_verified gw-1 fw"] == 1


async def test_probe_looks_now_and_by_what_the_target_is_judged_by(files: Files) -> None:
    async with tls(files.folder, GATEWAY) as port:
        files.document["targets"]["static"] = [gateway(port)]
        files.document["probe"]["interval"] = "1h"
        async with serving(files) as url:
            await eventually(url, lambda s: "fleet_tls_chain_verified gw-1 fw" in s)
            _, text = await ask(f"{url}/probe?target=gw-1")
            refused, _ = await ask(f"{url}/probe?target=127.0.0.1:1")

    assert "\nprobe_success 1\n" in text
    assert refused == 400


REFUSED = (
    "2026/11/24 12:00:00 [info] 1#1: *5 SSL_do_handshake() failed (SSL: error:0A000418:SSL"
    " routines::tlsv1 alert unknown ca:SSL alert number 48) while SSL handshaking,"
    " client: {peer}, server: 0.0.0.0:8883\n"
)


def watching_logs(files: Files, **source: str) -> None:
    files.document["targets"]["static"] = [
        gateway(1),
        {"name": "dev-1", "gateway": "gw-1", "peers": ["10.0.0.5"]},
    ]
    files.document["handshake_logs"] = [{"gateway": "gw-1", "side": "gateway", **source}]


# label values in the order of the labels' names: device, gateway, reason, rejected_by
FAILURES = "fleet_tls_handshake_failures_total dev-1 gw-1 unknown_ca device"
FAILING = "fleet_tls_device_failing dev-1 gw-1 unknown_ca device"


async def test_a_devices_refusal_in_a_log_is_counted_and_shown(files: Files) -> None:
    log = files.folder / "gateway.log"
    log.touch()
    watching_logs(files, file="gateway.log", read_from="beginning")
    async with serving(files) as url:
        with log.open("a") as lines:
            lines.write(REFUSED.format(peer="10.0.0.5") + REFUSED.format(peer="10.9.9.9"))
        found = await eventually(url, lambda s: FAILING in s)
        _, text = await ask(f"{url}/api/v1/handshakes")

    assert found[FAILING] == 1
    told = json.loads(text)
    check_answer("/api/v1/handshakes", told)
    [device] = [item for item in told["items"] if item["device"] == "dev-1"]
    assert device["failing"] == {"reason": "unknown_ca", "rejected_by": "device"}
    assert [peer["peer"] for peer in told["unknown_peers"]] == ["10.9.9.9"]
    assert told["sources"][0]["lines"] == 2


async def test_counts_go_on_after_a_restart(files: Files) -> None:
    log = files.folder / "gateway.log"
    log.write_text(REFUSED.format(peer="10.0.0.5"))
    watching_logs(files, file="gateway.log", read_from="beginning")
    async with serving(files) as url:
        await eventually(url, lambda s: s.get(FAILURES) == 1)
    with log.open("a") as lines:
        lines.write(REFUSED.format(peer="10.0.0.5"))

    async with serving(files) as url:
        await eventually(url, lambda s: s.get(FAILURES) == 2)


async def test_lines_can_be_pushed_with_the_sources_token(files: Files) -> None:
    (files.folder / "push-token").write_text("pu5h\n")
    watching_logs(files, push="gw-1-log", token_file="push-token")  # noqa: S106 - a file's name
    body = REFUSED.format(peer="10.0.0.5").encode()
    async with serving(files) as url, aiohttp.ClientSession() as session:
        page = f"{url}/logs?source=gw-1-log"
        statuses = []
        for token in ("nope", "pu5h"):
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain"}
            async with session.post(page, data=body, headers=headers) as answer:
                statuses.append(answer.status)
        found = await samples(url)

    assert statuses == [401, 204]
    assert found[FAILURES] == 1


async def test_what_devices_report_through_a_management_api_is_counted_and_mapped(
    files: Files,
) -> None:
    reporting = FakeGateway(devices=[device("dev-01", certificate_of(CA).fingerprint_sha256)])
    for entry in reporting.devices:
        entry["reportedAt"] = entry["receivedAt"] = SystemClock().now().isoformat()
    async with reporting.serving() as api, tls(files.folder, GATEWAY) as port:
        files.document["management_apis"] = [{"name": "site", "url": api, "poll_interval": "1s"}]
        files.document["targets"]["static"] = [
            gateway(port),
            {"name": "dev-01", "gateway": "gw-1", "device_class": "", "holds": ["other"]},
        ]
        async with serving(files) as url:
            accepts = "fleet_tls_device_accepts_gateway reported dev-01 gw-1"
            found = await eventually(url, lambda s: s.get(accepts) == 1)
            _, body = await ask(f"{url}/api/v1/trust-map")
            asked = "fleet_tls_exporter_management_api_requests_total site trust_status"
            moved = files.document["management_apis"][0]
            moved["timeout"] = "5s"
            files.write()
            assert (await reload(url))[0] == 200
            await eventually(url, lambda s: s[asked] > found[asked])

    told = TrustMap.model_validate_json(body)
    (held,) = [one for one in told.authorities if one.trusted_by]
    assert held.subject == "CN=app CA"
    assert (held.trusted_by[0].reported_count, held.if_removed.dark_count) == (1, 1)
    assert found["fleet_tls_exporter_management_api_clock_offset_seconds site"] < 60


async def test_another_store_needs_a_restart(files: Files) -> None:
    async with serving(files) as url:
        files.document["store"] = "sqlite:///other.db"
        files.write()
        status, text = await reload(url)

    assert status == 500
    assert "another store is used after a restart only" in text
