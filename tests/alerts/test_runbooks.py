"""A runbook for each alert, and nothing in it that is not so."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from exporter.alerts.book import alerts_of
from exporter.alerts.values import Values
from exporter.cli.group import COMMANDS
from exporter.config import Config
from exporter.config.sentences import bare_type
from exporter.demo.pki import Wishes, issue
from tests.cli.running import run
from tests.daemons import need
from tests.test_names import faults_in

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
ALERTS = {alert.name for alert in alerts_of(Values())}
PAGES = sorted(RUNBOOKS.glob("*.md"))

of_each = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def code_in(page: Path) -> Iterator[str]:
    """What stands between backticks, and the lines of blocks; continued lines joined."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    blocks = re.compile(r" *```\w*\n(.*?) *```", re.DOTALL)
    for block in blocks.findall(text):
        yield from (line.strip() for line in block.splitlines())
    for span in re.findall(r"`([^`]+)`", blocks.sub("", text)):
        yield " ".join(span.split())


def test_there_is_one_for_each_alert_and_no_other() -> None:
    assert {page.stem for page in PAGES} == ALERTS


@of_each
def test_it_says_what_it_means_how_to_see_it_what_to_do_and_how_it_ends(page: Path) -> None:
    lines = page.read_text("utf-8").splitlines()
    heads = [line for line in lines if line.startswith("#") and "What comes with it" not in line]

    assert heads == [f"# {page.stem}", "## How to see it", "## What to do", "## How it ends"]
    assert len(lines) < 80
    assert [line for line in lines if len(line) > 140] == []


@of_each
def test_its_queries_ask_for_what_there_is(page: Path) -> None:
    queries = [code for code in code_in(page) if "fleet_tls_" in code]

    for query in queries:
        assert faults_in(query) == [], query


@of_each
def test_the_alerts_and_pages_it_names_are_there(page: Path) -> None:
    text = page.read_text("utf-8")

    assert set(re.findall(r"FleetTLS\w+", text)) <= ALERTS
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (RUNBOOKS / link).exists(), link


@of_each
def test_its_commands_can_be_run(page: Path) -> None:
    for code in code_in(page):
        words = shlex.split(code) if code.startswith("fleet-tls-exporter ") else []
        if words:
            command, rest = command_of(words[1:])
            known = {name for one in command.params for name in one.opts}
            assert {word for word in rest if word.startswith("--")} <= known, code


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    place = COMMANDS[words[0]]
    command = getattr(import_module(place.module), place.name)
    rest = words[1:]
    if isinstance(command, click.Group):
        command, rest = command.commands[rest[0]], rest[1:]
    assert isinstance(command, click.Command)
    return command, rest


@of_each
def test_the_keys_it_names_can_be_set(page: Path) -> None:
    for code in code_in(page):
        if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", code):
            assert any(has_key(model, code.split(".")) for model in (Values, Config)), code


def has_key(model: type[BaseModel], steps: list[str]) -> bool:
    field = model.model_fields.get(steps[0])
    if field is None or len(steps) == 1:
        return field is not None
    inner = bare_type(field.annotation)
    return isinstance(inner, type) and issubclass(inner, BaseModel) and has_key(inner, steps[1:])


@pytest.mark.slow
async def test_the_way_out_by_the_old_ca_works_as_it_stands_there(tmp_path: Path) -> None:
    old = issue(Wishes(common_name="old CA", is_ca=True))
    (tmp_path / "old_ca.crt").write_bytes(old.pem)
    (tmp_path / "old_ca.key").write_bytes(old.key_pem)
    name = "gw-1.fleet.example"
    asking = (
        "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", "gateway.key", "-out", "gateway.csr", "-subj", f"/CN={name}",
        "-addext", f"subjectAltName=DNS:{name}", "-addext", "extendedKeyUsage=serverAuth",
    )  # fmt: skip
    openssl(tmp_path, *asking)
    sign, verify = (
        shlex.split(code)
        for code in code_in(RUNBOOKS / "FleetTLSDevicesRefuseGateway.md")
        if code.startswith(("openssl x509", "fleet-tls-exporter verify"))
    )

    openssl(tmp_path, *sign[1:])
    here = (re.sub(r"(\w+\.crt)", rf"{tmp_path}/\1", word) for word in verify[1:])
    ended = await run(*here)

    assert ended.code == 0, ended.out + ended.err


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(
        [need("openssl"), *arguments], cwd=directory, check=True, capture_output=True, timeout=30
    )
