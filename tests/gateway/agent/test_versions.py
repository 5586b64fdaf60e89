"""Version folders and the symlink to the current one."""

import stat
from pathlib import Path
from unittest.mock import patch

import pytest

from exporter.gateway.agent.versions import Content, VersionError, Versions
from tests.pki import Issued, make_ca, make_leaf, utc

CA = make_ca()
LEAF, OTHER = make_leaf(CA, "gw.example"), make_leaf(CA, "gw.example")
NOW = utc("2026-11-24T12:00:00")


def content(leaf: Issued = LEAF, key: Issued = LEAF, **further: bytes) -> Content:
    files = {name.replace("_", "."): data for name, data in further.items()}
    return Content(chain_pem=leaf.pem + CA.pem, key_pem=key.key_pem, further=files)


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    made = Versions(tmp_path)
    made.prepare()
    return made


def test_a_version_is_whole_and_for_us_alone(versions: Versions) -> None:
    folder = versions.write(7, content(both_pem=b"chain and key"), NOW)

    read = versions.read(7)
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()}
    assert modes == dict.fromkeys(("chain.pem", "key.pem", "meta.json", "both.pem"), 0o600)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert read.leaf.subject == "CN=gw.example"
    assert read.is_key_usable
    assert versions.key_pem(7) == LEAF.key_pem
    assert versions.numbers() == [7]


def test_nothing_is_overwritten(versions: Versions) -> None:
    versions.write(1, content(), NOW)

    with pytest.raises(VersionError, match="version 1 is there already"):
        versions.write(1, content(OTHER, OTHER), NOW)

    assert versions.key_pem(1) == LEAF.key_pem


def test_current_leads_to_one_version_after_the_other(versions: Versions) -> None:
    versions.write(1, content(), NOW)
    versions.write(2, content(OTHER, OTHER), NOW)
    assert versions.pointed_to() is None

    for number in (1, 2, 2, 1):
        folder = versions.point_to(number)
        assert versions.pointed_to() == number
        assert versions.current.resolve() == folder.resolve()


def test_current_cannot_lead_to_what_is_not_there(versions: Versions) -> None:
    versions.write(1, content(), NOW)
    versions.point_to(1)

    with pytest.raises(VersionError, match="there is no version 2"):
        versions.point_to(2)

    assert versions.pointed_to() == 1


@pytest.mark.parametrize("step", ["fsync", "rename", "symlink", "replace"])
def test_a_full_disk_leaves_what_was(versions: Versions, step: str) -> None:
    versions.write(1, content(), NOW)
    versions.point_to(1)
    full = OSError(28, "No space left on device")
    place = {"fsync": "os.fsync"}.get(
        step, f"pathlib.Path.{step.replace('symlink', 'symlink_to')}"
    )

    def switch() -> None:
        versions.write(2, content(OTHER, OTHER), NOW)
        versions.point_to(2)

    with patch(place, side_effect=full), pytest.raises(VersionError, match="No space left"):
        switch()

    assert versions.pointed_to() == 1
    assert versions.read(1).is_key_usable
    assert not list(versions.folder_of(1).parent.glob(".*"))


def test_what_a_crash_left_half_done_is_removed_at_the_next_start(versions: Versions) -> None:
    half = versions.folder_of(1).parent / ".half-3"
    half.mkdir()
    (half / "key.pem").write_bytes(LEAF.key_pem)
    versions.current.with_name(".current.next").symlink_to("versions/3")

    versions.prepare()

    assert not half.exists()
    assert versions.numbers() == []
    assert [one.name for one in versions.current.parent.iterdir()] == ["versions"]


def test_a_current_that_leads_elsewhere_is_not_followed(
    versions: Versions, tmp_path: Path
) -> None:
    for target in ("versions", "versions/9", str(tmp_path.parent), "versions/../versions"):
        versions.current.unlink(missing_ok=True)
        versions.current.symlink_to(target)

        assert versions.pointed_to() is None


def test_a_key_that_is_lost_or_another_is_told(versions: Versions) -> None:
    versions.write(1, content(LEAF, OTHER), NOW)
    versions.write(2, content(), NOW)
    (versions.folder_of(2) / "key.pem").unlink()
    versions.write(3, Content(chain_pem=b"nonsense", key_pem=b"", further={}), NOW)

    assert [versions.read(number).is_key_usable for number in (1, 2)] == [False, False]
    with pytest.raises(VersionError, match="version 3: no certificate in PEM form"):
        versions.read(3)
    with pytest.raises(VersionError, match="cannot read the key of version 2: No such file"):
        versions.key_pem(2)
    with pytest.raises(VersionError, match="there is no version 4"):
        versions.read(4)


def test_a_version_goes_when_nothing_leads_to_it(versions: Versions) -> None:
    versions.write(1, content(), NOW)
    versions.write(2, content(), NOW)
    versions.point_to(2)

    versions.remove(1)
    with pytest.raises(VersionError, match="version 2 is the current one"):
        versions.remove(2)

    assert versions.numbers() == [2]


@pytest.mark.parametrize("name", ["key.pem", "../out", ".hidden", "a/b"])
def test_a_driver_cannot_write_over_our_files_or_elsewhere(versions: Versions, name: str) -> None:
    with pytest.raises(ValueError, match="a driver cannot have a file"):
        versions.write(
            1, Content(chain_pem=LEAF.pem, key_pem=LEAF.key_pem, further={name: b"x"}), NOW
        )
