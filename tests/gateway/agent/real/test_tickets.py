"""What becomes of old session tickets after a change to a CA that the client does not trust.

The drivers' word for it is held to what a resuming ``openssl s_client`` meets.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.gateway.agent.looking import Looker, Thoroughness
from exporter.gateway.agent.proof import leaf_of
from exporter.gateway.messages import DebugLevel, Tickets
from exporter.handshake_log.counts import Event, Tally
from exporter.observations import HandshakeRecord
from tests.daemons import wait_until
from tests.gateway.agent.real.conftest import Run
from tests.gateway.agent.real.stand import (
    Authority,
    fingerprint,
    is_refused,
    is_resumed,
    leaf_at,
)
from tests.gateway.agent.real.terminators import Real, Start, haproxy, mosquitto, nginx
from tests.handshake_log.records import handshakes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

LIFETIME = re.compile(r"ticket lifetime hint: (\d+)")
DROPPED = Tickets(kept=False)


CASES: Mapping[str, tuple[Start, Tickets]] = {
    "nginx http": (nginx, DROPPED),
    "nginx stream": (partial(nginx, context="stream"), DROPPED),
    "nginx with a key file": (
        partial(nginx, more="ssl_session_ticket_key keys; ssl_session_cache shared:s:1m;"),
        DROPPED,
    ),
    "nginx by a variable": (partial(nginx, chosen=True), DROPPED),
    "nginx by a variable, with a key file": (
        partial(nginx, chosen=True, more="ssl_session_ticket_key keys; ssl_session_timeout 1h;"),
        Tickets(kept=True, lifetime_seconds=3_600),
    ),
    "haproxy at run time": (haproxy, Tickets(kept=True, lifetime_seconds=7_200)),
    "haproxy at run time, shorter": (
        partial(haproxy, globally="tune.ssl.lifetime 900"),
        Tickets(kept=True, lifetime_seconds=900),
    ),
    "haproxy by a reload": (partial(haproxy, apply="reload"), DROPPED),
    "haproxy by a reload, with a key file": (
        partial(haproxy, apply="reload", ticket_keys="QUFB" * 16),
        Tickets(kept=True, lifetime_seconds=7_200),
    ),
    "mosquitto by SIGHUP": (mosquitto, Tickets(kept=True, lifetime_seconds=7_200)),
    "mosquitto by a restart": (partial(mosquitto, drop_tickets=True), DROPPED),
}


def successes(real: Real) -> list[HandshakeRecord]:
    """The devices' good handshakes in the logs; ours say nothing and hang up."""
    return [record for record in handshakes(real.logged()) if record.success]


def tally_of(records: Sequence[HandshakeRecord]) -> Tally:
    """What the exporter counts of one device that made these handshakes."""
    tally = Tally()
    for second, record in enumerate(records):
        at = datetime.fromtimestamp(second, UTC)
        tally = tally.after(
            Event(
                gateway="gw-1", device="dev-01", source="log", at=at,
                why=None, is_resumed=record.resumed, is_evidence=True,
            )
        )  # fmt: skip
    return tally


@pytest.mark.parametrize("case", list(CASES))
async def test_an_old_ticket_is_good_or_not_as_the_driver_says_and_looks_are_not_fooled(
    case: str, run: Run, old: Authority, new: Authority, tmp_path: Path
) -> None:
    start, told = CASES[case]
    real = run(start)
    driver, client = real.driver(), real.client(old.store(tmp_path))
    await driver.log_handshakes(DebugLevel.NORMAL, on=True)
    sessions = {version: tmp_path / version for version in ("-tls1_2", "-tls1_3")}
    before = {v: client.connect(v, "-sess_out", path) for v, path in sessions.items()}
    leaf = new.leaf()
    folder = real.versions.add(leaf)

    await driver.check(folder)
    await driver.apply(real.versions.switch(folder), same_key_kind=True)
    looks = await Looker(SystemClock(), Thoroughness()).glance(driver.addresses, "localhost")
    after = {v: client.connect(v, "-sess_in", path) for v, path in sessions.items()}

    assert driver.tickets == told
    if told.kept:
        wait_until(lambda: len(successes(real)) == 4, what="four good handshakes in the log")
        # what is resumed, or may be, proves nothing and is counted apart
        is_told = real.name != "mosquitto"
        assert [one.resumed for one in successes(real)] == (
            [False, False, True, True] if is_told else [None] * 4
        )
        tally = tally_of(successes(real))
        assert (tally.proven_count, tally.resumed_count) == ((2, 2) if is_told else (0, 0))
    assert leaf_of(looks) == fingerprint(leaf) == leaf_at(real.port)
    for version, said in after.items():
        # the devices' own view: it goes on as if nothing had happened, or it notices
        assert is_resumed(said) is told.kept, version
        assert is_refused(said) is not told.kept, version
        if told.kept:
            assert set(LIFETIME.findall(before[version])) == {f"{told.lifetime_seconds:.0f}"}
        # a device that has no ticket, or lost it, is out in either case
        assert is_refused(client.connect(version))
