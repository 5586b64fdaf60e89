import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from exporter.clock import SystemClock
from tests.drill.guarded import GuardedFleet
from tests.drill.light import SETTING, run_light
from tests.drill.scenarios import SCENARIOS, until_known
from tests.drill.standing import light_fleet

pytestmark = pytest.mark.timeout(180)


# In the ordinary run with Prometheus and Alertmanager, in test_rollback.py
_FOR_THE_CAMPAIGN = {"not-back"}
ONES = [
    name
    for name in SCENARIOS
    if name != "undone" and ("FLEET_TLS_CAMPAIGN" in os.environ or name not in _FOR_THE_CAMPAIGN)
]


@pytest.mark.parametrize("name", ONES)
async def test_each_outage_ends_as_it_must(name: str, tmp_path: Path) -> None:
    await run_light(tmp_path, SCENARIOS[name])


# Forged lines


@contextmanager
def standard_input() -> Iterator[int]:
    """A pipe as our standard input; what is written into its other end comes from nobody knows."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        try:
            with patch("sys.stdin", SimpleNamespace(buffer=stream)):
                yield writing
        finally:
            os.close(writing)


def refusals(fleet: GuardedFleet) -> bytes:
    """Every device refuses the gateway in a moment, as mosquitto tells of it."""
    at = int(fleet.clock.now().timestamp()) + 1
    return "".join(
        f"{at}: Client connection from {device.address} failed:"
        " error:0A000418:SSL routines::tlsv1 alert unknown ca.\n"
        for device in fleet.devices
    ).encode()


async def all_fail(fleet: GuardedFleet) -> bool:
    text = await fleet.metrics()
    return text.count("fleet_tls_device_failing{") == fleet.setting.count


async def is_asked_no_more(fleet: GuardedFleet) -> bool:
    return 'fleet_tls_remediation_refused{gateway="gw-1"} 0' in await fleet.metrics()


async def test_forged_lines_are_shown_and_are_no_witness_where_real_ones_would_be(
    tmp_path: Path,
) -> None:
    with standard_input() as forged:
        async with light_fleet(tmp_path, replace(SETTING, has_stdin=True)) as fleet:
            await until_known(fleet)
            await fleet.rotate(fleet.authorities.old_intermediate, "none")  # a good renewal
            renewed_at, names = SystemClock().now(), {one.name for one in fleet.devices}
            await fleet.until(lambda: fleet.connected(renewed_at) == names, "all on the new one")
            for name in names:
                fleet.switch_off(name)  # no word of their own against it
            before = fleet.on_disk(), await fleet.served()

            os.write(forged, refusals(fleet))
            await fleet.until(lambda: all_fail(fleet), "the lines to be shown")
            await fleet.ask()  # with the true token
            decision = await fleet.until(lambda: fleet.journal("decision"), "a decision")
            told = await fleet.want_rollback()
            after = fleet.on_disk(), await fleet.served()
            intents = await fleet.journal("intent")
            # Else what looks again while it fires may act on the true lines before we ask
            await fleet.ask(status="resolved")
            await fleet.until(lambda: is_asked_no_more(fleet), "the alert to be over")
            with fleet.layout.gateway_log.open("ab") as log:
                log.write(refusals(fleet))
            real = await fleet.until(
                lambda: _with_witnesses(fleet), "the same lines in a file that we read ourselves"
            )

    assert decision[0]["facts"]["outcome"] == "refused"
    assert (told["outcome"], told["witnesses"]) == ("refused", [])
    assert "too_few_witnesses" in told["refusals"]
    assert intents == []
    assert after == before
    assert real["outcome"] == "would_rollback"
    assert len(real["witnesses"]) == len(names)


async def _with_witnesses(fleet: GuardedFleet) -> Any:
    told = await fleet.want_rollback()
    return told if len(told["witnesses"]) == fleet.setting.count else None
