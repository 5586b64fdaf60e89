"""What is special about HAProxy, with a real one."""

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from pydantic import ValidationError

from exporter.gateway.agent.driver import DriverError, Place, Tools
from exporter.gateway.agent.drivers.haproxy import control
from exporter.gateway.agent.drivers.haproxy.driver import COMBINED, HaproxyDriver, Options
from exporter.gateway.messages import DebugLevel
from tests import daemons
from tests.daemons import free_port
from tests.gateway.agent.real.conftest import Run
from tests.gateway.agent.real.stand import Authority, address, fingerprint, leaf_at
from tests.gateway.agent.real.terminators import Real, haproxy
from tests.pki import Issued

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture
def real(run: Run) -> Real:
    return run(haproxy)


def options_of(real: Real, **changes: object) -> Options:
    assert real.section.haproxy is not None
    return real.section.haproxy.model_copy(update=changes)


def control_socket(real: Real) -> Path:
    path = options_of(real).control_socket
    assert path is not None
    return path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


async def test_what_it_holds_is_told_by_our_name_for_it(real: Real, new: Authority) -> None:
    driver, leaf = real.driver(), new.leaf()
    assert await driver.in_memory() == leaf_at(real.port)

    await driver.apply(real.versions.switch(real.versions.add(leaf)), same_key_kind=True)

    assert await driver.in_memory() == fingerprint(leaf)


async def test_a_certificate_of_somebody_else_is_told_as_unknown(
    real: Real, new: Authority, tmp_path: Path
) -> None:
    driver = real.driver()
    pair = new.leaf()
    foreign = control.Control(control_socket(real), "control socket", real.versions.tools.clock)

    await control.replace_certificate(
        foreign,
        f"{real.versions.current}/{COMBINED}",
        (pair.pem + pair.key_pem).decode(),
    )

    assert leaf_at(real.port) == fingerprint(pair)
    assert await driver.in_memory() is None


async def test_a_certificate_that_no_bind_line_uses_is_told(real: Real, tmp_path: Path) -> None:
    elsewhere = Tools(
        place=Place(current=tmp_path / "other", scratch=tmp_path), clock=real.versions.tools.clock
    )

    with pytest.raises(DriverError, match=r"holds no certificate .*/other/haproxy\.pem"):
        await HaproxyDriver(options_of(real), elsewhere).in_memory()


async def test_without_a_file_for_it_handshakes_are_not_logged_and_that_is_said(
    real: Real,
) -> None:
    driver = HaproxyDriver(options_of(real, handshake_include=None), real.versions.tools)

    await driver.log_handshakes(DebugLevel.NORMAL, on=False)
    with pytest.raises(DriverError, match="handshake_include is not set"):
        await driver.log_handshakes(DebugLevel.NORMAL, on=True)


async def test_memory_and_disk_are_apart_where_only_the_symlink_was_swapped(
    real: Real, new: Authority
) -> None:
    before = leaf_at(real.port)
    real.versions.switch(real.versions.add(new.leaf()))

    assert await real.driver().in_memory() == before


async def test_what_a_killed_agent_left_of_a_transaction_is_aborted(
    real: Real, new: Authority
) -> None:
    half = new.leaf()
    held = control.Control(control_socket(real), "control socket", real.versions.tools.clock)
    name = f"{real.versions.current}/{COMBINED}"
    await held.order(f"set ssl cert {name}", (half.pem + half.key_pem).decode())
    leaf = new.leaf()

    await real.driver().apply(real.versions.switch(real.versions.add(leaf)), same_key_kind=True)

    assert leaf_at(real.port) == fingerprint(leaf)
    assert f"*{name}" not in await held.show("show ssl cert")


async def test_a_refused_pair_is_aborted_and_told_without_a_line_of_the_key(
    real: Real, new: Authority
) -> None:
    served = leaf_at(real.port)
    other = new.leaf()
    folder = real.versions.switch(real.versions.add(new.leaf(), key=other.key_pem))

    with pytest.raises(DriverError, match="inconsistencies between private key") as refused:
        await real.driver().apply(folder, same_key_kind=True)

    assert leaf_at(real.port) == served
    for line in other.key_pem.decode().splitlines():
        assert line not in str(refused.value)
    held = control.Control(control_socket(real), "control socket", real.versions.tools.clock)
    assert "*" not in await held.show("show ssl cert")


async def test_a_chain_that_is_too_long_for_the_socket_says_which_setting_it_is(
    real: Real, new: Authority
) -> None:
    served = leaf_at(real.port)
    folder = real.versions.switch(real.versions.add(new.leaf(), *[new.ca] * 40))

    with pytest.raises(DriverError, match=r"takes no more at once than its tune.bufsize"):
        await real.driver().apply(folder, same_key_kind=True)

    assert leaf_at(real.port) == served


async def test_a_long_chain_is_served_by_a_reload(run: Run, new: Authority) -> None:
    real = run(partial(haproxy, apply="reload"))
    leaf = new.leaf()

    await real.driver().apply(
        real.versions.switch(real.versions.add(leaf, *[new.ca] * 40)), same_key_kind=True
    )

    assert leaf_at(real.port) == fingerprint(leaf)


@pytest.fixture
def silent_socket(tmp_path: Path) -> Iterator[Path]:
    """A control socket at which nobody takes the connections that the kernel makes."""
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield path


