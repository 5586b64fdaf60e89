"""The fleet's pages over HTTP: complete without a script, and asked for politely."""

import asyncio
import json
from dataclasses import dataclass, replace
from html.parser import HTMLParser

import aiohttp
import pytest

from exporter.clock import SystemClock
from exporter.fleet_page.remedies import Remedies
from exporter.handshake_log.counts import Tally
from exporter.handshake_log.stats import SourceStats
from exporter.modes import Mode
from exporter.observations import Observation, Reason, RejectedBy
from exporter.remediation.hindsight import Score
from exporter.trust_store.model import Known, Standing, SyncState
from exporter.web.live import CLIENTS, Live
from exporter.web.service import Readiness
from tests.fleet_page.test_remedies import case, readiness
from tests.fleet_page.test_trust import report, standing
from tests.jumping_time import LoopClock, in_no_time
from tests.pki import certificate_of, make_ca, make_leaf
from tests.remediation.cases import ALL_OUT
from tests.web.serving import FakeService, device, gateway, joined_to, serving, store_of

OLD_CA, NEW_CA = make_ca("old CA"), make_ca("new CA")
OLD_LEAF = certificate_of(make_leaf(OLD_CA, "gw-1.example"))
NEW_LEAF = certificate_of(make_leaf(NEW_CA, "gw-1.example"))
OLD = store_of("fw-1", certificate_of(OLD_CA))
GATEWAY = gateway("gw-1", "gw-1.example:8883", "fw-1")
HOSTILE = ("<script>alert(1)</script>", "a" * 200, "مرحبا-بالعالم", "x/../y?z=1#f&amp;", "'\"&<>")


