"""What is special about nginx, with a real one."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.gateway.agent.driver import DriverError
from exporter.gateway.agent.drivers import make_driver
from exporter.gateway.agent.drivers.nginx.driver import NginxDriver, Options
from exporter.gateway.agent.processes import process
from exporter.gateway.messages import DebugLevel
from tests import daemons
from tests.daemons import free_port, wait_until
from tests.gateway.agent.real.conftest import Run
from tests.gateway.agent.real.stand import Authority, address, fingerprint, leaf_at
from tests.gateway.agent.real.terminators import Real, nginx

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture
def real(run: Run) -> Real:
    return run(nginx)


def options_of(real: Real) -> Options:
    assert real.section.nginx is not None
    return real.section.nginx


def edit(real: Real, old: str, new: str) -> None:
    config = real.folder / "nginx.conf"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))


async def test_a_server_of_stream_is_served_checked_and_rehearsed_as_well(
    run: Run, new: Authority
) -> None:
    real = run(partial(nginx, context="stream"))
    driver, leaf = real.driver(), new.leaf()
    folder = real.versions.add(leaf)

    await driver.check(folder)
    async with driver.rehearse(folder, address(0)) as where:
        assert leaf_at(where.port) == fingerprint(leaf)
    await driver.apply(real.versions.switch(folder), same_key_kind=True)

    assert leaf_at(real.port) == fingerprint(leaf)


async def test_a_reload_that_nginx_refuses_is_an_error_although_it_answers_zero(
    real: Real, new: Authority
) -> None:
    """A new port that is in use: ``-t`` and ``-s reload`` both answer 0."""
    served = leaf_at(real.port)
    folder = real.versions.switch(real.versions.add(new.leaf()))
    with daemons.s_server(real.folder / "other", port := free_port(), "-nocert"):
        listen = f"listen 127.0.0.1:{real.port} ssl;"
        edit(real, listen, f"{listen} listen 127.0.0.1:{port};")

        with pytest.raises(DriverError, match=rf"goes on as it was: bind.*{port} failed"):
            await real.driver().apply(folder, same_key_kind=True)

    assert leaf_at(real.port) == served


async def test_a_pair_that_got_past_the_check_is_refused_by_the_reload(
    real: Real, new: Authority
) -> None:
    served = leaf_at(real.port)
    folder = real.versions.switch(real.versions.add(new.leaf(), key=new.leaf().key_pem))

    with pytest.raises(DriverError, match=r"nginx -s reload: .*key values mismatch"):
        await real.driver().apply(folder, same_key_kind=True)

    assert leaf_at(real.port) == served


async def test_a_fault_in_the_operators_own_file_is_told_with_its_place(
    real: Real, new: Authority
) -> None:
    config = real.folder / "nginx.conf"
    config.write_text(config.read_text() + "bogus on;\n")

    with pytest.raises(DriverError, match=rf'unknown directive "bogus" in {config}:'):
        await real.driver().check(real.versions.add(new.leaf()))


def is_running(pid: int) -> bool:
    found = process(pid)
    return found is not None and found.is_running


async def test_a_stopped_nginx_is_not_alive_and_a_reload_of_it_ends_in_time(
    real: Real, new: Authority
) -> None:
    options = options_of(real).model_copy(update={"timeout": 0.5})
    driver = NginxDriver(options, real.versions.tools)
    folder = real.versions.switch(real.versions.add(new.leaf()))
    master = int(options.pid_file.read_text())
    os.kill(master, signal.SIGSTOP)
    try:
        wait_until(lambda: not is_running(master), what="nginx to be stopped")

        assert not await driver.is_alive()
        with pytest.raises(DriverError, match="did not reload and goes on as it was"):
            await driver.apply(folder, same_key_kind=True)
    finally:
        os.kill(master, signal.SIGCONT)


async def test_a_pid_file_that_names_another_program_is_not_believed(real: Real) -> None:
    pid_file = options_of(real).pid_file
    own = pid_file.read_text()
    pid_file.write_text(str(os.getppid()))
    try:
        assert not await real.driver().is_alive()
    finally:
        pid_file.write_text(own)


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("access_log {}/own.log;", "has an access_log of its own, which wins"),
        ("error_log {}/own.log;", "has an error_log of its own, which wins"),
    ],
)
async def test_a_server_that_logs_by_itself_is_named_before_anything_is_changed(
    real: Real, log: str, sentence: str
) -> None:
    edit(real, "ssl_protocols", f"{log.format(real.folder)} ssl_protocols")

    with pytest.raises(DriverError, match=sentence):
        await real.driver().log_handshakes(DebugLevel.NORMAL, on=True)

    assert list((real.folder / "include").iterdir()) == []


async def test_an_error_log_beside_ours_would_count_twice_and_is_named(real: Real) -> None:
    edit(real, "http {", f"http {{ error_log {real.folder}/error.log info;")

    with pytest.raises(DriverError, match="each failure would be logged twice"):
        await real.driver().log_handshakes(DebugLevel.NORMAL, on=True)


async def test_a_configuration_without_our_file_is_told_what_to_include(real: Real) -> None:
    edit(real, f"include {real.folder}/include/http*.conf;", "")

    with pytest.raises(DriverError, match=r"put 'include .*/include/http\*\.conf;' into it"):
        await real.driver().log_handshakes(DebugLevel.NORMAL, on=True)


async def test_without_a_folder_for_it_handshakes_are_not_logged_and_that_is_said(
    real: Real,
) -> None:
    options = options_of(real).model_copy(update={"handshake_include": None})
    driver = NginxDriver(options, real.versions.tools)

    await driver.log_handshakes(DebugLevel.NORMAL, on=False)
    with pytest.raises(DriverError, match="handshake_include is not set"):
        await driver.log_handshakes(DebugLevel.NORMAL, on=True)


async def test_a_reload_that_fails_leaves_the_log_settings_as_they_were(
    real: Real, tmp_path: Path
) -> None:
    options = options_of(real).model_copy(update={"handshakes_log": tmp_path / "no/tls.log"})
    driver = NginxDriver(options, real.versions.tools)

    with pytest.raises(DriverError, match=r"no/tls\.log.*No such file"):
        await driver.log_handshakes(DebugLevel.NORMAL, on=True)

    assert list((real.folder / "include").iterdir()) == []


async def test_an_error_log_that_is_no_file_needs_the_setting(real: Real) -> None:
    edit(real, f"error_log {real.folder}/error.log error;", "error_log stderr error;")

    with pytest.raises(DriverError, match=r"set terminator\.nginx\.error_log"):
        await real.driver().log_handshakes(DebugLevel.NORMAL, on=True)


async def test_no_request_head_is_logged_at_the_verbose_level(
    real: Real, old: Authority, tmp_path: Path
) -> None:
    """nginx's own level ``debug`` writes all of it, Authorization included."""
    await real.driver().log_handshakes(DebugLevel.VERBOSE, on=True)
    client = real.client(old.store(tmp_path))
    client.words = client.words.replace("Host:", "Authorization: Bearer let-me-in\r\nHost:")

    def has_told_its_steps() -> bool:
        # a worker from before the reload may take some connections yet, and logs less
        assert "200 OK" in client.connect("-tls1_3", "-quiet")
        return b"SSL_do_handshake" in real.logged()

    wait_until(has_told_its_steps, what="the steps of a handshake")
    assert b"let-me-in" not in real.logged()
    await real.driver().log_handshakes(DebugLevel.NORMAL, on=False)


def test_a_program_that_is_not_there_is_a_fault_of_the_configuration(real: Real) -> None:
    section = real.section.model_copy(
        update={"nginx": options_of(real).model_copy(update={"binary": "no-such-nginx"})}
    )

    with pytest.raises(ConfigError, match=r"terminator.nginx.binary: there is no program"):
        make_driver(section, real.versions.tools)
