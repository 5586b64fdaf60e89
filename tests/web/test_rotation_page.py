"""The board of rotations on the fleet page: over HTTP, and in real Chromium with axe-core."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from bench.rotation import facts_of, marks_of, plan_of
from bench.rotation_fleet import NOW
from exporter.clock import SystemClock
from exporter.fleet_page.rotations import Rotations
from exporter.modes import Mode
from exporter.rotation.blockers import Gate
from exporter.rotation.model import Marks, Phase
from exporter.rotation.options import Options
from exporter.rotation.records import Rotation
from exporter.rotation.seen import Seen, seen_of
from exporter.rotation.view import view_of
from tests.browser import NARROW, Watched, browsing, chromium, served, violations
from tests.fleet_page.test_rotations import fleet as scripted
from tests.fleet_page.test_rotations import on_new, seen, signed, trusting, validated
from tests.web.serving import FakeService
from tests.web.test_fleet_page import HOSTILE, Text, ask, fleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def showing(*rotations: Seen, mode: Mode = Mode.ACT) -> FakeService:
    service = fleet()
    tell(service, *rotations, mode=mode)
    return service


def tell(service: FakeService, *rotations: Seen, mode: Mode = Mode.ACT) -> None:
    told = {one.rotation.plan.id: one for one in rotations}
    service.told_rotations = Rotations(mode=mode, seen=told)


def adding() -> Seen:
    made = trusting(scripted())
    made.devices["gw-03-dev-1"].never_reports = True
    return seen(made, signed(made))


def removing() -> Seen:
    made = trusting(scripted())
    marks = on_new(made, validated(made, signed(made)))
    return seen(made, replace(marks, removing_at=NOW))


def large() -> Seen:
    """10,000 devices behind 200 gateways, of which half did not report."""
    plan = plan_of(200)
    facts = facts_of(plan, 10_000, 0)
    silent = {
        name: replace(one, reported_at=None, fresh_until=None)
        for place, (name, one) in enumerate(facts.devices.items())
        if place % 2
    }
    facts = replace(facts, devices={**facts.devices, **silent}, gathered_at=SystemClock().now())
    marks: Marks = marks_of(plan, facts, 0, is_begun=True)
    rotation = Rotation(plan=plan, old_pem="", new_pem="", started_at=NOW, marks=marks, orders={})
    return seen_of(rotation, view_of(plan, facts, marks, now=NOW, options=Options()))


async def test_without_a_rotation_the_page_says_nothing_of_any() -> None:
    answer = await ask(fleet(), "/fleet")

    assert '<section id="rotations" aria-labelledby="h-rotations" hidden>' in answer.body


async def test_what_was_not_read_yet_is_not_told_as_no_rotation() -> None:
    service = fleet()
    service.told_rotations = Rotations(mode=Mode.ACT, is_known=False)

    answer = await ask(service, "/fleet")

    assert "Which rotations are under way is not known" in Text(answer.body).text
    assert 'aria-labelledby="h-rotations" hidden' not in answer.body


async def test_the_board_is_told_without_a_script() -> None:
    answer = await ask(showing(adding()), "/fleet")

    text = answer.page.text
    assert "r-1 : adding" in text
    assert "The gate to the next step is not known" in text
    assert "gw-03-dev-1" in text
    assert "rotation exclude gw-03-dev-1" in text  # what to do
    assert "5 trusting the new CA" in text
    assert "planned (past)" in text
    assert answer.page.inline == []


async def test_a_gate_that_was_open_long_ago_is_not_shown_as_open() -> None:
    long_ago = replace(removing(), gate=Gate(blockers=()))

    text = (await ask(showing(long_ago), "/fleet")).page.text

    assert "The gate to the next step is not known" in text
    assert "ago (stale)" in text


async def test_in_a_dry_run_what_would_be_done_is_told_as_that() -> None:
    made = scripted()
    waiting = seen(made, replace(signed(made), begun_at=None))
    going = seen(made, signed(made))

    text = (await ask(showing(waiting, mode=Mode.DRY_RUN), "/fleet")).page.text
    acting = (await ask(showing(going), "/fleet")).page.text
    dry = (await ask(showing(going, mode=Mode.DRY_RUN), "/fleet")).page.text

    assert "fleet-tls-exporter rotation approve r-1 --plan-hash" in text
    assert "Next : add" in acting or "Next: add" in acting
    assert "Would be next" in dry


def test_the_board_is_accessible_and_follows_while_phases_pass(browser: Browser) -> None:
    service = showing(adding())
    with served(service) as running, browsing(browser) as context:
        watched = Watched(context)
        page = watched.page
        page.goto(f"{running.url}/fleet")
        expect(page.locator("#rotations [aria-current=step]")).to_have_text("adding")
        expect(page.locator("#rotations .cells a.blocking")).to_have_count(1)
        found = _violations_in_all_schemes(page)
        running.do(lambda: tell(service, removing()))
        expect(page.locator("#rotations [aria-current=step]")).to_have_text("removing")
        expect(page.locator("#rotations .cells a.blocking")).to_have_count(6)
        found |= _violations_in_all_schemes(page)
        ended = removing()
        marks = replace(ended.rotation.marks, ended=Phase.DONE)
        ended = replace(ended, rotation=replace(ended.rotation, marks=marks))
        running.do(lambda: tell(service, ended))
        expect(page.locator("#rotations [aria-current=step]")).to_have_text("done")
        expect(page.locator("#rotations .problems")).to_have_count(0)
        found |= _violations_in_all_schemes(page)

    assert found == set()
    assert watched.faults == []


def test_ten_thousand_devices_in_a_rotation_do_not_choke_it(browser: Browser) -> None:
    with served(showing(large())) as running:
        with browsing(browser, java_script_enabled=False) as context:
            page = context.new_page()
            page.goto(f"{running.url}/fleet")
            expect(page.locator("#rotations")).to_contain_text("5,000 devices: never_reported")
            expect(page.locator("#rotations .cells a")).to_have_count(500)
            page.get_by_placeholder("name, class").fill("dev-7778")
            page.get_by_role("button", name="Show").click()
            expect(page.locator("#rotations .cells a")).to_have_count(1)
            expect(page.locator("#rotations .cells a")).to_contain_text("dev-7778")
        with browsing(browser, viewport=NARROW) as context:
            watched = Watched(context)
            watched.page.goto(f"{running.url}/fleet")
            elements = watched.page.evaluate("document.querySelectorAll('*').length")
            width = watched.page.evaluate("document.documentElement.scrollWidth")
            found = violations(watched.page)

    assert elements < 5_000
    assert width == NARROW["width"]
    assert found == []
    assert watched.faults == []


def test_hostile_names_in_a_rotation_are_shown_as_the_text_they_are(browser: Browser) -> None:
    made = scripted(gateways=1, each=len(HOSTILE))
    for name, device in zip(HOSTILE, list(made.devices.values()), strict=True):
        del made.devices[device.name]
        made.devices[name] = replace(device, name=name, never_reports=True)
    excluded = replace(signed(made), excluded={HOSTILE[0]: "<b>because</b>"})
    with served(showing(seen(made, excluded))) as running, browsing(browser) as context:
        watched = Watched(context)
        watched.page.goto(f"{running.url}/fleet")
        board = watched.page.locator("#rotations")
        for name in HOSTILE:
            expect(board.locator(".cells")).to_contain_text(name)
        expect(board).to_contain_text("<b>because</b>")
        found = violations(watched.page)

    assert found == []
    assert watched.faults == []


def _violations_in_all_schemes(page: Page) -> set[str]:
    found: set[str] = set()
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of its words
        found |= set(violations(page))
    return found
