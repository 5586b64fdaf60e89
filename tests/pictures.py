"""The pictures of ``docs/pictures``, from real runs: ``make pictures``.

A demo that is healthy and one whose gateway serves what no device trusts run for a while, so that
there is something to see; then Chromium looks at their pages, and ``probe`` at their gateways.
A third rotates its CA, and is looked at while a gate waits for devices.
"""

import argparse
import json
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from tests.browser import NORMAL, Watched, browsing, chromium
from tests.daemons import Daemon, wait_until

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
SECONDS = 200.0
SCHEMES = ("light", "dark")
_COLUMNS = 100
_SHOWN_MS = 60_000
# -P: what stands beside it has the names of other things
_SLOW_DEMO = ("-P", str(Path(__file__).with_name("slow_demo.py")))
# All at once: what is looked up and then measured may be replaced between the two. Without a part
# as tall as what is wanted, so that nothing of it is below the fold
_CLIP = """\
([part, until, width]) => {
  if (!part) return {x: 0, y: 0, width, height: document.querySelector(until).offsetTop};
  const box = document.querySelector(part).getBoundingClientRect();
  return {x: box.x + scrollX, y: box.y + scrollY, width: box.width, height: box.height};
}"""
# Rich's own names fonts on a server of others; what is shown here comes from here
_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" class="rich-terminal">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
 font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A demo that runs."""

    exporter: str
    gateway: str
    token_file: str
    directory: Path


@contextmanager
def demo(
    folder: Path, *arguments: str, program: Sequence[str] = ("-m", "exporter")
) -> Iterator[Daemon]:
    command = [sys.executable, *program, "demo", "--json", "--port", "0", *arguments]
    with Daemon(command, directory=folder) as running:
        yield running


def found_in(running: Daemon) -> Run:
    """Where a demo is, once it says so."""
    running.wait_for_line('"exporter"', within_s=120)
    line = next(line for line in running.text().splitlines() if line.startswith("{"))
    told = json.loads(line)
    return Run(
        exporter=told["exporter"], gateway=told["gateway"], token_file=told["token_file"],
        directory=Path(told["directory"]),
    )  # fmt: skip


def ask_for_the_way_back(run: Run) -> None:
    """Ask what a rollback would do, as somebody does who was woken; the page then tells it."""
    asked = ["rollback", "--gateway", "gw-1", "--dry-run"]
    service = ["--url", run.exporter, "--token-file", run.token_file]
    command = [sys.executable, "-m", "exporter", *asked, *service]
    wait_until(
        lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0,
        within_s=60,
        what="a way back",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture of a page, taken in light and dark.

    Attributes:
        part: Only this element; empty: the page down to the element ``until``.
        when: Waited for, an element that shows what the picture is of.
    """

    name: str
    url: str
    part: str = ""
    until: str = "footer"
    when: str = "#link"


def shoot(browser: Browser, picture: Picture, folder: Path) -> None:
    with browsing(browser, device_scale_factor=1.5) as context:
        watched = Watched(context)
        page = watched.page
        page.goto(picture.url)
        page.locator("#link", has_text="Live.").wait_for()
        page.locator(picture.when).first.wait_for(timeout=_SHOWN_MS)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of its words
            path = folder / f"{picture.name}-{scheme}.png"
            clip = page.evaluate(_CLIP, [picture.part, picture.until, NORMAL["width"]])
            page.screenshot(path=path, full_page=True, clip=clip)
        assert watched.faults == []


def typed(command: list[str], cwd: Path) -> str:
    """What a command prints on a terminal, colours and all."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(_COLUMNS)}
    subprocess.run(
        command, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
        timeout=60, check=False,
    )  # fmt: skip
    os.close(theirs)
    told = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        told += part
    os.close(ours)
    return told.decode().replace("\r\n", "\n")


def terminal(run: Run, folder: Path) -> None:
    """Draw a terminal in which ``probe`` looks at the gateway."""
    pki = run.directory / "pki"
    shown = [
        "probe", run.gateway, "--server-name", "gw-1.fleet.example",
        "--trust-store", "old=old-ca.pem", "--trust-store", "new=new-ca.pem",
    ]  # fmt: skip
    told = typed([sys.executable, "-m", "exporter", *shown], pki)
    with Path(os.devnull).open("w") as nowhere:
        console = Console(
            record=True, width=_COLUMNS, file=nowhere, force_terminal=True, legacy_windows=False
        )
        console.print(Text(f"$ fleet-tls-exporter {' '.join(shown)}", style="bold"))
        console.print(Text.from_ansi(told))
        console.save_svg(
            str(folder / "probe.svg"),
            title="fleet-tls-exporter probe",
            theme=DIMMED_MONOKAI,
            code_format=_SVG,
            unique_id="probe",
        )


def make_pictures(folder: Path, *, seconds: float) -> None:
    """Write all pictures into ``folder``; the demos run for ``seconds`` before."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        browser = stack.enter_context(chromium())
        with demo(work / "rotating", "--rotate", program=_SLOW_DEMO) as rotating:
            board = Picture(
                name="rotation", url=f"{found_in(rotating).exporter}/fleet", part="#rotations",
                when="#rotations .cells:has(a.blocking) a:not(.blocking)",
            )  # fmt: skip
            shoot(browser, board, folder)
        healthy = stack.enter_context(demo(work / "healthy"))
        outage = stack.enter_context(demo(work / "outage", "--break", "unknown-ca"))
        good, bad = found_in(healthy), found_in(outage)
        if seconds:
            subprocess.run(["sleep", str(seconds)], check=True)
        ask_for_the_way_back(bad)
        for picture in (
            Picture(name="fleet-healthy", url=f"{good.exporter}/fleet", until="#map"),
            Picture(name="fleet-outage", url=f"{bad.exporter}/fleet", until="#map"),
            Picture(name="trust-map", url=f"{good.exporter}/fleet", part="#map svg"),
            Picture(name="target-outage", url=f"{bad.exporter}/targets/gw-1"),
        ):
            shoot(browser, picture, folder)
        terminal(bad, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=PICTURES)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    arguments = parser.parse_args()
    make_pictures(arguments.output, seconds=arguments.seconds)
    print(*sorted(str(path) for path in arguments.output.iterdir()), sep="\n")  # noqa: T201 - a program


if __name__ == "__main__":
    main()
