"""The fleet's pages in real Chromium: live, accessible, quiet on the console, safe, narrow."""

import contextlib
import json
import re
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, expect

from exporter.clock import SystemClock
from tests.browser import (
    NARROW,
    Watched,
    browsing,
    chromium,
    served,
    violations,
    violations_in_all_colours,
)
from tests.daemons import Daemon
from tests.web.test_fleet_page import HOSTILE, NEW_LEAF, fleet, look, refuse
from tests.webhook.bodies import alert, body

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browsing(browser) as context:
        yield context


@pytest.fixture
def watched(context: BrowserContext) -> Watched:
    return Watched(context)


def demo(folder: Path, *arguments: str) -> Daemon:
    command = [sys.executable, "-m", "exporter", "demo", "--json", "--port", "0", *arguments]
    return Daemon(command, directory=folder)


def line_of(running: Daemon) -> dict[str, str]:
    running.wait_for_line('"exporter"', within_s=120)
    line = next(line for line in running.text().splitlines() if line.startswith("{"))
    found: dict[str, str] = json.loads(line)
    return found


def url_of(running: Daemon) -> str:
    return line_of(running)["exporter"]


def follow(link: Locator) -> None:
    """Follow a link on a page that is live.

    Between a mouse's down and up its part may be replaced, and then nothing is clicked; the focus
    stays on what leads to the same place.
    """
    link.press("Enter")


def test_a_healthy_fleet_is_calm_and_accessible(tmp_path: Path, watched: Watched) -> None:
    page = watched.page
    with demo(tmp_path / "demo") as running:
        page.goto(f"{url_of(running)}/fleet")
        expect(page.locator("#sentence")).to_have_text("18 of 18 devices accept gw-1.")
        expect(page.locator("#link")).to_have_text("Live.")
        expect(page.locator(".cells a.good")).to_have_count(18)
        expect(page.locator("#problems")).to_be_hidden()
        found = {}
        for path in ("fleet", "targets/gw-1", "targets/dev-03", "targets/dev-01", "trust-map", ""):
            page.goto(f"{url_of(running)}/{path}")
            found[path] = violations_in_all_colours(page)
        own = [url for url in watched.asked if url.startswith(url_of(running))]

    assert [one for one in found.items() if one[1]] == []
    assert watched.faults == []
    assert own == watched.asked


def test_the_outage_is_told_on_top_and_down_to_each_certificate(
    tmp_path: Path, watched: Watched
) -> None:
    page = watched.page
    with demo(tmp_path / "demo", "--break", "unknown-ca") as running:
        page.goto(f"{url_of(running)}/fleet")
        expect(page.locator("#sentence")).to_have_text(
            re.compile(r"18 of 18 devices refuse gw-1 since \d\d:\d\d: unknown_ca\.")
        )
        expect(page.locator(".cells a.refuses")).to_have_count(18)
        expect(page.locator("#problems")).to_contain_text("roll back")
        expect(page).to_have_title(re.compile("refuse gw-1"))
        outage = {"fleet": violations_in_all_colours(page)}
        follow(page.get_by_role("link", name="dev-07 refuses"))
        expect(page.locator("h1")).to_contain_text("dev-07 refuses gw-1")
        follow(page.get_by_role("link", name="gw-1", exact=True).first)
        expect(page.locator("h1")).to_contain_text("gw-1 is not verified: unknown_ca")
        expect(page.locator(".tree .tree, .tree ul")).to_have_count(1)  # the leaf hangs below
        expect(page.locator("#target")).to_contain_text("CN=Gateway CA A1")  # served before
        outage["gw-1"] = violations_in_all_colours(page)

    assert [one for one in outage.items() if one[1]] == []
    assert watched.faults == []


def post(line: dict[str, str], path: str, body: object) -> tuple[int, str]:
    """Ask the demo's exporter as a person, or Alertmanager, with its credential.

    Again where it is just deciding, or looks for the way back, by itself.
    """
    for _ in range(60):
        try:
            return post_once(line, path, body)
        except urllib.error.HTTPError as exc:
            if exc.code != HTTPStatus.CONFLICT:
                raise
            exc.close()
        threading.Event().wait(0.5)
    pytest.fail(f"{path} was never free")


