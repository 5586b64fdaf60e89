"""The agent's file: read, checked, documented."""

from pathlib import Path

import pytest

from exporter.config.agent import load_agent
from exporter.config.agent_page import TITLE, keys
from exporter.errors import ConfigError
from tests.cli.running import run
from tests.pki import make_ca, make_leaf

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED = "terminator: {embedded: {listen: ['127.0.0.1:0'], log_file: gw.log}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ca = make_ca()
    leaf, other = make_leaf(ca, "gw.example"), make_leaf(ca, "gw.example")
    (tmp_path / "token").write_text("a-token\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "chain.pem").write_bytes(leaf.pem)
    (tmp_path / "chain.key").write_bytes(leaf.key_pem)
    (tmp_path / "other.key").write_bytes(other.key_pem)
    return tmp_path


def faults_of(folder: Path, text: str) -> list[str]:
    path = folder / "agent.yml"
    path.write_text(text)
    try:
        load_agent(path)
    except ConfigError as exc:
        return [str(fault).removeprefix(f"{folder}/") for fault in exc.faults]
    return []


def test_paths_are_relative_to_the_file(folder: Path) -> None:
    path = folder / "agent.yml"
    path.write_text(f"directory: state\nweb: {{token_file: token}}\n{EMBEDDED}")

    options = load_agent(path)

    assert options.directory == folder / "state"
    assert options.web.token_file == folder / "token"
    embedded = options.terminator.embedded
    assert embedded is not None
    assert embedded.log_file == folder / "gw.log"


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["agent.yml:1: the file is empty; at least `directory:` belongs in it"]),
        (
            "directory: d\n",
            [
                "agent.yml:1 terminator: this key is missing; it has no default",
                "agent.yml:1 web: this key is missing; it has no default",
            ],
        ),
        (
            f"directory: d\nweb: {{}}\n{EMBEDDED}",
            [
                "agent.yml:2 web: nobody could be let in; set token_file, or client_ca_file"
                " for mTLS"
            ],
        ),
        (
            f"directory: d\nweb: {{token: secret}}\n{EMBEDDED}",
            [
                "agent.yml:2 web.token: secrets are not written into this file; write token_file,"
                " the path of a file that holds it"
            ],
        ),
        (
            f"directory: d\nweb: {{token_file: empty}}\n{EMBEDDED}devices:\n"
            "  - {name: dev-01, token_file: none}\n",
            [
                "agent.yml:2 web.token_file: FOLDER/empty: this file is empty",
                "agent.yml:5 devices[0].token_file: FOLDER/none: this file cannot be read:"
                " No such file or directory",
            ],
        ),
        (
            f"directory: d\nweb: {{token_file: token}}\n{EMBEDDED}"
            "initial: {chain_file: chain.pem, key_file: other.key}\n",
            [
                "agent.yml:4 initial.key_file: FOLDER/other.key does not hold the key of the"
                " first certificate in FOLDER/chain.pem"
            ],
        ),
        (
            f"directory: d\nweb: {{token_file: token}}\n{EMBEDDED}"
            "devices: [{name: dev-01}, {name: dev-01}]\n",
            ["agent.yml:4 devices: the device 'dev-01' stands here more than once"],
        ),
        (
            "directory: d\nweb: {token_file: token}\nterminator: {}\n",
            ["agent.yml:3 terminator: write exactly one of: embedded, haproxy, mosquitto, nginx"],
        ),
    ],
)
def test_each_fault_is_told_with_its_place(folder: Path, text: str, faults: list[str]) -> None:
    found = faults_of(folder, text)

    shown = [
        one.replace(str(folder), "FOLDER").replace(":1: the device", ": the device")
        for one in found
    ]
    assert shown == faults


def test_what_was_taken_on_may_be_gone_afterwards(folder: Path) -> None:
    text = (
        f"directory: d\nweb: {{token_file: token}}\n{EMBEDDED}"
        "initial: {chain_file: gone.pem, key_file: gone.key}\n"
    )
    assert len(faults_of(folder, text)) == 2

    (folder / "d").mkdir()
    (folder / "d/current").symlink_to("versions/1")

    assert faults_of(folder, text) == []


PAGE = (ROOT / "docs/gateway-agent.md").read_text()


def test_the_page_ends_with_what_the_models_say() -> None:
    assert TITLE + PAGE.partition(TITLE)[2] == keys(), (
        "run: .venv/bin/python -m exporter.config.agent_page docs/gateway-agent.md"
    )


def test_the_example_of_the_page_has_no_fault_but_the_files_it_names(tmp_path: Path) -> None:
    example = PAGE.partition("```yaml\n")[2].partition("```")[0]
    faults = faults_of(tmp_path, example)

    assert len(faults) == 6
    assert all("this file cannot be read: No such file" in fault for fault in faults)


@pytest.mark.slow
async def test_the_command_checks_a_file_and_tells_its_faults(folder: Path) -> None:
    good, bad = folder / "agent.yml", folder / "bad.yml"
    good.write_text(f"directory: d\nweb: {{token_file: token}}\n{EMBEDDED}")
    bad.write_text("directory: 5\n")

    checked = await run("gateway-agent", "--config", good, "--check")
    refused = await run("gateway-agent", "--config", bad, "--check")

    assert (checked.code, checked.out) == (
        0, f"{good} can be used: embedded, 0 devices\n",
    )  # fmt: skip
    assert refused.code == 2
    assert "bad.yml:1 directory: the number 5 stands here" in refused.err
