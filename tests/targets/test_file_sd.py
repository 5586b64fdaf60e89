import json
import logging
import os
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.targets import file_sd
from exporter.targets.entries import Known
from exporter.targets.file_sd import FileWatch
from exporter.targets.groups import MAX_BYTES
from exporter.targets.source import Handed, Reading
from tests.fake_clock import FakeClock

KNOWN = Known()


def groups(*names: str) -> str:
    return json.dumps([{"targets": [f"{name}:1" for name in names]}])


def watch(*patterns: Path, last_good: dict[str, Handed] | None = None) -> FileWatch:
    return FileWatch(patterns, KNOWN, FakeClock(), last_good or {})


def hosts(readings: tuple[Reading, ...]) -> list[str | None]:
    return [target.host for reading in readings for target in reading.targets]


def settled(files: FileWatch) -> tuple[Reading, ...]:
    """What is read once a change has not moved for one look."""
    files.look()
    return files.look()


def test_json_and_yaml_files_of_a_pattern_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(groups("b"))
    (tmp_path / "a.json").write_text(groups("a1", "a2"))
    (tmp_path / "c.yml").write_text("- targets: ['c:1']\n")

    readings = watch(tmp_path / "*.yml", tmp_path / "*.json").look()

    assert hosts(readings) == ["c", "a1", "a2", "b"]
    assert all(reading.ok and reading.last_success_at for reading in readings)
    assert readings[0].targets[0].source == str(tmp_path / "c.yml")


