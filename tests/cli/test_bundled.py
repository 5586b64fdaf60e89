"""What ships inside the package, and that it does."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.running import run

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
async def test_the_rules_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    ended = await run("rules", "--output", tmp_path / "new" / "rules")

    written = tmp_path / "new" / "rules" / "fleet-tls.rules.yml"
    assert ended.code == 0
    assert ended.out.splitlines() == [str(written)]
    # Prometheus reads every file of the folder: values.yml must not be in it
    assert list(written.parent.iterdir()) == [written]
    assert written.read_bytes() == (ROOT / "rules/fleet-tls.rules.yml").read_bytes()


@pytest.mark.slow
async def test_the_rules_go_by_the_values_that_are_given(tmp_path: Path) -> None:
    shown = await run("rules", "--show-values")
    values = tmp_path / "values.yml"
    values.write_text(shown.out.replace("info: 30d", "info: 44d"))
    ended = await run("rules", "--values", values, "--output", tmp_path / "rules")

    text = (tmp_path / "rules/fleet-tls.rules.yml").read_text()
    assert (shown.code, ended.code) == (0, 0)
    assert shown.out == (ROOT / "rules/values.yml").read_text()
    assert f"< time() + {44 * 86_400}" in text


@pytest.mark.slow
async def test_values_with_faults_write_nothing(tmp_path: Path) -> None:
    values = tmp_path / "values.yml"
    values.write_text("refusal: {devises: 3}\n")

    ended = await run("rules", "--values", values, "--output", tmp_path / "rules")

    assert ended.code == 2
    assert "the key 'devises' is not known; did you mean 'devices'?" in ended.err
    assert not (tmp_path / "rules").exists()


@pytest.mark.slow
async def test_the_dashboards_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    ended = await run("dashboards", "--output", tmp_path)

    assert ended.code == 0
    assert contents_of(tmp_path) == contents_of(ROOT / "dashboards")


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_the_wheel_holds_every_data_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("rules", "dashboards", "docs/runbooks", "exporter"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
    build = (
        "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", build, str(tmp_path)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())

    wanted = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "exporter").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted |= {
        f"exporter/bundled/runbooks/{path.name}" for path in (ROOT / "docs/runbooks").iterdir()
    }
    wanted |= {f"exporter/bundled/rules/{path.name}" for path in (ROOT / "rules").iterdir()}
    wanted |= {
        f"exporter/bundled/dashboards/{path.name}" for path in (ROOT / "dashboards").iterdir()
    }
    assert wanted - held == set()