def post_once(line: dict[str, str], path: str, body: object) -> tuple[int, str]:
    request = urllib.request.Request(  # noqa: S310 - the demo's own
        f"{line['exporter']}{path}",
        data=body if isinstance(body, bytes) else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {Path(line['token_file']).read_text().strip()}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
        return answer.status, answer.read().decode()


def test_what_an_alert_led_to_is_told_with_every_reason(tmp_path: Path, watched: Watched) -> None:
    page, base = watched.page, "/api/v1/remediation"
    found = {}
    with demo(tmp_path / "demo", "--break", "unknown-ca") as running:
        line = line_of(running)
        page.goto(f"{line['exporter']}/fleet")
        # It decides by what the log told of, which is read a moment after it happened
        expect(page.locator("#sentence")).to_contain_text("18 of 18 devices refuse gw-1")
        post(line, f"{base}/rehearse", {"gateway": "gw-1", "by": "ada"})
        firing = {**alert(), "startsAt": SystemClock().now().isoformat()}
        assert post(line, "/webhook/alertmanager", body(firing))[0] == 202
        block = page.locator("#remedies")
        expect(block).to_contain_text("dry run: it decides and changes nothing")
        expect(block).to_contain_text("18 of 18 devices refuse gw-1 (unknown_ca)")
        expect(block).to_contain_text("gain 18, loss 0: would roll back.")
        expect(block).to_contain_text("In dry run, 0 would-be rollbacks were judged; 1 not yet.")
        expect(block).to_contain_text("Way back: version 1, which 18 of 18 devices accept")
        expect(block).to_contain_text("1 of 1 gateways could be rolled back at once.")
        found["said"] = violations_in_all_colours(page)

        post(line, f"{base}/hold", {"gateway": "gw-1", "by": "ada", "reason": "works"})
        post(line, f"{base}/kill-switch", {"on": True, "by": "ada", "reason": "look first"})
        post(line, f"{base}/rollback", {"gateway": "gw-1"})
        expect(block).to_contain_text("stopped by the kill switch")
        expect(block).to_contain_text("held until")
        expect(block).to_contain_text("Refused by kill_switch, gateway_held")
        found["refused"] = violations_in_all_colours(page)
        page.goto(f"{line['exporter']}/targets/gw-1")
        expect(page.locator("#target")).to_contain_text("Refused by kill_switch, gateway_held")
        found["target"] = violations_in_all_colours(page)

    assert [one for one in found.items() if one[1]] == []
    assert watched.faults == []


def test_the_page_follows_while_the_fleet_breaks_and_comes_back(watched: Watched) -> None:
    page, service = watched.page, fleet()
    with served(service) as running:
        page.goto(f"{running.url}/fleet")
        expect(page.locator("#sentence")).to_have_text("2 of 2 devices accept gw-1.")
        page.locator("input[name=q]").fill("being typed")

        running.do(lambda: look(service, chain=(NEW_LEAF,)))
        running.do(lambda: refuse(service, "dev-01", "dev-02"))
        expect(page.locator("#sentence")).to_contain_text("2 of 2 devices refuse gw-1")
        expect(page.locator("#state")).to_have_class("state bad")
        expect(page.locator("#problems")).to_be_visible()
        expect(page.locator("#icon")).to_have_attribute("href", "icon-bad.svg")

        running.do(lambda: look(service))
        running.do(service.logs.shown._tallies.clear)
        expect(page.locator("#sentence")).to_have_text("2 of 2 devices accept gw-1.")
        expect(page.locator("#problems")).to_be_hidden()
        expect(page.locator("input[name=q]")).to_have_value("being typed")

    assert watched.faults == []


def test_focus_stays_where_it_is_when_the_page_follows(watched: Watched) -> None:
    page, service = watched.page, fleet()
    with served(service) as running:
        page.goto(f"{running.url}/fleet")
        page.get_by_role("link", name="dev-02").focus()
        running.do(lambda: refuse(service, "dev-01", "dev-02"))
        expect(page.locator("#sentence")).to_contain_text("refuse gw-1")
        focused = page.evaluate("document.activeElement.getAttribute('href')")

    assert focused == "targets/dev-02"


def test_what_was_scrolled_aside_stays_there_when_the_page_follows(browser: Browser) -> None:
    service = fleet()
    with served(service) as running, browsing(browser, viewport=NARROW) as context:
        page = Watched(context).page
        page.goto(f"{running.url}/fleet")
        # Found and scrolled at once, or it is another one's by then
        timeline = "document.querySelector('[role=group][aria-label=Timeline]')"
        page.evaluate(f"{timeline}.scrollLeft = 70")
        running.do(lambda: look(service, chain=(NEW_LEAF,)))
        expect(page.locator("#sentence")).to_contain_text("would refuse")
        expect(page.locator("#ends")).to_contain_text("old CA")
        scrolled = page.evaluate(f"{timeline}.scrollLeft")

    assert scrolled == 70


def test_a_page_that_gets_no_answer_says_so(context: BrowserContext) -> None:
    page = context.new_page()  # its console may tell that the server is gone
    page.clock.install()
    with served(fleet()) as running:
        page.goto(f"{running.url}/fleet")
        expect(page.locator("#link")).to_have_text("Live.")
    for _ in range(20):
        page.clock.run_for(60_000)
        # The last answer may be taken up only now, as one of this moment
        with contextlib.suppress(AssertionError):
            expect(page.locator("#link")).to_contain_text("No answer for", timeout=1_500)
            break

    expect(page.locator("#link")).to_contain_text("No answer for")
    expect(page.locator("body")).to_have_class("stale-page")
    page.close()


def test_without_a_place_in_the_stream_a_page_asks_now_and_then(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.web.live.Live.__init__.__kwdefaults__", {"clients": 0})
    page, service = watched.page, fleet()
    page.clock.install()
    with served(service) as running:
        page.goto(f"{running.url}/fleet")
        running.do(lambda: refuse(service, "dev-01", "dev-02"))
        for _ in range(20):
            page.clock.run_for(15_000)
            # An answer may still be of the second before: then the page asks once more
            with contextlib.suppress(AssertionError):
                expect(page.locator("#sentence")).to_contain_text("refuse gw-1", timeout=1_500)
                break

        expect(page.locator("#sentence")).to_contain_text("2 of 2 devices refuse gw-1")


def test_everything_is_there_without_a_script(browser: Browser) -> None:
    service = fleet(*(f"dev-{number:04}" for number in range(700)))
    refuse(service, "dev-0007")
    with served(service) as running, browsing(browser, java_script_enabled=False) as context:
        watched = Watched(context)
        page = watched.page
        page.goto(f"{running.url}/fleet")
        expect(page.locator("#sentence")).to_contain_text("1 of 700 devices refuse gw-1")
        expect(page.locator("svg.timeline circle").first).to_be_visible()
        page.get_by_role("link", name="Next page").click()
        expect(page.locator(".cells a")).to_have_count(200)
        page.locator("select[name=state]").select_option("refuses")
        page.get_by_role("button", name="Show").click()
        expect(page.locator(".cells a")).to_have_count(1)
        page.get_by_role("link", name="As a list").click()
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_role("link", name="dev-0007").first.click()
        expect(page.locator("h1")).to_contain_text("dev-0007 refuses gw-1")

    assert watched.faults == []


def test_ten_thousand_devices_do_not_choke_it(watched: Watched) -> None:
    names = [f"dev-{number:05}" for number in range(10_000)]
    service = fleet(*names)
    refuse(service, *names[::3])
    page = watched.page
    with served(service) as running:
        page.goto(f"{running.url}/fleet")
        expect(page.locator("#sentence")).to_contain_text("3,334 of 10,000 devices refuse gw-1")
        expect(page.locator(".cells a")).to_have_count(500)
        elements = page.evaluate("document.querySelectorAll('*').length")
        follow(page.get_by_role("link", name="Next page"))
        expect(page.locator("#devices .pages").first).to_contain_text("501 to 1,000 of 10,000")
        page.get_by_placeholder("name, class").fill("dev-09999")
        page.get_by_role("button", name="Show").press("Enter")
        expect(page.get_by_role("link", name="dev-09999 refuses")).to_be_visible()
        found = violations(page)

    assert elements < 4_000
    assert found == []
    assert watched.faults == []


def test_a_narrow_screen_scrolls_in_one_direction_only(browser: Browser) -> None:
    service = fleet("a" * 200, *HOSTILE[:1], *(f"dev-{number:02}" for number in range(18)))
    refuse(service, "dev-01", "a" * 200)
    found = {}
    with served(service) as running, browsing(browser, viewport=NARROW) as context:
        page = Watched(context).page
        for path in (
            "fleet",
            "fleet?view=list",
            "targets/gw-1",
            f"targets/{'a' * 200}",
            "trust-map",
            "",
        ):
            page.goto(f"{running.url}/{path}")
            width = page.evaluate("document.documentElement.scrollWidth")
            found[path[:40]] = (width, violations(page))

    assert found == {path: (NARROW["width"], []) for path in found}


def test_hostile_names_are_shown_as_the_texts_they_are(watched: Watched) -> None:
    page, service = watched.page, fleet(*HOSTILE)
    refuse(service, *HOSTILE)
    found = {}
    with served(service) as running:
        page.goto(f"{running.url}/fleet")
        expect(page.locator("#devices a.refuses")).to_have_count(len(HOSTILE))
        shown = " ".join(page.locator("#devices a.refuses").all_inner_texts())
        found["matrix"] = violations(page)
        for name in HOSTILE:
            page.goto(f"{running.url}/fleet?view=list")
            follow(page.locator("#devices tbody a", has_text=name))
            expect(page.locator("h1")).to_contain_text(name)
            expect(page.locator("#target")).to_contain_text(name)
            found[name] = violations(page)
        page.goto(f"{running.url}/fleet?view=list")
        found["list"] = violations(page)

    assert [name for name in HOSTILE if name not in shown] == []
    assert watched.faults == []
    assert [one for one in found.items() if one[1]] == []


def test_the_policy_lets_nothing_inline_run(context: BrowserContext) -> None:
    page = context.new_page()
    with served(fleet()) as running:
        page.goto(f"{running.url}/fleet")
        page.evaluate(
            """() => {
              window.refused = [];
              addEventListener('securitypolicyviolation', e => window.refused.push(
                e.effectiveDirective));
              const script = document.createElement('script');
              script.textContent = 'window.ran = true';
              document.body.append(script);
              const image = new Image();
              image.src = 'http://192.0.2.1/x.png';
              document.body.append(image);
              document.body.setAttribute('style', 'color: red');
            }"""
        )
        page.wait_for_function("window.refused.length >= 3")
        refused, ran = page.evaluate("[window.refused, window.ran === true]")
    page.close()

    assert set(refused) == {"script-src-elem", "img-src", "style-src-attr"}
    assert ran is False


def test_the_keyboard_reaches_everything_and_can_skip(watched: Watched) -> None:
    page = watched.page
    with served(fleet()) as running:
        page.goto(f"{running.url}/fleet")
        page.keyboard.press("Tab")
        first = page.evaluate("document.activeElement.textContent")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        inside, outline = page.evaluate(
            "[document.activeElement.closest('main') !== null,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )

    assert first == "Skip to the content"
    assert inside
    assert outline != "none"


def test_a_reader_hears_a_state_in_words_for_every_shape(watched: Watched) -> None:
    names = [f"dev-{number:03}" for number in range(200)]
    service = fleet(*names)
    refuse(service, names[0])
    with served(service) as running:
        watched.page.goto(f"{running.url}/fleet")
        cells = watched.page.locator(".cells a").all_inner_texts()

    assert cells[0].split() == ["dev-000", "refuses", "unknown_ca"]
    assert cells[1].split() == ["dev-001", "accepts"]
    assert len(cells) == 200


def test_a_hidden_page_holds_no_stream(watched: Watched) -> None:
    page, service = watched.page, fleet()
    with served(service) as running:
        page.goto(f"{running.url}/fleet")
        page.wait_for_function("document.querySelector('#link').textContent === 'Live.'")
        page.evaluate(
            """() => {
              Object.defineProperty(document, 'hidden', {value: true, configurable: true});
              document.dispatchEvent(new Event('visibilitychange'));
            }"""
        )
        running.do(lambda: refuse(service, "dev-01"))
        page.evaluate(
            """() => {
              Object.defineProperty(document, 'hidden', {value: false, configurable: true});
              document.dispatchEvent(new Event('visibilitychange'));
            }"""
        )
        expect(page.locator("#sentence")).to_contain_text("1 of 2 devices refuse gw-1")

    assert watched.faults == []