def test_a_change_is_taken_up_when_it_has_not_moved_for_one_look(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(groups("old"))
    files = watch(path)
    files.look()

    path.write_text(groups("new", "newer"))

    assert hosts(files.look()) == ["old"]
    assert hosts(files.look()) == ["new", "newer"]


def test_a_yaml_file_that_is_half_written_is_not_mistaken_for_a_short_one(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("- targets: ['a:1', 'b:1']\n")
    files = watch(path)
    files.look()
    seen = []

    for text in ("- targets: ['a:1']\n", "- targets: ['a:1']\n- targets: ['b:1', 'c:1']\n"):
        path.write_text(text)
        seen.append(hosts(files.look()))
    seen.append(hosts(files.look()))

    assert seen == [["a", "b"], ["a", "b"], ["a", "b", "c"]]


def test_a_file_that_is_written_all_the_time_is_read_in_spite_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(groups("g0"))
    files = watch(path)
    files.look()

    seen = []
    for number in range(1, 5):
        path.write_text(groups(*["g"] * number, f"last{number}"))
        seen.append(hosts(files.look())[-1])

    assert seen == ["g0", "g0", "g0", "last4"]


def test_a_file_renamed_over_the_old_one_is_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(groups("old"))
    files = watch(path)
    files.look()
    fresh = tmp_path / "a.json.new"
    fresh.write_text(groups("new"))

    fresh.rename(path)

    assert hosts(settled(files)) == ["new"]


def test_a_swapped_symlink_is_followed(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.json").write_text(groups(name))
    link = tmp_path / "current"
    link.symlink_to("old")
    files = watch(link / "a.json")
    files.look()

    (tmp_path / "swap").symlink_to("new")
    (tmp_path / "swap").rename(link)

    assert hosts(settled(files)) == ["new"]


@pytest.mark.parametrize("broken", ["", '[{"targets": ["a', '{"targets": []}', "\x00\x00"])
def test_a_broken_file_keeps_the_last_good_targets_and_says_so(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.json"
    path.write_text(groups("good"))
    files = watch(path)
    files.look()

    path.write_text(broken)
    (reading,) = settled(files)

    assert hosts((reading,)) == ["good"]
    assert not reading.ok
    assert reading.problem
    assert str(path) in caplog.text


def test_failing_is_logged_once_and_so_is_recovery(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "a.json"
    path.write_text(groups("good"))
    files = watch(path)
    files.look()

    path.write_text("[")
    for _ in range(5):
        files.look()
    path.write_text("[[")
    for _ in range(5):
        files.look()
    assert len(caplog.records) == 1

    path.write_text(groups("good"))
    (reading,) = settled(files)

    assert reading.ok
    assert reading.problem == ""
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_broken_file_without_a_last_good_one_has_no_targets(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[")

    (reading,) = watch(tmp_path / "*.json").look()

    assert (reading.ok, reading.targets, reading.last_success_at) == (False, (), None)


def test_the_targets_of_a_deleted_file_leave_when_it_was_missing_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "a.json").write_text(groups("a"))
    (tmp_path / "b.json").write_text(groups("b"))
    files = watch(tmp_path / "*.json")
    files.look()

    (tmp_path / "a.json").unlink()

    assert hosts(files.look()) == ["a", "b"]
    assert hosts(files.look()) == ["b"]
    assert "targets leave with their deleted file" in caplog.text
    assert set(files.last_good) == {str(tmp_path / "b.json")}


def test_a_file_that_is_back_at_the_next_look_was_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(groups("a"))
    files = watch(tmp_path / "*.json")
    files.look()

    path.unlink()
    files.look()
    path.write_text(groups("b"))

    assert hosts(files.look()) == ["b"]


def test_a_file_named_without_a_pattern_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files = watch(path)

    (missing,) = files.look()
    path.write_text(groups("a"))
    (there,) = files.look()
    path.unlink()
    files.look()
    (gone,) = files.look()

    assert (missing.ok, missing.problem) == (False, "there is no such file")
    assert (there.ok, hosts((there,))) == (True, ["a"])
    assert (gone.ok, gone.problem, hosts((gone,))) == (False, "there is no such file", [])
    assert files.last_good == {}


def test_the_targets_of_a_folder_that_is_gone_stay(tmp_path: Path) -> None:
    folder = tmp_path / "targets"
    folder.mkdir()
    (folder / "a.json").write_text(groups("a"))
    files = watch(folder / "*.json")
    files.look()

    folder.rename(tmp_path / "elsewhere")
    away = [settled(files), settled(files)][-1]
    (tmp_path / "elsewhere").rename(folder)
    back = files.look()

    assert hosts(away) == ["a"]
    assert [reading.ok for reading in away] == [False, False]
    assert "the folder cannot be listed: No such file or directory" in away[0].problem
    assert hosts(back) == ["a"]
    assert [reading.ok for reading in back] == [True]


def test_a_pattern_that_matches_nothing_is_no_fault(tmp_path: Path) -> None:
    assert watch(tmp_path / "*.json").look() == ()


def test_a_file_that_two_patterns_match_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(groups("a"))

    files = watch(tmp_path / "*.json", tmp_path / "a.*")
    files.look()
    (tmp_path / "a.json").write_text(groups("b"))

    assert hosts(files.look()) == ["a"]
    assert hosts(files.look()) == ["b"]


def test_a_pattern_with_two_stars_looks_into_folders(tmp_path: Path) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "y" / "a.json").write_text(groups("a"))

    assert hosts(watch(tmp_path / "**" / "*.json").look()) == ["a"]


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    (tmp_path / "b.json").mkdir()

    readings = watch(tmp_path / "*.json").look()

    assert [reading.problem for reading in readings] == ["this is not a regular file"] * 2


def test_a_file_that_becomes_something_else_keeps_its_last_good_targets(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(groups("a"))
    files = watch(path)
    files.look()

    path.unlink()
    path.mkdir()

    assert hosts(settled(files)) == ["a"]


def test_a_path_through_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")

    (reading,) = watch(tmp_path / "a" / "b.json").look()

    assert reading.problem == "this file cannot be read: Not a directory"


def test_a_dangling_symlink_is_as_good_as_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to("nowhere")

    assert watch(tmp_path / "*.json").look() == ()


def test_a_huge_file_keeps_the_last_good_targets_until_it_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(groups("a"))
    files = watch(path)
    files.look()

    os.truncate(path, MAX_BYTES + 1)
    (huge,) = settled(files)
    path.write_text(groups("b"))
    (small,) = settled(files)

    assert hosts((huge,)) == ["a"]
    assert "larger than the 67108864 bytes" in huge.problem
    assert hosts((small,)) == ["b"]


def test_of_too_many_files_the_first_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_sd, "_MAX_FILES", 2)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.json").write_text(groups(name))

    readings = watch(tmp_path / "*.json").look()

    assert hosts(readings) == ["a", "b"]
    assert readings[-1].problem == "it matches 3 files; the first 2 are read"


def test_a_file_that_did_not_change_is_known_to_be_current(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(groups("a"))
    clock = FakeClock()
    files = FileWatch([path], KNOWN, clock, {})
    first = files.look()[0]

    clock.jump_wall(timedelta(seconds=60))
    same = files.look()[0]
    path.touch()
    files.look()
    clock.jump_wall(timedelta(seconds=60))
    touched = files.look()[0]

    assert first.last_success_at is not None
    assert same.last_success_at == first.last_success_at + timedelta(seconds=60)
    assert touched.last_success_at == first.last_success_at + timedelta(seconds=120)
    assert touched.targets is first.targets


def test_what_was_last_good_before_a_reload_stays_while_the_file_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(groups("a"))
    before = watch(path)
    before.look()
    path.write_text("[")

    after = watch(path, last_good=dict(before.last_good))
    (reading,) = after.look()

    assert hosts((reading,)) == ["a"]
    assert not reading.ok
    assert reading.last_success_at == before.last_good[str(path)].at


def test_what_was_last_good_before_a_reload_is_judged_by_the_new_names(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    body = json.dumps([{"targets": ["a:1"], "labels": {"trust_stores": "fw-1"}}]).encode()
    path.write_text("[")
    handed = {str(path): Handed(body=body, at=FakeClock().now())}

    (reading,) = watch(path, last_good=handed).look()

    assert reading.targets == ()
    assert reading.dropped_count == 1


def test_what_can_no_longer_be_used_after_a_reload_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[")
    handed = {str(path): Handed(body=b"no longer", at=FakeClock().now())}

    (reading,) = watch(path, last_good=handed).look()

    assert reading.targets == ()
