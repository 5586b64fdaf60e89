"""What every driver does, each with its real terminator."""

import asyncio
from pathlib import Path

import pytest

from exporter.gateway.agent.driver import DriverError
from exporter.gateway.messages import DebugLevel
from exporter.observations import HandshakeRecord, Reason, ToldBy
from tests.daemons import is_listening, wait_until
from tests.gateway.agent.real.stand import Authority, address, fingerprint, is_refused, leaf_at
from tests.gateway.agent.real.terminators import Real
from tests.handshake_log.records import handshakes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


def files_of(folder: Path) -> dict[Path, bytes]:
    """All that is in a folder, but for what a terminator writes by itself."""
    return {
        path: path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in {".conf", ".cfg", ".pem"}
    }


async def test_versions_are_served_one_after_the_other_and_back(
    real: Real, old: Authority, new: Authority
) -> None:
    driver, first = real.driver(), real.versions.current.resolve()
    assert await driver.is_alive()
    leaf = new.leaf()
    second = real.versions.add(leaf)

    await driver.check(second)
    await driver.apply(real.versions.switch(second), same_key_kind=True)
    wait_until(lambda: leaf_at(real.port) == fingerprint(leaf), what="the new leaf")
    await driver.check(first)
    await driver.apply(real.versions.switch(first), same_key_kind=True)

    wait_until(
        lambda: leaf_at(real.port) not in {None, fingerprint(leaf)}, what="the old leaf again"
    )
    assert await driver.is_alive()


async def test_a_key_of_another_kind_is_served_to_everybody(real: Real, new: Authority) -> None:
    leaf = new.leaf("RSA 2048")
    folder = real.versions.add(leaf)
    driver = real.driver()

    await driver.check(folder)
    await driver.apply(real.versions.switch(folder), same_key_kind=False)

    assert leaf_at(real.port) == fingerprint(leaf)
    assert leaf_at(real.port, ciphers="ECDHE-RSA-AES128-GCM-SHA256") == fingerprint(leaf)
    assert leaf_at(real.port, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256") is None


async def test_a_check_refuses_a_pair_that_does_not_match_and_changes_nothing(
    real: Real, new: Authority
) -> None:
    before, served = files_of(real.folder), leaf_at(real.port)
    folder = real.versions.add(new.leaf(), key=new.leaf().key_pem)

    with pytest.raises(DriverError, match=r"key values mismatch|inconsistencies between private"):
        await real.driver().check(folder)

    assert files_of(real.folder) == before
    assert leaf_at(real.port) == served


async def test_a_check_lets_a_good_version_pass_and_changes_nothing(
    real: Real, new: Authority
) -> None:
    before, served = files_of(real.folder), leaf_at(real.port)

    await real.driver().check(real.versions.add(new.leaf(), new.ca))

    assert files_of(real.folder) == before
    assert leaf_at(real.port) == served


async def test_a_configuration_that_names_another_certificate_is_refused(
    real: Real, new: Authority
) -> None:
    folder = real.versions.add(new.leaf())
    for path in files_of(real.folder):
        path.write_text(path.read_text().replace("/current/", "/versions/1/"))

    with pytest.raises(DriverError, match=r"does not name .*/current/"):
        await real.driver().check(folder)


async def test_a_fault_in_the_operators_configuration_is_told(real: Real, new: Authority) -> None:
    path = max(files_of(real.folder))
    path.write_text(f"{path.read_text()}\nbogus on;\n")

    with pytest.raises(DriverError, match="bogus"):
        await real.driver().check(real.versions.add(new.leaf()))


async def test_a_dead_terminator_is_not_alive_and_takes_nothing_on(
    real: Real, new: Authority
) -> None:
    driver = real.driver()
    folder = real.versions.switch(real.versions.add(new.leaf()))
    real.stop()

    assert not await driver.is_alive()
    with pytest.raises(DriverError, match=r"does not run|does not answer"):
        await driver.apply(folder, same_key_kind=True)


async def test_a_driver_works_on_while_the_configuration_cannot_be_read(real: Real) -> None:
    driver = real.driver()
    for path in files_of(real.folder):
        path.unlink()

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(driver.run())
        await asyncio.wait([running], timeout=0.3)
        assert not running.done()
        running.cancel()


async def test_a_rehearsal_serves_elsewhere_and_leaves_nothing(real: Real, new: Authority) -> None:
    before, served, leaf = files_of(real.folder), leaf_at(real.port), new.leaf()
    folder = real.versions.add(leaf)

    async with real.driver().rehearse(folder, address(0)) as where:
        assert leaf_at(where.port) == fingerprint(leaf)
        assert leaf_at(real.port) == served

    assert not is_listening(where.port)
    assert leaf_at(real.port) == served
    assert files_of(real.folder) == before


async def test_a_rehearsal_that_cannot_begin_says_why(real: Real, new: Authority) -> None:
    driver = real.driver()
    mismatched = real.versions.add(new.leaf(), key=new.leaf().key_pem)

    with pytest.raises(DriverError, match=r"key values mismatch|inconsistencies between private"):
        async with driver.rehearse(mismatched, address(0)):
            pytest.fail("it must not begin")
    with pytest.raises(DriverError, match=rf"127.0.0.1:{real.port}: .*in use"):
        async with driver.rehearse(real.versions.add(new.leaf()), address(real.port)):
            pytest.fail("it must not begin")


def known(real: Real) -> list[HandshakeRecord]:
    """The handshakes in the logs that are told with a reason, or as good."""
    return [
        record
        for record in handshakes(real.logged())
        if record.success or record.reason is Reason.UNKNOWN_CA
    ]


@pytest.mark.parametrize("level", list(DebugLevel))
async def test_handshakes_are_logged_while_it_is_on_and_as_before_afterwards(
    real: Real, old: Authority, new: Authority, level: DebugLevel, tmp_path: Path
) -> None:
    driver, before = real.driver(), files_of(real.folder)
    good, bad = real.client(old.store(tmp_path)), real.client(new.store(tmp_path))

    def one_of_each() -> None:
        assert is_refused(bad.connect("-tls1_2"))
        assert is_refused(bad.connect("-tls1_3"))
        assert not is_refused(good.connect("-tls1_3"))

    one_of_each()
    assert known(real) == []

    await driver.log_handshakes(level, on=True)
    one_of_each()
    wait_until(lambda: len(known(real)) >= 3, what="three handshakes in the log")
    told = known(real)
    assert [r.rejected_by for r in told if r.failure] == [ToldBy.PEER] * 2
    assert [r.failure for r in told].count(False) == 1

    await driver.log_handshakes(level, on=False)
    one_of_each()
    assert files_of(real.folder) == before
    await driver.check(real.versions.add(old.leaf()))  # gives it time to write
    assert len(known(real)) == 3


async def test_what_is_served_stays_while_logging_is_switched(real: Real) -> None:
    driver, served = real.driver(), leaf_at(real.port)

    await driver.log_handshakes(DebugLevel.VERBOSE, on=True)
    assert leaf_at(real.port) == served
    await driver.log_handshakes(DebugLevel.NORMAL, on=False)

    assert leaf_at(real.port) == served
