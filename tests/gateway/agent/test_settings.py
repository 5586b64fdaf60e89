"""How much is logged of handshakes, and when that ends by itself."""

from pathlib import Path

from exporter.gateway.agent.settings import _LOOK_EVERY_S
from exporter.gateway.messages import DebugLevel
from tests.gateway.agent.shifted_clock import ShiftedClock
from tests.gateway.agent.stand import embedded, running, until
from tests.gateway.agent.willful import WillfulDriver

LEVEL, HANDSHAKES = "GatewayConfig.tls.debugLevel", "GatewayConfig.tls.logHandshakes"


async def test_verbose_logging_tells_more_and_goes_off_by_itself(tmp_path: Path) -> None:
    clock, driver = ShiftedClock(), WillfulDriver(embedded(tmp_path / "agent"))
    log = tmp_path / "gateway.log"

    async with running(tmp_path, driver=driver, clock=clock, verbose_for="1h") as agent:
        on = await agent.call("PUT", "/gateway/config", {LEVEL: "VERBOSE", HANDSHAKES: True})
        await agent.certificates()  # its look from outside is a handshake
        verbose = log.read_text()
        clock.shift(3_601)

        async def is_over() -> bool:
            return driver.logged[-1] == (DebugLevel.NORMAL, True)

        await until(is_over, "verbose logging to end")
        off = await agent.call("PUT", "/gateway/config", {})
        size = len(log.read_text())
        await agent.certificates()
        usual = log.read_text()[size:]

    assert on.body[LEVEL] == "VERBOSE"
    assert on.body[HANDSHAKES] is True
    assert on.body["verboseUntil"]
    assert "[debug]" in verbose
    assert "SSL_do_handshake: 1" in verbose
    assert off.body == {LEVEL: "NORMAL", HANDSHAKES: True}
    assert "[debug]" not in usual
    assert "status=200" in usual


async def test_a_restart_brings_the_settings_back(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.call("PUT", "/gateway/config", {LEVEL: "VERBOSE"})
    driver = WillfulDriver(embedded(tmp_path / "agent"))

    async with running(tmp_path, driver=driver) as agent:

        async def in_force() -> bool:
            return (DebugLevel.VERBOSE, False) in driver.logged

        await until(in_force, "the settings to be in force again")
        shown = await agent.call("PUT", "/gateway/config", {HANDSHAKES: False})

    assert shown.body[LEVEL] == "VERBOSE"


async def test_what_the_terminator_does_not_take_on_is_told_and_not_kept(tmp_path: Path) -> None:
    clock, driver = ShiftedClock(), WillfulDriver(embedded(tmp_path / "agent"))

    async with running(tmp_path, driver=driver, clock=clock) as agent:
        driver.is_mute = True
        refused = await agent.call("PUT", "/gateway/config", {LEVEL: "VERBOSE"})
        driver.is_mute = False
        looks = clock.slept[_LOOK_EVERY_S]

        async def looked() -> bool:
            return clock.slept[_LOOK_EVERY_S] > looks + 1

        await until(looked, "the settings to be looked after")
        shown = await agent.call("PUT", "/gateway/config", {})

    assert (refused.status, refused.code) == (500, "gateway_failed")
    assert "the log cannot be opened" in refused.message
    assert shown.body[LEVEL] == "NORMAL"
    assert driver.logged[-1] == (DebugLevel.NORMAL, False)


async def test_a_setting_that_is_not_known_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        level = await agent.call("PUT", "/gateway/config", {LEVEL: "LOUD"})
        key = await agent.call("PUT", "/gateway/config", {"GatewayConfig.tls.ciphers": "x"})

    assert (level.status, key.status) == (422, 422)
    assert f"{LEVEL}: Input should be 'VERBOSE' or 'NORMAL'" in level.message
