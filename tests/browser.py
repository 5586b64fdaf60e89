"""Chromium, as the distribution has it, driven from tests that have no event loop of their own."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from tests.daemons import need
from tests.web.serving import FakeService, serving

ARGUMENTS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 30_000
expect.set_options(timeout=WAIT_MS)  # a busy machine is no fault of the page
NORMAL = {"width": 1280, "height": 800}
NARROW = {"width": 360, "height": 740}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a new, empty profile; its contexts know nothing of each other."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=need("chromium"), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def browsing(browser: Browser, **options: object) -> Iterator[BrowserContext]:
    """Somebody who browses; ``options`` are Playwright's of a context."""
    known: dict[str, Any] = {"viewport": NORMAL, "service_workers": "block", **options}
    context = browser.new_context(**known)
    context.set_default_timeout(WAIT_MS)
    try:
        yield context
    finally:
        context.close()


class Watched:
    """A page, and everything that a console would show in red."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(f"{message.type}: {message.text}")


def violations(page: Page, *, only: str | None = None) -> list[str]:
    """What axe-core finds wrong with the page as it is shown now; ``only`` by one of its rules."""
    options = {"runOnly": {"type": "rule", "values": [only]}} if only else {}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for one in found
        for node in one["nodes"]
    ]


def violations_in_all_colours(page: Page) -> list[str]:
    """The same in light and in dark, where only colours are others."""
    found = violations(page)
    page.emulate_media(color_scheme="dark")
    found += violations(page, only="color-contrast")
    page.emulate_media(color_scheme="light")
    return found


class Served:
    """A service that answers from a thread of its own, while the test drives a browser."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self._loop = loop

    def do(self, what: Callable[[], None]) -> None:
        """Run ``what`` where the service runs."""
        done = threading.Event()

        def run() -> None:
            try:
                what()
            finally:
                done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(30)


@contextmanager
def served(service: FakeService) -> Iterator[Served]:
    """The server of ``service`` until the block ends."""
    found: list[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = []
    begun = threading.Event()

    async def run() -> None:
        ending = asyncio.Event()
        try:
            async with serving(service) as (url, _):
                found.append((url, asyncio.get_running_loop(), ending))
                begun.set()
                await ending.wait()
        finally:
            begun.set()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert begun.wait(30)
        url, loop, _ = found[0]
        yield Served(url, loop)
    finally:
        for _, loop, ending in found:
            loop.call_soon_threadsafe(ending.set)
        thread.join(30)
