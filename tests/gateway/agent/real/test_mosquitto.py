"""What is special about mosquitto, with a real one."""

from functools import partial
from pathlib import Path

import pytest
from pydantic import ValidationError

from exporter.gateway.agent.driver import DriverError
from exporter.gateway.agent.drivers.mosquitto.driver import MosquittoDriver, Options
from exporter.gateway.messages import DebugLevel
from tests.daemons import wait_until
from tests.gateway.agent.real.conftest import Run
from tests.gateway.agent.real.stand import Authority, fingerprint, leaf_at
from tests.gateway.agent.real.terminators import Real, mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture
def real(run: Run) -> Real:
    return run(partial(mosquitto, log_type="all"))


def options_of(real: Real, **changes: object) -> Options:
    assert real.section.mosquitto is not None
    return real.section.mosquitto.model_copy(update=changes)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_pair_that_does_not_match_kills_all_handshakes_and_is_told(
    real: Real, new: Authority
) -> None:
    """What the checks before are for; and going back makes it well again."""
    driver, first = real.driver(), real.versions.current.resolve()
    served = leaf_at(real.port)
    # the new chain with the key that is served: OpenSSL drops the key
    own_key = (first / "key.pem").read_bytes()
    folder = real.versions.switch(real.versions.add(new.leaf(), key=own_key))

    with pytest.raises(DriverError, match="did not take it on: Error when reloading certificate"):
        await driver.apply(folder, same_key_kind=True)
    dark = leaf_at(real.port)
    await driver.apply(real.versions.switch(first), same_key_kind=True)

    assert dark in {None, served}
    assert leaf_at(real.port) == served


async def test_a_key_of_another_kind_needs_a_restart_and_without_one_nothing_is_done(
    real: Real, new: Authority
) -> None:
    served = leaf_at(real.port)
    driver = MosquittoDriver(options_of(real, restart=None), real.versions.tools)
    folder = real.versions.add(new.leaf("RSA 2048"))

    with pytest.raises(DriverError, match=r"set terminator\.mosquitto\.restart"):
        await driver.apply(real.versions.switch(folder), same_key_kind=False)

    assert leaf_at(real.port) == served


async def test_why_it_is_a_restart_both_leaves_would_be_served_after_sighup(
    real: Real, new: Authority
) -> None:
    old = leaf_at(real.port)
    leaf = new.leaf("RSA 2048")
    folder = real.versions.switch(real.versions.add(leaf))

    await real.driver().apply(folder, same_key_kind=True)  # the lie

    seen = {
        leaf_at(real.port, ciphers=f"ECDHE-{kind}-AES128-GCM-SHA256") for kind in ("ECDSA", "RSA")
    }
    assert seen == {old, fingerprint(leaf)}


async def test_a_restart_that_fails_is_told_with_the_commands_words(
    real: Real, new: Authority, tmp_path: Path
) -> None:
    script = tmp_path / "restart"
    script.write_text("#!/bin/sh\necho 'Error: unit is masked' >&2\nexit 5\n")
    script.chmod(0o755)
    driver = MosquittoDriver(options_of(real, restart=(str(script),)), real.versions.tools)

    with pytest.raises(DriverError, match=f"{script} ended with 5: Error: unit is masked"):
        await driver.apply(real.versions.current.resolve(), same_key_kind=False)


async def test_a_restart_after_which_nothing_new_runs_is_not_believed(
    real: Real, new: Authority
) -> None:
    options = options_of(real, restart=("true",), timeout=0.3)
    driver = MosquittoDriver(options, real.versions.tools)

    with pytest.raises(DriverError, match="true said that all is well, but mosquitto does not"):
        await driver.apply(real.versions.current.resolve(), same_key_kind=False)


async def test_a_restart_brings_a_dead_one_back(real: Real, new: Authority) -> None:
    """After a restart that failed, the way back is a restart, too."""
    driver, leaf = real.driver(), new.leaf()
    real.stop()

    await driver.apply(real.versions.switch(real.versions.add(leaf)), same_key_kind=False)

    assert leaf_at(real.port) == fingerprint(leaf)


async def test_a_folder_that_is_not_included_is_named_before_anything_is_changed(
    real: Real, tmp_path: Path
) -> None:
    options = options_of(real, handshake_include=tmp_path)
    driver = MosquittoDriver(options, real.versions.tools)
    before = names_in(tmp_path)

    with pytest.raises(DriverError, match=f"has no 'include_dir {tmp_path}'"):
        await driver.log_handshakes(DebugLevel.NORMAL, on=True)

    assert names_in(tmp_path) == before


async def test_without_a_folder_for_it_handshakes_are_not_logged_and_that_is_said(
    real: Real,
) -> None:
    driver = MosquittoDriver(options_of(real, handshake_include=None), real.versions.tools)

    await driver.log_handshakes(DebugLevel.NORMAL, on=False)
    with pytest.raises(DriverError, match="handshake_include is not set"):
        await driver.log_handshakes(DebugLevel.NORMAL, on=True)


async def test_a_configuration_that_it_does_not_read_again_is_told_and_undone(
    real: Real,
) -> None:
    (real.folder / "conf.d/other.conf").write_text("bogus_setting 1\n")

    with pytest.raises(DriverError, match='Unknown configuration variable "bogus_setting"'):
        await real.driver().log_handshakes(DebugLevel.NORMAL, on=True)

    assert names_in(real.folder / "conf.d") == {"other.conf"}


async def test_a_check_starts_neither_bridges_nor_plugins_nor_writes_a_database(
    real: Real, new: Authority, tmp_path: Path
) -> None:
    config = real.folder / "mosquitto.conf"
    config.write_text(
        config.read_text().replace(
            "persistence false\n", f"persistence true\npersistence_location {tmp_path}/\n"
        )
        + "plugin /nonexistent/plugin.so\nplugin_opt_file x\n"
        "connection elsewhere\naddress 127.0.0.1:1\ntopic # out 0\n"
    )
    before = names_in(tmp_path)

    await real.driver().check(real.versions.add(new.leaf()))

    assert names_in(tmp_path) == before


async def test_a_stopped_process_is_not_alive(real: Real) -> None:
    driver = real.driver()
    assert await driver.is_alive()
    pid_file = options_of(real).pid_file
    pid = int(pid_file.read_text())
    real.stop()
    pid_file.write_text(f"{pid}\n")

    assert not await driver.is_alive()
    wait_until(lambda: leaf_at(real.port) is None, what="nobody to answer")


def test_dropping_tickets_needs_the_command_that_does_it() -> None:
    with pytest.raises(ValidationError, match="drop_tickets needs restart"):
        Options.model_validate_json('{"addresses": ["127.0.0.1:1"], "drop_tickets": true}')
