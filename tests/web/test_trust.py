"""What devices trust: the page that shows it, and the endpoint that takes it; real HTTP."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import text as sql

from exporter.clock import SystemClock
from exporter.gateway.api import TrustStatus
from exporter.gateway.messages import DeviceTrustStore, DeviceUpdateStatus
from exporter.store import Store
from exporter.targets.model import Inventory
from exporter.trust_store.keep import BusyError
from exporter.trust_store.options import Options as TrustOptions
from exporter.trust_store.poll import Polled
from exporter.trust_store.sync import TrustSync
from exporter.web.api import openapi_document
from exporter.web.options import Options
from exporter.web.trust_push import MOST_BYTES, TrustPush, report_in
from tests.pki import certificate_of, make_ca
from tests.trust_store.saying import NOON, OTHER
from tests.trust_store.stand import FakeApi
from tests.web.serving import FakeService, device, gateway, serving, store_of
from tests.web.test_api import check_answer

CA = make_ca("held CA")
ANCHOR = certificate_of(CA)
HELD = ANCHOR.fingerprint_sha256
STRANGE_CA = make_ca("strange CA")
STRANGE = certificate_of(STRANGE_CA)
WEB, SITE, ELSEWHERE = "web-token", "site-token", "other-site-token"
REPORTED_AT = SystemClock().now().isoformat()


@dataclass(slots=True, kw_only=True)
class Stand:
    """A service of two sites with trust sync running, and a client of it."""

    url: str
    trust: TrustSync
    session: aiohttp.ClientSession = field(repr=False)

    async def push(
        self,
        name: str = "dev-01",
        body: object = None,
        *,
        token: str | None = SITE,
        encoding: str = "identity",
    ) -> tuple[int, str]:
        said = {"anchors": [HELD], "reportedAt": REPORTED_AT} if body is None else body
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {} if encoding == "identity" else {"Content-Encoding": encoding}
        url = f"{self.url}/devices/{name}/truststore/report"
        async with self.session.post(url, data=data, headers=headers) as answer:
            return answer.status, await answer.text()

    async def page(self, query: str = "") -> tuple[int, dict[str, Any]]:
        async with self.session.get(f"{self.url}/api/v1/devices{query}") as answer:
            return answer.status, await answer.json()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)


@asynccontextmanager
async def standing(folder: Path, *answers: DeviceTrustStore) -> AsyncIterator[Stand]:
    targets = [
        gateway("gw-1", "192.0.2.1:1", "fw"),
        gateway("gw-2", "192.0.2.2:1", "fw"),
        *(device(f"dev-{number:02}", "gw-1", "fw") for number in (1, 2, 3)),
        device("elsewhere", "gw-2", "fw"),
        device("odd name/ü", "gw-1", "fw"),
    ]
    tokens = {"site-a": folder / "a.token", "site-b": folder / "b.token"}
    tokens["site-a"].write_text(SITE + "\n")
    tokens["site-b"].write_text(ELSEWHERE)
    (folder / "web.token").write_text(WEB)
    clock, held = SystemClock(), store_of("fw", ANCHOR)
    service = FakeService(targets=targets, stores=[held])
    trust = TrustSync(
        TrustOptions(), Store(f"sqlite:///{folder}/state.db"), clock, service.fleet.use_reports
    )
    apis = {name: FakeApi(name=name) for name in tokens}
    apis["site-a"].answer = TrustStatus(devices=answers, total=len(answers), complete=0)
    trust.read(
        TrustOptions(), {name: Polled(api=api, interval_s=60) for name, api in apis.items()}
    )
    sites = {"gw-1": "site-a", "gw-2": "site-b"}
    placed = {one.name: replace(one, management_api=sites.get(one.name)) for one in targets}
    trust.use(Inventory(targets=placed), {"fw": held})
    service.trust = trust
    push = TrustPush(trust, clock, lambda: tokens)
    options = Options(token_file=folder / "web.token")
    async with (
        serving(service, options, opened=push.endpoints()) as (url, _),
        aiohttp.ClientSession() as session,
        asyncio.TaskGroup() as tasks,
    ):
        running = tasks.create_task(trust.run())
        stand = Stand(url=url, trust=trust, session=session)
        await stand.until(lambda: trust.stats["site-a"].last_success_at)
        trust.compare()
        yield stand
        running.cancel()


def said(name: str, *anchors: str, status: str = "COMPLETE") -> DeviceTrustStore:
    now = SystemClock().now()
    return DeviceTrustStore(
        device_id=name,
        status=DeviceUpdateStatus(status),
        anchors=anchors,
        reported_at=now,
        received_at=now,
        error="disk full" if status == "FAILED" else None,
    )


# The page


async def test_the_page_tells_what_each_device_trusts(tmp_path: Path) -> None:
    answers = (said("dev-01", HELD), said("dev-02", OTHER, status="FAILED"))
    async with standing(tmp_path, *answers) as stand:
        status, page = await stand.page()

    check_answer("/api/v1/devices", page)
    devices = {item["name"]: item for item in page["items"]}
    assert status == 200
    assert {name: item["state"] for name, item in devices.items()} == {
        "dev-01": "synced",
        "dev-02": "failed",
        "dev-03": "never_reported",
        "elsewhere": "never_reported",
        "odd name/ü": "never_reported",
    }
    assert devices["dev-01"]["missing"] == []
    assert devices["dev-01"]["report"]["age_s"] < 60
    assert devices["dev-01"]["management_api"] == "site-a"
    assert devices["dev-02"]["platform"]["error"] == "disk full"
    assert devices["dev-02"]["missing"] == [
        {
            "fingerprint_sha256": HELD,
            "subject": "CN=held CA",
            "not_after": ANCHOR.not_after.isoformat().replace("+00:00", "Z"),
        }
    ]
    assert devices["dev-02"]["extra"] == [
        {"fingerprint_sha256": OTHER, "subject": None, "not_after": None}
    ]
    assert (devices["dev-03"]["report"], devices["dev-03"]["missing"]) == (None, None)


async def test_the_page_can_be_asked_for_one_state(tmp_path: Path) -> None:
    async with standing(tmp_path, said("dev-01", HELD)) as stand:
        _, synced = await stand.page("?state=synced")
        _, failed = await stand.page("?state=failed")
        status, refused = await stand.page("?state=fine")

    assert [item["name"] for item in synced["items"]] == ["dev-01"]
    assert failed["items"] == []
    assert status == 400
    assert "there are: synced, pending, failed, stale, never_reported" in str(refused)


# The endpoint


async def test_a_report_is_taken_shown_and_predicted_by(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        status, answer = await stand.push()
        stand.trust.compare()
        _, page = await stand.page("?state=synced")

    assert status == 202
    assert json.loads(answer)["deviceId"] == "dev-01"
    assert [item["name"] for item in page["items"]] == ["dev-01"]
    assert stand.trust.pushed.accepted == 1


async def test_anchors_come_as_hashes_and_as_certificates(tmp_path: Path) -> None:
    body = {"anchors": [HELD.upper(), STRANGE_CA.pem.decode()], "reportedAt": REPORTED_AT}
    async with standing(tmp_path) as stand:
        status, _ = await stand.push(body=body)
        stand.trust.compare()
        _, page = await stand.page("?state=synced")

    assert status == 202
    assert page["items"][0]["extra"][0]["subject"] == "CN=strange CA"


@pytest.mark.parametrize(
    ("name", "token", "status"),
    [
        pytest.param("dev-01", SITE, 202, id="its platform"),
        pytest.param("dev-01", WEB, 202, id="an operator"),
        pytest.param("elsewhere", ELSEWHERE, 202, id="the other platform"),
        pytest.param("odd%20name%2F%C3%BC", SITE, 202, id="an odd name"),
        pytest.param("dev-01", ELSEWHERE, 401, id="another platform"),
        pytest.param("elsewhere", SITE, 401, id="another platform, reverse"),
        pytest.param("dev-01", "wrong", 401, id="wrong token"),
        pytest.param("dev-01", None, 401, id="no token"),
        pytest.param("stranger", None, 401, id="no token and no such device"),
        pytest.param("stranger", SITE, 404, id="no such device"),
        pytest.param("stranger", WEB, 404, id="no such device, an operator"),
        pytest.param("gw-1", SITE, 404, id="a gateway"),
    ],
)
async def test_who_may_say_what_a_device_trusts(
    tmp_path: Path, name: str, token: str | None, status: int
) -> None:
    async with standing(tmp_path) as stand:
        answered, _ = await stand.push(name, token=token)

        assert answered == status
        assert any(one.known.report for one in stand.trust.standings.values()) is False
        stand.trust.compare()
        reports = sum(one.known.report is not None for one in stand.trust.standings.values())

    assert reports == (status == 202)


async def test_a_clock_at_the_end_of_the_calendar_breaks_no_page(tmp_path: Path) -> None:
    body = {"anchors": [HELD], "reportedAt": "0001-01-01T00:00:00+05:00"}
    async with standing(tmp_path) as stand:
        pushed, _ = await stand.push(body=body)
        stand.trust.compare()
        status, page = await stand.page("?state=synced")

    assert (pushed, status) == (202, 200)
    assert page["items"][0]["report"]["reported_at"] == "0001-01-01T00:00:00Z"


async def test_a_changed_token_file_counts_at_once(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        (tmp_path / "a.token").write_text("renewed")

        assert (await stand.push())[0] == 401
        assert (await stand.push(token="renewed"))[0] == 202  # noqa: S106 - of a test


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        pytest.param(b"<html>", 400, "the body: Invalid JSON", id="not json"),
        pytest.param(b"[" * 50_000, 400, "the body: Invalid JSON", id="nested"),
        pytest.param({}, 422, "anchors: Field required", id="nothing"),
        pytest.param(
            {"anchors": [], "reportedAt": "noon"}, 422, "reportedAt: write a moment", id="time"
        ),
        pytest.param(
            {"anchors": [], "reportedAt": "2026-11-24T12:00:00"},
            422,
            "write a moment as in RFC 3339",
            id="naive time",
        ),
        pytest.param(
            {"anchors": [], "reportedAt": REPORTED_AT, "x": 1}, 422, "x: Extra inputs", id="more"
        ),
        pytest.param(
            {"anchors": ["zz"], "reportedAt": REPORTED_AT},
            422,
            "anchors.0: 'zz' is neither a SHA-256 in hex nor a certificate in PEM form",
            id="no hash",
        ),
        pytest.param(
            {"anchors": [HELD, CA.key_pem.decode()], "reportedAt": REPORTED_AT},
            422,
            "anchors.1: it holds a private key",
            id="a key",
        ),
        pytest.param(
            {"anchors": [(CA.pem + STRANGE_CA.pem).decode()], "reportedAt": REPORTED_AT},
            422,
            "anchors.0: 2 certificates; give each an entry of its own",
            id="two in one",
        ),
        pytest.param(
            {"anchors": [HELD] * 10_000, "reportedAt": REPORTED_AT},
            422,
            "anchors: Tuple should have at most 1000 items",
            id="too many",
        ),
    ],
)
async def test_what_is_no_report_is_refused_by_a_sentence_and_changes_nothing(
    tmp_path: Path, body: object, status: int, sentence: str
) -> None:
    async with standing(tmp_path) as stand:
        answered, text = await stand.push(body=body)
        stand.trust.compare()

        assert answered == status
        assert sentence in json.loads(text)["error"]["message"]
        assert "PRIVATE" not in text
        assert stand.trust.standings["dev-01"].known.report is None
        assert stand.trust.pushed.refused == 1


async def test_a_body_without_end_is_refused(tmp_path: Path) -> None:
    bomb = gzip.compress(b" " * (MOST_BYTES + 1))
    async with standing(tmp_path) as stand:
        status, text = await stand.push(body=bomb, encoding="gzip")

    assert status == 413
    assert "a report holds at most" in text


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        pytest.param(
            BusyError("256 reports wait to be stored already; try again"), 429, id="busy"
        ),
        pytest.param(TimeoutError(), 503, id="slow"),
    ],
)
async def test_who_cannot_be_heard_now_is_told_to_come_again(
    tmp_path: Path, fault: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise fault

    async with standing(tmp_path) as stand:
        monkeypatch.setattr(stand.trust, "push", fail)
        answered, text = await stand.push()

    assert answered == status
    assert "again" in json.loads(text)["error"]["message"]
    assert stand.trust.pushed.failed == 1


async def test_a_report_that_cannot_be_stored_is_answered_so(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        await stand.push("dev-02")
        async with stand.trust._keeper._store.writing() as connection:
            await connection.execute(sql("DROP TABLE trust_report"))
        status, text = await stand.push()

    assert status == 503
    assert "could not be stored" in text


def test_a_clock_of_the_next_century_is_the_devices_own_matter() -> None:
    body = json.dumps({"anchors": [], "reportedAt": "2126-01-01T00:00:00Z"}).encode()

    report, certificates = report_in(body, "dev-01", NOON)

    assert (report.received_at, report.anchors, certificates) == (NOON, frozenset(), ())


def test_the_openapi_document_knows_the_endpoint() -> None:
    paths = json.loads(openapi_document())["paths"]

    assert "202" in paths["/devices/{device}/truststore/report"]["post"]["responses"]