class Text(HTMLParser):
    """What a reader without a browser sees, and what a page refers to."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self._silent = 0
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.links += [value for key in ("href", "src", "action") if (value := named.get(key))]
        if tag == "style" or (tag == "script" and not named.get("src")):
            self.inline.append(tag)
        self.inline += [key for key in named if key.startswith("on") or key == "style"]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: str
    headers: dict[str, str]

    @property
    def page(self) -> Text:
        return Text(self.body)


def fleet(*names: str) -> FakeService:
    service = FakeService(
        targets=[
            GATEWAY,
            *(device(name, "gw-1", "fw-1") for name in names or ("dev-01", "dev-02")),
        ],
        stores=[OLD],
    )
    look(service)
    return service


def look(service: FakeService, **fields: object) -> None:
    known: dict[str, object] = {
        "observed_at": SystemClock().now(),
        "connected": True,
        "handshake": True,
        "chain": (OLD_LEAF,),
        **fields,
    }
    service.fleet.record(Observation(target="gw-1", address="gw-1.example:8883", **known))  # type: ignore[arg-type]  # passed on by name


def refuse(service: FakeService, *devices: str) -> None:
    now_s = SystemClock().now().timestamp()
    why = (Reason.UNKNOWN_CA, RejectedBy.DEVICE)
    for name in devices:
        service.logs.shown._tallies["gw-1", name] = Tally(
            failing=why, failing_since_s=now_s, told_s=now_s, failure_counts={why: 3}
        )


def synced(*anchors: str) -> Standing:
    return standing(SyncState.SYNCED, Known(report=report(*anchors)))


async def ask(service: FakeService, path: str, **headers: str) -> Answer:
    async with (
        serving(service) as (url, _),
        aiohttp.ClientSession() as session,
        session.get(url + path, headers=headers) as answer,
    ):
        return Answer(status=answer.status, body=await answer.text(), headers=dict(answer.headers))


async def test_the_fleet_is_told_without_a_script() -> None:
    service = fleet()
    refuse(service, "dev-01")

    answer = await ask(service, "/fleet")

    text = answer.page.text
    assert answer.status == 200
    assert "1 of 2 devices refuse gw-1 since" in text
    assert "dev-01 refuses unknown_ca" in text
    assert "what is served leads to no CA that is trusted there" in text
    assert "targets/dev-01" in answer.page.links


@pytest.mark.parametrize("path", ["/", "/fleet", "/targets/gw-1", "/targets/none"])
async def test_pages_hold_to_a_strict_policy(path: str) -> None:
    answer = await ask(fleet(), path)

    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.page.inline == []
    assert not [link for link in answer.page.links if "://" in link or link.startswith("//")]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_is_a_text_and_its_link_leads_to_it(name: str) -> None:
    service = fleet(name)
    refuse(service, name)

    async with serving(service) as (url, _), aiohttp.ClientSession() as session:
        async with session.get(f"{url}/fleet") as answer:
            page = Text(await answer.text())
        (link, *_) = [
            link for link in page.links if link.startswith("targets/") and "gw-1" not in link
        ]
        async with session.get(f"{url}/{link}") as answer:
            target = Text(await answer.text())
            status = answer.status

    assert name in page.words
    assert page.inline == []
    assert status == 200
    assert name in target.words
    assert target.inline == []


async def test_a_name_that_is_not_there_is_told_with_the_nearest() -> None:
    answer = await ask(fleet(), "/targets/dev-1")

    assert answer.status == 404
    assert "'dev-1' is not in the inventory. did you mean 'dev-01'?" in answer.page.text


async def test_what_cannot_be_asked_is_told() -> None:
    answer = await ask(fleet(), "/fleet?state=ill")

    assert answer.status == 400
    assert "state 'ill' is not known; there are: problem, refuses" in answer.page.text


async def test_search_and_list_need_no_script() -> None:
    answer = await ask(fleet(), "/fleet?q=dev-02&view=list")

    assert "1 to 1 of 1 that match" in answer.page.text
    assert "targets/dev-01" not in answer.page.links


async def test_large_fleets_come_in_pages_of_shapes() -> None:
    answer = await ask(fleet(*(f"dev-{number:04}" for number in range(1_200))), "/fleet?page=2")

    page = answer.page
    cells = [link for link in page.links if link.startswith("targets/dev")]
    assert "501 to 1,000 of 1,200" in page.text
    assert len(cells) == 500
    assert "fleet?page=3" in page.links


async def test_a_service_that_just_started_says_so() -> None:
    service = fleet()
    service.readiness = Readiness(is_ready=False, sentence="Starting: 2 targets wait.")

    answer = await ask(service, "/fleet")

    assert "Starting: 2 targets wait." in answer.page.text


async def test_logs_that_cannot_be_read_are_told_and_are_no_good_news() -> None:
    service = fleet()
    service.logs._stats["gw.log"] = SourceStats(is_ok=False, fault="No such file or directory")
    service.logs._stats["fine.log"] = SourceStats(is_ok=True)
    service.logs._commits.fault = "state.db is no database"

    text = (await ask(service, "/fleet")).page.text

    assert "The handshake log gw.log cannot be read: No such file or directory." in text
    assert "The store cannot be used, so no handshake log is read: state.db is no" in text
    assert "fine.log" not in text
    assert "2 of 2 devices accept gw-1." not in text


async def test_what_remediation_did_is_told_with_its_evidence() -> None:
    service = fleet()
    made = case()
    holds = {"gw-1": SystemClock().now()}
    service.told_remedies = Remedies(
        mode=Mode.ACT, is_stopped=None, decisions={"gw-1": (41, made)}, holds=holds
    )

    answer = await ask(service, "/fleet")
    target = await ask(service, "/targets/gw-1")

    text = answer.page.text
    assert "acts by itself, within its limits; whether the kill switch stops it is not" in text
    assert made.decision.sentence in text
    assert "held until" in text
    assert "api/v1/remediation/decisions/41" in answer.page.links
    assert made.decision.sentence in target.page.text


async def test_ways_back_the_score_and_the_refusals_are_told() -> None:
    service = fleet()
    made = case(replace(ALL_OUT, is_killed=True))
    service.told_remedies = Remedies(
        decisions={"gw-1": (7, made)},
        ready={
            "gw-1": readiness(is_ready=True),
            **{
                f"other-{n:02}": readiness(is_ready=False, gateway=f"other-{n:02}")
                for n in range(30)
            },
        },
        score=Score(pending_count=1),
    )

    answer = await ask(service, "/fleet")
    target = await ask(service, "/targets/gw-1")

    text = answer.page.text
    assert "1 of 31 gateways could be rolled back at once." in text
    assert "0 would-be rollbacks were judged; 1 not yet." in text
    assert "Refused by kill_switch" in text
    assert "which 18 of 18 devices accept" in text
    assert "rehearsed" in text
    assert "version 3 was never served on the second port" in text
    assert "20 of 31 gateways; each one's page tells of itself" in text
    assert "which 18 of 18 devices accept" in target.page.text


async def test_where_all_is_ready_the_fleet_s_page_is_calm_and_the_gateway_s_tells() -> None:
    service = fleet()
    service.told_remedies = Remedies(ready={"gw-1": readiness(is_ready=True)})

    answer = await ask(service, "/fleet")
    target = await ask(service, "/targets/gw-1")

    assert '<section id="remedies" aria-labelledby="h-remedies" hidden>' in answer.body
    assert "version 3, which 18 of 18 devices accept" in target.page.text


async def test_without_decisions_no_block_is_shown() -> None:
    answer = await ask(fleet(), "/fleet")

    assert '<section id="remedies" aria-labelledby="h-remedies" hidden>' in answer.body


async def test_remediation_that_cannot_be_known_is_told() -> None:
    service = fleet()
    service.told_remedies = Remedies(fault="the store is not open")

    text = (await ask(service, "/fleet")).page.text

    assert "What remediation does is not known: the store is not open." in text


async def test_what_devices_reported_is_counted_and_told() -> None:
    service = fleet()
    service.trust._standings._standings["dev-01"] = synced(OLD.anchors[0].fingerprint_sha256)

    answer = await ask(service, "/fleet")
    picked = await ask(service, "/fleet?trust=synced")
    target = await ask(service, "/targets/dev-01")

    assert "1 hold what is wanted" in answer.page.text
    assert "1 to 1 of 1 that match" in picked.page.text
    assert "It holds what is wanted of it." in target.page.text


async def test_the_trust_map_is_drawn_and_told() -> None:
    drawn = await ask(fleet(), "/fleet")
    told = await ask(fleet(), "/trust-map")

    assert "2 of 2 devices accept" in drawn.page.text
    assert "if removed: 2 devices go dark" in drawn.page.text
    assert "If removed today" in told.page.text
    assert told.page.inline == []


async def test_of_a_large_fleet_the_trust_map_has_a_page_of_its_own() -> None:
    answer = await ask(fleet(*(f"dev-{number:04}" for number in range(501))), "/fleet")

    assert "trust-map" in answer.page.links
    assert "if removed" not in answer.page.text


async def test_a_gateway_says_all_that_is_known_of_it() -> None:
    service = fleet()
    look(service, chain=(NEW_LEAF,), detail="a note")
    refuse(service, "dev-01")

    answer = await ask(service, "/targets/gw-1")

    text = answer.page.text
    assert "gw-1 is not verified: unknown_ca" in text
    assert "CN=gw-1.example by CN=new CA" in text
    assert "fw-1 1 anchor : refused" in text
    assert "CN=old CA" in text  # served before
    assert "3 unknown_ca , the device refused" in text
    assert "a note" in text


async def test_a_device_without_address_says_what_its_gateway_would_hear() -> None:
    answer = await ask(fleet(), "/targets/dev-01")

    text = answer.page.text
    assert "dev-01 accepts gw-1." in text
    assert "what it holds by the inventory (fw-1)" in text
    assert "The latest look" not in text


async def test_a_gateway_that_was_never_seen_says_so() -> None:
    service = FakeService(targets=[GATEWAY], stores=[OLD])

    text = (await ask(service, "/targets/gw-1")).page.text

    assert "gw-1 is unknown." in text
    assert "It was not looked at yet: nothing is known." in text
    assert "No chain was received yet." in text


async def test_a_chain_that_may_be_another_by_now_is_visibly_stale() -> None:
    service = fleet()
    for _ in range(3):
        look(service, handshake=False, connected=False, chain=(), reason=Reason.CONNECT_REFUSED)

    fleet_page = await ask(service, "/fleet")
    target_page = await ask(service, "/targets/gw-1")

    assert "(stale)" in fleet_page.page.text
    assert "this is the last one, it may serve another by now" in target_page.page.text
    assert "2 of 2 devices are unknown: what their gateway serves now is not known" in (
        fleet_page.page.text
    )


async def test_a_page_is_compressed_where_that_is_wanted() -> None:
    plain = await ask(fleet(), "/fleet", **{"Accept-Encoding": "identity"})
    small = await ask(fleet(), "/fleet", **{"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"


async def test_assets_are_asked_for_again_and_not_sent_again() -> None:
    async with serving(fleet()) as (url, _), aiohttp.ClientSession() as session:
        async with session.get(f"{url}/style.css") as first:
            tag, kind = first.headers["ETag"], first.content_type
        async with session.get(f"{url}/style.css", headers={"If-None-Match": tag}) as again:
            status = again.status

    assert kind == "text/css"
    assert status == 304


async def next_event(answer: aiohttp.ClientResponse) -> dict[str, str]:
    async with asyncio.timeout(20):
        while True:
            line = await answer.content.readline()
            if line.startswith(b"data: "):
                found: dict[str, str] = json.loads(line.removeprefix(b"data: "))
                return found


async def test_a_change_is_told_to_who_listens() -> None:
    service = fleet()
    async with (
        serving(service) as (url, _),
        aiohttp.ClientSession() as session,
        session.get(f"{url}/fleet/events") as answer,
    ):
        before = await next_event(answer)
        refuse(service, "dev-01", "dev-02")
        after = await next_event(answer)

    assert answer.content_type == "text/event-stream"
    assert before == {"level": "good", "text": "2 of 2 devices accept gw-1."}
    assert after["level"] == "bad"
    assert after["text"].startswith("2 of 2 devices refuse gw-1 since")


async def test_a_stream_cannot_be_asked_for_its_head() -> None:
    async with (
        serving(fleet()) as (url, _),
        aiohttp.ClientSession() as session,
        session.head(f"{url}/fleet/events") as answer,
    ):
        assert answer.status == 405


async def test_streams_are_few_and_a_place_becomes_free_again() -> None:
    service = fleet()
    async with (
        serving(service) as (url, _),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        streams = [await session.get(f"{url}/fleet/events") for _ in range(CLIENTS)]
        async with session.get(f"{url}/fleet/events") as refused:
            status, again = refused.status, refused.headers["Retry-After"]
        streams[0].close()
        async with asyncio.timeout(20):
            while (more := await session.get(f"{url}/fleet/events")).status != 200:
                await SystemClock().sleep(0.05)
        for stream in (*streams[1:], more):
            stream.close()

    assert (status, again) == (503, "15")


async def test_the_service_ends_while_somebody_listens() -> None:
    clock = SystemClock()
    async with aiohttp.ClientSession() as session:
        async with serving(fleet()) as (url, _):
            answer = await session.get(f"{url}/fleet/events")
            await next_event(answer)
            begun_s = clock.monotonic()
        took_s = clock.monotonic() - begun_s
        answer.close()

    assert took_s < 20  # rather than for ever


async def until_cut_off(host: str, port: int) -> None:
    """Ask for events and never read one; return never, but by the error of a cut connection."""
    _, writer = await asyncio.open_connection(host, port, limit=1)
    try:
        writer.write(b"GET /fleet/events HTTP/1.1\r\nHost: x\r\n\r\n")
        while True:
            await SystemClock().sleep(0.05)
            writer.write(b"\r\n")
            await writer.drain()
    finally:
        writer.close()


async def test_a_client_that_does_not_read_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.web.live._WRITE_S", 0.2)
    monkeypatch.setattr("exporter.web.live._REFRESH_S", 0.0)
    monkeypatch.setattr("exporter.web.live._LOOK_S", 0.0)
    service = fleet()
    # Long enough to fill the buffers of both sides with a few events
    service.readiness = Readiness(is_ready=False, sentence="x" * 2_000_000)
    async with serving(service) as (url, _), asyncio.timeout(30):
        host, _, port = url.removeprefix("http://").rpartition(":")

        with pytest.raises(ConnectionError):
            await until_cut_off(host, int(port))


def test_a_client_that_does_not_read_has_ten_seconds() -> None:
    async def open_at(*moments_s: float) -> list[bool]:
        service, loop = fleet(), asyncio.get_running_loop()
        # More than the buffers of both sides take
        service.readiness = Readiness(is_ready=False, sentence="x" * 2_000_000)
        async with serving(service) as (_, server), joined_to(server) as client:
            await loop.sock_sendall(client, b"GET /fleet/events HTTP/1.1\r\nHost: x\r\n\r\n")
            began_s, is_open = loop.time(), []
            for moment_s in moments_s:
                await LoopClock().sleep(began_s + moment_s - loop.time())
                is_open.append(bool(server._guard._open))
            return is_open

    assert in_no_time(open_at(9.99, 10.01)) == [True, False]


def test_the_number_of_streams_is_bounded_well_below_that_of_connections() -> None:
    assert Live.__init__.__kwdefaults__ == {"clients": CLIENTS}
    assert CLIENTS <= 64
