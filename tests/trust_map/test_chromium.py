"""The page and the drawing in a real browser: nothing fetched, nothing refused, accessible."""

import asyncio
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.sync_api import Page, sync_playwright

from exporter.trust_map.html import as_html
from exporter.trust_map.svg import as_svg
from tests.trust_map.scene import typical

pytestmark = pytest.mark.slow


def _seen(folder: Path) -> tuple[list[str], list[str], list[str], list[str]]:
    """Open both; return what was asked for, complained of, inaccessible, and out of its box."""
    (folder / "map.html").write_text(as_html(typical().map()), "utf-8")
    (folder / "map.svg").write_text(as_svg(typical().map()), "utf-8")
    asked: list[str] = []
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((folder / "map.html").as_uri())
        faults = [fault["id"] for fault in Axe().run(page).response["violations"]]
        page.goto((folder / "map.svg").as_uri())
        outside = _outside(page)
        browser.close()
    return asked, said, faults, outside


def _outside(page: Page) -> list[str]:
    """Texts that are wider than the box they stand in."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("g")].flatMap(group => {
            const box = group.querySelector("rect").getBoundingClientRect();
            return [...group.querySelectorAll("text")]
                .filter(text => text.getBoundingClientRect().right > box.right)
                .map(text => text.textContent);
        })"""
    )
    return found


async def test_a_browser_shows_it_and_fetches_nothing(tmp_path: Path) -> None:
    # in a thread: playwright's simple interface wants no event loop around it
    asked, said, faults, outside = await asyncio.to_thread(_seen, tmp_path)

    assert asked == [(tmp_path / name).as_uri() for name in ("map.html", "map.svg")]
    assert said == []
    assert faults == []
    assert outside == []
