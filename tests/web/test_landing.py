from html.parser import HTMLParser

import aiohttp

from exporter import __version__
from exporter.observations import Observation, Reason
from exporter.web.landing import rows_of
from exporter.web.service import Readiness
from tests.web.serving import STARTED_AT, FakeService, device, gateway, serving


class Links(HTMLParser):
    """What a page refers to, and what in it a strict policy would not run."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.paths += [value for key in ("href", "src", "action") if (value := named.get(key))]
        if tag in {"script", "style"} or any(
            key.startswith("on") or key == "style" for key in named
        ):
            self.inline.append(tag)


async def page(service: FakeService) -> tuple[str, str, dict[str, int]]:
    async with serving(service) as (url, _), aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            text, policy = await answer.text(), answer.headers["Content-Security-Policy"]
        links = Links()
        links.feed(text)
        statuses = {}
        for path in links.paths:
            async with session.get(f"{url}/{path}") as answer:
                statuses[path] = answer.status
    assert links.inline == []
    return text, policy, statuses


async def test_every_link_leads_somewhere_and_nothing_comes_from_outside() -> None:
    text, policy, statuses = await page(FakeService())

    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not any(path.startswith(("http", "//")) for path in statuses)
    assert statuses.pop("probe") == 400  # the form, sent empty
    assert set(statuses.values()) == {200}
    assert __version__ in text
    assert STARTED_AT.isoformat()[:19] in text


async def test_a_hostile_sentence_is_only_text() -> None:
    hostile = Readiness(is_ready=False, sentence="<script>alert(1)</script>")

    text, _, _ = await page(FakeService(readiness=hostile))

    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_unknown_is_counted_apart_and_marked() -> None:
    service = FakeService(
        targets=[
            gateway("gw-1", "192.0.2.1:1", "fw"),
            gateway("gw-2", "192.0.2.2:1", "fw"),
            device("dev-1", "gw-1", "fw"),
        ]
    )
    service.fleet.record(
        Observation(
            target="gw-2",
            address="192.0.2.2:1",
            observed_at=STARTED_AT,
            reason=Reason.CONNECT_TIMEOUT,
            detail="x",
        )
    )

    gateways, listening, behind = rows_of(service.snapshot().targets)

    assert [cell.number for cell in gateways.cells] == [2, 0, 0, 1, 1]
    assert [cell.is_bad for cell in gateways.cells] == [False, False, False, True, True]
    assert [cell.number for cell in listening.cells] == [0, 0, 0, 0, 0]
    assert [cell.number for cell in behind.cells] == [1, 0, 0, 0, 1]
