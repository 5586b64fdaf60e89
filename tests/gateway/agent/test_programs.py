"""Programs that drivers run, what the kernel tells of processes, and rehearsals' leftovers."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from exporter.clock import SystemClock
from exporter.gateway.agent.driver import Address, DriverError
from exporter.gateway.agent.drivers.nginx.driver import Options as NginxOptions
from exporter.gateway.agent.processes import (
    children_of,
    is_listening,
    listens,
    process,
    process_of,
)
from exporter.gateway.agent.programs import MAX_SENTENCE, cut, run, running
from exporter.gateway.agent.rehearsing import end_leftovers, settled
from exporter.gateway.agent.terminator import (
    LogTail,
    free_port,
    leaf_in,
    own_text,
    put,
    read_configuration,
    rewrite,
    until,
    write_whole,
)
from tests.daemons import wait_until

PYTHON = sys.executable
SLEEPER = "import time; print('up', flush=True); time.sleep(600)"


async def test_a_program_ends_with_its_status_and_its_words() -> None:
    outcome = await run(("sh", "-c", "echo one; echo two >&2; exit 3"), within_s=30)

    assert outcome.code == 3
    assert outcome.text == "one\ntwo\n"


async def test_of_many_words_the_end_is_kept() -> None:
    outcome = await run((PYTHON, "-c", "print('x' * 10**6); print('end')"), within_s=30)

    assert outcome.text.endswith("xx\nend\n")
    assert len(outcome.text) <= 16_384


async def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(DriverError, match="/no/such/program cannot be run: No such file"):
        await run(("/no/such/program",), within_s=1)


async def test_a_program_that_hangs_is_ended_with_its_children() -> None:
    script = f'{PYTHON} -c "{SLEEPER}" & echo $!; wait'

    async with running(("sh", "-c", script), cwd=Path("/")) as child:
        # the one may be said before the other
        await until(lambda: len(child.text.split()) == 2, within_s=30, clock=SystemClock())
        (grandchild,) = [int(word) for word in child.text.split() if word != "up"]
        assert process(grandchild) is not None

    wait_until(lambda: process(grandchild) is None, what="the grandchild to end")
    assert process(child.pid) is None
    with pytest.raises(DriverError, match=r"did not end within 0.2 s; it was ended"):
        await run((PYTHON, "-c", SLEEPER), within_s=0.2)


async def test_a_program_that_leaves_a_daemon_with_its_pipe_is_not_waited_for() -> None:
    script = f'setsid {PYTHON} -c "{SLEEPER}" & echo $!'

    outcome = await run(("sh", "-c", script), within_s=30)

    assert outcome.code == 0
    os.kill(int(outcome.text.split()[0]), 9)


async def test_a_program_that_ignores_the_polite_signal_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("exporter.gateway.agent.programs._PATIENCE_S", 0.2)
    stubborn = f"import signal; signal.signal(15, signal.SIG_IGN); {SLEEPER}"

    async with running((PYTHON, "-c", stubborn), cwd=Path("/")) as child:
        await until(lambda: "up" in child.text, within_s=30, clock=SystemClock())

    assert process(child.pid) is None


async def test_a_cancelled_call_leaves_no_program_behind() -> None:
    seen: list[int] = []

    async def work() -> None:
        async with running((PYTHON, "-c", SLEEPER), cwd=Path("/")) as child:
            seen.append(child.pid)
            await asyncio.get_running_loop().create_future()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work())
        await until(lambda: bool(seen), within_s=30, clock=SystemClock())
        task.cancel()

    assert process(seen[0]) is None


def test_a_sentence_is_one_line_and_no_longer_than_can_be_read() -> None:
    assert cut("a\n  b\t c\n") == "a b c"
    assert len(cut("x" * 10_000)) == MAX_SENTENCE + 1


def test_a_process_is_told_by_its_parent_and_its_command() -> None:
    with subprocess.Popen([PYTHON, "-c", SLEEPER], stdout=subprocess.PIPE) as child:
        try:
            wait_until(
                lambda: "time.sleep(600)" in getattr(process(child.pid), "command", ""),
                what="the program to run",
            )
            assert child.pid in {found.pid for found in children_of(os.getpid())}
        finally:
            child.kill()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no number"),
        ("x\n", "holds no number"),
        ("4194999\n", "no such process 4194999"),
    ],
)
def test_a_pid_file_that_names_no_process_is_told(
    text: str, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "pid").write_text(text)

    with pytest.raises(DriverError, match=f"nginx does not run: .*{sentence}"):
        process_of(tmp_path / "pid", "nginx")


def test_a_listener_is_told_by_the_kernel_and_by_whose_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert is_listening(port)
        assert listens(os.getpid(), port)
        assert not listens(os.getppid(), port)
    assert not is_listening(port)


def test_a_port_in_use_is_not_rehearsed_at() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address(host="127.0.0.1", port=server.getsockname()[1])

        with pytest.raises(DriverError, match=f"at {address}: its port is in use"):
            settled(address)


ORPHAN = """\
import subprocess, sys
command = [sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]]
null = subprocess.DEVNULL
made = subprocess.Popen(
    command, start_new_session=sys.argv[2] == "apart", stdin=null, stdout=null, stderr=null
)
print(made.pid)
"""


def orphan(path: Path, session: str) -> int:
    """The id of what works on a file for somebody who is gone."""
    made = subprocess.run([PYTHON, "-c", ORPHAN, path, session], capture_output=True, check=True)
    return int(made.stdout)


def test_what_an_agent_that_was_killed_left_running_is_ended(tmp_path: Path) -> None:
    left = orphan(tmp_path / "check" / "it.conf", "apart")

    end_leftovers(tmp_path)

    wait_until(lambda: process(left) is None, what="the leftover to end")


def test_nobody_else_is_ended_with_it(tmp_path: Path) -> None:
    others = [
        orphan(Path(f"{tmp_path}-of-another/it.conf"), "apart"),
        orphan(Path(f"/elsewhere{tmp_path}/it.conf"), "apart"),
        orphan(tmp_path / "it.conf", "a person's own"),
    ]
    command = [PYTHON, "-c", "import time; time.sleep(600)", str(tmp_path / "it.conf")]
    ours = subprocess.Popen(command, start_new_session=True)
    try:
        end_leftovers(tmp_path)

        assert ours.poll() is None
        assert [process(one) is None for one in others] == [False] * 3
    finally:
        for one in (*others, ours.pid):
            os.kill(one, signal.SIGKILL)
        ours.wait()


def test_a_file_is_written_whole_with_its_mode_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    write_whole(path, "one\n", mode=0o644)
    write_whole(path, "two\n")

    assert path.read_text() == "two\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.conf"]
    with pytest.raises(DriverError, match="cannot be written: "):
        write_whole(tmp_path / "no" / "x.conf", "three\n")


def test_another_programs_file_keeps_its_mode_and_the_link_to_it(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("one\n")
    (tmp_path / "real").chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to("real")

    rewrite(link, "two\n")

    assert link.is_symlink()
    assert (tmp_path / "real").read_text() == "two\n"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640
    with pytest.raises(DriverError, match="none cannot be written: No such file"):
        rewrite(tmp_path / "none", "three\n")


def test_a_file_of_ours_is_put_and_taken_away_again(tmp_path: Path) -> None:
    path = tmp_path / "ours.conf"
    assert own_text(path) is None

    put(path, "one\n")
    assert own_text(path) == "one\n"
    assert path.stat().st_mode & 0o777 == 0o644
    put(path, None)
    put(path, None)

    assert own_text(path) is None
    with pytest.raises(DriverError, match=r"cannot be removed: "):
        put(tmp_path, None)
    with pytest.raises(DriverError, match=r"cannot be read: "):
        own_text(tmp_path)


def test_what_cannot_be_used_is_told_by_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_text("no certificate\n")

    with pytest.raises(DriverError, match=r"chain.pem holds no certificate that can be read"):
        leaf_in(tmp_path / "chain.pem")
    with pytest.raises(DriverError, match=r"nothing can listen at 192\.0\.2\.1: "):
        free_port("192.0.2.1")
    with pytest.raises(DriverError, match=r"conf cannot be read: No such file"):
        read_configuration(tmp_path / "conf", "nginx")
    assert LogTail(None).text() == ""
    assert LogTail(tmp_path / "log").text() == ""


def test_a_log_is_read_from_where_it_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")

    tail = LogTail(log)
    with log.open("a") as file:
        file.write("after\n")

    assert tail.text() == "after\n"


def test_a_path_that_another_configuration_would_misread_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be an absolute path of letters"):
        NginxOptions.model_validate_json(
            '{"addresses": ["127.0.0.1:1"], "config": "/etc/x; include /etc/passwd"}'
        )
    with pytest.raises(ValidationError, match="has no host"):
        NginxOptions.model_validate_json('{"addresses": [":443"]}')
