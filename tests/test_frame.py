"""The project's frame: lock files, set-up scripts, wheel, unit, container files."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements-build.lock", "requirements.lock", "requirements-dev.lock")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+) \\$", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text()
    return {canonicalize_name(name): version for name, version in PIN.findall(text)}


def project() -> dict[str, list[str]]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"run": table["dependencies"], "dev": table["optional-dependencies"]["dev"]}


@pytest.mark.parametrize("lock", LOCKS)
def test_each_pin_has_hashes_and_no_place_to_come_from(lock: str) -> None:
    text = (ROOT / lock).read_text()
    body = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]

    assert body
    assert all(PIN.match(line) or re.match(r"^    --hash=sha256:", line) for line in body)
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize(("kind", "lock"), [("run", LOCKS[1]), ("dev", LOCKS[2])])
def test_each_dependency_is_locked_at_a_version_that_fits(kind: str, lock: str) -> None:
    locked = pins(lock)

    for text in project()[kind]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), text


def test_tests_run_with_the_very_versions_that_the_service_gets() -> None:
    service, tests = pins("requirements.lock"), pins("requirements-dev.lock")

    assert {name: tests.get(name) for name in service} == service


def test_ci_runs_make_test_and_nothing_else() -> None:
    script = ROOT / ".ci/run"
    commands = [
        line
        for line in script.read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]

    assert commands == ["exec make test"]
    assert os.access(script, os.X_OK)


class FakeSystem:
    """Stand-ins for dpkg and apt, so that nothing is installed; ours is the script."""

    def __init__(self, folder: Path, *, user: int, installed: str = "") -> None:
        self.folder = folder
        self.policy = folder / "policy-rc.d"
        self.seen = folder / "seen"
        self._write("id", f"echo {user}")
        self._write("dpkg-query", installed)
        self._write(
            "apt-get",
            f'echo "$@" >>{self.seen}; cat {self.policy} >>{self.seen}; sh {self.policy}',
        )
        self._write("dpkg", "exit 0")

    def _write(self, name: str, body: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def run(self, *packages: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", ROOT / "tools/debian.sh", *packages],
            env={"PATH": f"{self.folder}:/usr/bin:/bin", "POLICY_RC_D": str(self.policy)},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )


def test_without_root_the_one_line_to_run_is_printed(tmp_path: Path) -> None:
    result = FakeSystem(tmp_path, user=1000).run()

    wanted = (ROOT / "tools/debian-packages.txt").read_text().split()
    lines = [line for line in result.stderr.splitlines() if "apt-get" in line]
    assert result.returncode == 1
    assert lines == [f"sudo apt-get install --no-install-recommends {' '.join(wanted)}"]
    assert result.stdout == ""


def test_nothing_is_said_or_done_when_all_packages_are_there(tmp_path: Path) -> None:
    system = FakeSystem(tmp_path, user=0, installed="echo installed")

    result = system.run()

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert not system.seen.exists()


def test_daemons_are_forbidden_to_start_only_while_packages_are_installed(tmp_path: Path) -> None:
    # apt-get fails here with the policy's own 101, so the script must give up as well
    system = FakeSystem(tmp_path, user=0)

    result = system.run("nginx-light")

    assert result.returncode == 1
    assert "apt-get could not install: nginx-light" in result.stderr
    first, *policy = system.seen.read_text().splitlines()
    assert first == "install --yes --quiet --no-install-recommends nginx-light"
    assert policy[:2] == ["#!/bin/sh", "exit 101"]
    assert not system.policy.exists()


def test_the_machines_own_policy_comes_back(tmp_path: Path) -> None:
    system = FakeSystem(tmp_path, user=0)
    system.policy.write_text("#!/bin/sh\nexit 0\n")

    system.run("nginx-light")

    assert "exit 101" in system.seen.read_text()
    assert system.policy.read_text() == "#!/bin/sh\nexit 0\n"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_wheel_alone_gives_a_working_command(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir"]
    source = tmp_path / "source"
    # A copy of what the wheel is made from: building leaves files beside the sources
    shutil.copytree(
        ROOT / "exporter", source / "exporter", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("rules", "dashboards", "docs/runbooks"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name)
    subprocess.run([*pip, *build, str(tmp_path), str(source)], check=True, timeout=150)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)

    shown = subprocess.run(
        [sys.executable, "-m", "exporter", "--version"],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "0.1.0" in shown.stdout
    assert (site / "exporter/py.typed").exists()
    sources = {path.relative_to(ROOT) for path in ROOT.glob("exporter/**/*") if path.is_file()}
    # A .pyc that is being written has another name for a moment
    data = {path for path in sources if path.suffix != ".py" and "__pycache__" not in path.parts}
    assert {path for path in data if not (site / path).exists()} == set()


def test_the_unit_takes_rights_away_but_not_what_the_callbacks_need() -> None:
    unit = (ROOT / "packaging/systemd/fleet-tls-exporter.service").read_text()
    options = dict(
        line.split("=", 1) for line in unit.splitlines() if line and line[0] not in "#["
    )

    wanted = {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": ""}
    assert wanted.items() <= options.items()
    growing = {"RestartSec": "2s", "RestartSteps": "5", "RestartMaxDelaySec": "1min"}
    assert growing.items() <= options.items(), "SAFETY 2: growing pauses in a crash loop"
    # cffi's callbacks fail with MemoryError under it, and with them every handshake
    assert "MemoryDenyWriteExecute" not in options


def test_images_are_pinned_and_the_container_has_no_rights_to_spare() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    recipe = (ROOT / "Dockerfile").read_text()

    for service in compose["services"].values():
        assert re.search(r":(v?\d+\.\d+|local)", service["image"])
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    bases = re.findall(r"^FROM (\S+)", recipe, re.MULTILINE)
    assert all(re.search(r":\d+\.\d+-", base) for base in bases)
    assert re.search(r"^USER (?!root)", recipe, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\\\n +CMD \[\"python\"", recipe, re.MULTILINE)
