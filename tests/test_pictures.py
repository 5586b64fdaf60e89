"""The pictures are made from real runs, by a script that works."""

from pathlib import Path

import pytest

from tests.pictures import PICTURES, make_pictures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_script_makes_every_picture_there_is(tmp_path: Path) -> None:
    make_pictures(tmp_path, seconds=0)

    made = {path.name: path for path in tmp_path.iterdir()}
    assert set(made) == {path.name for path in PICTURES.iterdir()}
    probe = made["probe.svg"].read_text()
    assert "unknown_ca" in probe.replace("&#160;", " ")
    assert "http" not in probe.replace("http://www.w3.org/2000/svg", "")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.glob("*.png"))