async def test_a_control_socket_that_hangs_is_told_in_time(
    real: Real, new: Authority, silent_socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_ANSWER_S", 0.2)
    driver = HaproxyDriver(options_of(real, control_socket=silent_socket), real.versions.tools)
    folder = real.versions.switch(real.versions.add(new.leaf()))

    assert not await driver.is_alive()
    with pytest.raises(DriverError, match=r"control socket .* did not answer within 0.2 s"):
        await driver.apply(folder, same_key_kind=True)


async def test_a_reload_that_fails_is_told_with_the_reason_and_the_old_worker_serves(
    run: Run, new: Authority
) -> None:
    real = run(partial(haproxy, apply="reload"))
    served = leaf_at(real.port)
    folder = real.versions.switch(real.versions.add(new.leaf(), key=new.leaf().key_pem))

    with pytest.raises(DriverError, match=r"goes on as it was: .*inconsistencies between"):
        await real.driver().apply(folder, same_key_kind=True)

    assert leaf_at(real.port) == served


async def test_a_reload_fails_by_a_port_in_use_although_the_check_passes(
    run: Run, new: Authority
) -> None:
    real = run(partial(haproxy, apply="reload"))
    served = leaf_at(real.port)
    driver = real.driver()
    folder = real.versions.add(new.leaf())
    with daemons.s_server(real.folder / "other", port := free_port(), "-nocert"):
        gateway = real.folder / "2-gateway.cfg"
        edit(gateway, "  mode http\n", f"  mode http\n  bind 127.0.0.1:{port}\n")

        await driver.check(folder)
        with pytest.raises(DriverError, match=r"goes on as it was: .*its own log"):
            await driver.apply(real.versions.switch(folder), same_key_kind=True)

    assert leaf_at(real.port) == served


async def test_with_the_masters_socket_alone_it_is_asked_as_well(run: Run, new: Authority) -> None:
    real = run(partial(haproxy, apply="reload"))
    driver = HaproxyDriver(options_of(real, control_socket=None), real.versions.tools)
    leaf = new.leaf()

    await driver.apply(real.versions.switch(real.versions.add(leaf)), same_key_kind=True)

    assert await driver.is_alive()
    assert await driver.in_memory() == fingerprint(leaf)


async def test_a_certificate_in_a_list_is_checked_applied_and_rehearsed(
    run: Run, new: Authority, tmp_path: Path
) -> None:
    crt_list = tmp_path / "list.txt"
    real = run(partial(haproxy, crt_list=crt_list))
    driver, leaf = real.driver(), new.leaf()
    bad = real.versions.add(new.leaf(), key=new.leaf().key_pem)
    folder = real.versions.add(leaf)

    with pytest.raises(DriverError, match="inconsistencies between private key"):
        await driver.check(bad)
    await driver.check(folder)
    async with driver.rehearse(folder, address(0)) as where:
        assert leaf_at(where.port) == fingerprint(leaf)
    await driver.apply(real.versions.switch(folder), same_key_kind=True)

    assert leaf_at(real.port) == fingerprint(leaf)


@pytest.mark.parametrize("line", ["option httplog", 'log-format "%ci"'])
async def test_a_frontend_with_a_format_of_its_own_is_named_before_anything_is_changed(
    real: Real, line: str
) -> None:
    edit(real.folder / "2-gateway.cfg", "  mode http\n", f"  mode http\n  {line}\n")
    before = (real.folder / "1-defaults.cfg").read_bytes()

    with pytest.raises(DriverError, match=r"'frontend gateway' has .* which wins"):
        await real.driver().log_handshakes(DebugLevel.NORMAL, on=True)

    assert (real.folder / "1-defaults.cfg").read_bytes() == before


async def test_formats_are_put_into_a_defaults_section_only(real: Real) -> None:
    gateway = real.folder / "2-gateway.cfg"
    driver = HaproxyDriver(options_of(real, handshake_include=gateway), real.versions.tools)

    with pytest.raises(DriverError, match=r"must be a defaults section.*it is frontend"):
        await driver.log_handshakes(DebugLevel.NORMAL, on=True)


async def test_without_the_masters_socket_the_formats_stay_and_that_is_said(real: Real) -> None:
    defaults = real.folder / "1-defaults.cfg"
    before = defaults.read_bytes()
    driver = HaproxyDriver(options_of(real, master_socket=None), real.versions.tools)

    with pytest.raises(DriverError, match=r"set terminator\.haproxy\.master_socket"):
        await driver.log_handshakes(DebugLevel.NORMAL, on=True)

    assert defaults.read_bytes() == before


@pytest.mark.parametrize("how", ["runtime", "reload"])
def test_each_way_to_apply_needs_its_socket(how: str) -> None:
    text = f'{{"addresses": ["127.0.0.1:1"], "apply": "{how}"}}'

    with pytest.raises(ValidationError, match=f"apply: {how} needs"):
        Options.model_validate_json(text)


def test_chain_and_key_come_in_one_file(real: Real, new: Authority) -> None:
    pair: Issued = new.leaf()

    files = real.driver().further_files(pair.pem, pair.key_pem)

    assert files == {COMBINED: pair.pem + pair.key_pem}
