from pathlib import Path

import pytest

from exporter.cli.target_list import read_target_list
from exporter.errors import ConfigError


def read(
    folder: Path, text: str, name: str = "targets", *, server_name: str | None = None
) -> list[tuple[str, str | None]]:
    path = folder / name
    path.write_text(text)
    found = read_target_list(path, server_name=server_name)
    return [(wanted.endpoint.address, wanted.name) for wanted in found.wanted]


def test_an_ipv6_address_in_the_first_line_is_no_json(tmp_path: Path) -> None:
    assert read(tmp_path, "[2001:db8::1]:8883\n") == [("[2001:db8::1]:8883", "2001:db8::1")]


@pytest.mark.parametrize("text", ["- targets: ['a:1']", "---\n- targets: ['a:1']"])
def test_yaml_is_known_by_its_beginning(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text) == [("a:1", "a")]


def test_a_name_for_all_leaves_those_with_their_own(tmp_path: Path) -> None:
    text = '[{"targets": ["a:1"]}, {"targets": ["b:1"], "labels": {"server_name": "own"}}]'

    assert read(tmp_path, text, server_name="all") == [("a:1", "all"), ("b:1", "own")]


def test_a_device_without_an_address_is_not_looked_at(tmp_path: Path) -> None:
    text = '[{"targets": ["d"], "labels": {"gateway": "g", "address": ""}}, {"targets": ["a:1"]}]'

    assert read(tmp_path, text) == [("a:1", "a")]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("t.json", "{", "this is not JSON"),
        ("t.json", "{}", "not a list"),
        ("t.yml", "a: [", "t.yml"),
        ("t", "\n# nothing\n", "there is no target in it; write one HOST:PORT a line"),
        ("t", "a:1\nhttps://b\n", "t:2: .*is a URL"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read(tmp_path, text, name)
