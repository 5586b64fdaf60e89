"""What docs/terminators.md shows is taken by the drivers, and by the real terminators' checks."""

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from exporter.gateway.agent.drivers import Terminator, make_driver
from tests.daemons import need
from tests.gateway.agent.real.agent_process import ROOT
from tests.gateway.agent.real.stand import Authority, Versions

pytestmark = pytest.mark.timeout(60)

PAGE = ROOT / "docs/terminators.md"
AGENT = "/var/lib/fleet-tls-agent"


def blocks_of(kind: str) -> list[str]:
    """The code blocks in the section of one terminator, without the settings of the agent."""
    section = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    (text,) = [part for part in section if part.lower().startswith(kind)]
    return [
        code
        for name, code in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        if name != "yaml"
    ]


def settings_of(kind: str) -> dict[str, object]:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (found,) = [
        one["terminator"][kind] for one in map(yaml.safe_load, blocks) if kind in one["terminator"]
    ]
    return dict(found)


def nginx(folder: Path, here: Callable[[str], str]) -> Mapping[str, object]:
    (block,) = blocks_of("nginx")
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(f"{user}pid {folder}/pid;\nevents {{ }}\n{here(block)}")
    return {"config": f"{folder}/nginx.conf"}


def haproxy(folder: Path, here: Callable[[str], str]) -> Mapping[str, object]:
    files = [folder / "1-defaults.cfg", folder / "2-gateway.cfg"]
    for file, block in zip(files, blocks_of("haproxy"), strict=True):
        file.write_text(here(block))
    return {"config": [str(file) for file in files], "handshake_include": str(files[0])}


def mosquitto(folder: Path, here: Callable[[str], str]) -> Mapping[str, object]:
    (block,) = blocks_of("mosquitto")
    (folder / "conf.d").mkdir()
    user = "user root\n" if os.geteuid() == 0 else ""
    text = here(block).replace("/etc/mosquitto/conf.d", f"{folder}/conf.d")
    (folder / "mosquitto.conf").write_text(f"{user}{text}")
    return {"config": f"{folder}/mosquitto.conf", "handshake_include": f"{folder}/conf.d"}


WRITERS = {"nginx": nginx, "haproxy": haproxy, "mosquitto": mosquitto}


@pytest.mark.parametrize("kind", list(WRITERS))
async def test_what_the_page_shows_is_checked_by_the_terminator_itself(
    kind: str, tmp_path: Path
) -> None:
    versions = Versions(tmp_path / "agent")
    folder = versions.add(Authority("CA").leaf())
    places = WRITERS[kind](tmp_path, lambda text: text.replace(AGENT, str(versions.root)))
    section = {**settings_of(kind), **places, "binary": need(kind)}
    terminator = Terminator.model_validate_json(json.dumps({kind: section}))

    await make_driver(terminator, versions.tools).check(folder)
