"""From files to metrics, with a real store: what is shown is durable, and faults stop nothing."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from exporter.clock import SystemClock
from exporter.errors import StoreError
from exporter.handshake_log.attribution import Attributor, scan
from exporter.handshake_log.custom import CustomFormat, Outcome
from exporter.handshake_log.identity import Identity
from exporter.handshake_log.options import Options, ReadFrom, Side
from exporter.handshake_log.source import Batch
from exporter.handshake_log.sources import HandshakeLogs
from exporter.observations import Reason
from exporter.store import Store
from exporter.targets.model import Inventory
from tests.handshake_log.reader import inventory, refused

CLOCK = SystemClock()
FAILURES = "fleet_tls_handshake_failures_total"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried again sooner than an operator needs."""
    monkeypatch.setattr("exporter.handshake_log.sources._RETRY_S", 0.05)
    monkeypatch.setattr("exporter.handshake_log.commits._RETRY_S", 0.05)


def log_at(path: Path, side: Side = Side.GATEWAY, device: str | None = None) -> Options:
    return Options(file=path, gateway="gw", side=side, device=device, read_from=ReadFrom.BEGINNING)


def append(path: Path, *lines: bytes) -> None:
    with path.open("ab") as log:
        log.writelines(lines)


@asynccontextmanager
async def running(
    folder: Path, *options: Options, known: Inventory | None = None
) -> AsyncIterator[HandshakeLogs]:
    logs = HandshakeLogs(options, Store(f"sqlite:///{folder / 'state.db'}"), CLOCK)
    logs.use(known or inventory())
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(logs.run())
        try:
            yield logs
        finally:
            task.cancel()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await CLOCK.sleep(0.01)


def samples(logs: HandshakeLogs, family: str) -> dict[str, float]:
    """By labels; zeros left out."""
    found = {}
    for line in logs.lines_of(family):
        series, _, value = line.decode().rpartition(" ")
        if float(value):
            found[series.removeprefix(family)] = float(value)
    return found


def failed(device: str, reason: str = "unknown_ca", by: str = "device") -> str:
    return f'{{gateway="gw",device="{device}",reason="{reason}",rejected_by="{by}"}}'


async def test_a_refusal_in_a_log_is_a_count_of_its_device(tmp_path: Path) -> None:
    append(tmp_path / "gw.log", refused(1), refused(1), refused(2))

    async with running(tmp_path, log_at(tmp_path / "gw.log")) as logs:
        await until(lambda: len(samples(logs, FAILURES)) == 2)

        assert samples(logs, FAILURES) == {failed("dev-1"): 2, failed("dev-2"): 1}
        assert samples(logs, "fleet_tls_device_failing") == {
            failed("dev-1"): 1, failed("dev-2"): 1,
        }  # fmt: skip


async def test_what_is_nobodys_is_counted_without_a_device_and_listed(tmp_path: Path) -> None:
    stranger = refused(1).replace(b"10.0.0.1", b"192.0.2.77")
    append(tmp_path / "gw.log", stranger)

    async with running(tmp_path, log_at(tmp_path / "gw.log")) as logs:
        await until(lambda: samples(logs, FAILURES))

        assert samples(logs, FAILURES) == {failed(""): 1}
        assert list(logs.peers) == [("gw", "192.0.2.77")]
        assert samples(logs, "fleet_tls_device_failing") == {}


async def test_counts_and_positions_survive_a_restart(tmp_path: Path) -> None:
    append(tmp_path / "gw.log", refused(1))
    async with running(tmp_path, log_at(tmp_path / "gw.log")) as logs:
        await until(lambda: samples(logs, FAILURES))
    append(tmp_path / "gw.log", refused(1))

    async with running(tmp_path, log_at(tmp_path / "gw.log")) as logs:
        await until(lambda: samples(logs, FAILURES).get(failed("dev-1")) == 2)

        assert samples(logs, FAILURES) == {failed("dev-1"): 2}


async def test_what_is_shown_is_in_the_store(tmp_path: Path) -> None:
    append(tmp_path / "gw.log", refused(1))
    async with running(tmp_path, log_at(tmp_path / "gw.log")) as logs:
        await until(lambda: samples(logs, FAILURES))
        copied = tmp_path / "copy"
        await asyncio.to_thread(copy_store, tmp_path, copied)

    async with running(copied, log_at(copied / "gone.log")) as logs:
        await until(lambda: samples(logs, FAILURES))
        assert samples(logs, FAILURES) == {failed("dev-1"): 1}


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def copy_store(folder: Path, to: Path) -> None:
    to.mkdir()
    for path in folder.glob("state.db*"):
        shutil.copy(path, to)


async def test_where_a_device_writes_the_log_its_own_words_mean_itself(tmp_path: Path) -> None:
    line = (
        b"sensord: SSL_connect failed: certificate verify failed"
        b" (unable to get local issuer certificate)\n"
    )
    append(tmp_path / "dev.log", line)

    async with running(
        tmp_path, log_at(tmp_path / "dev.log", Side.DEVICE, device="dev-3")
    ) as logs:
        await until(lambda: samples(logs, FAILURES))

        assert samples(logs, FAILURES) == {failed("dev-3"): 1}


async def test_a_source_has_formats_and_message_keys_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "acme.log"
    acme = CustomFormat(
        name="acme",
        pattern=r"^turned away (?P<peer>\S+): (?P<reason>.*)$",
        outcome=Outcome.FAILURE,
        mark="turned away",
    )
    options = log_at(path).model_copy(update={"formats": (acme,), "message_keys": ("said",)})
    append(path, b'{"said": "turned away 10.0.0.4: tlsv1 alert unknown ca"}\n')

    async with running(tmp_path, options) as logs:
        await until(lambda: samples(logs, FAILURES))

        assert samples(logs, FAILURES) == {failed("dev-4"): 1}


async def test_an_mqtt_client_id_tells_whose_it_was_where_the_address_does_not(
    tmp_path: Path,
) -> None:
    append(
        tmp_path / "gw.log",
        b"1795492801: New connection from 192.0.2.7:40000 on port 8883.\n",
        b"1795492801: New client connected from 192.0.2.7:40000 as dev-5 (p2, c1, k60).\n",
    )

    async with running(tmp_path, log_at(tmp_path / "gw.log")) as logs:
        await until(lambda: samples(logs, "fleet_tls_handshakes_total"))

        assert set(samples(logs, "fleet_tls_handshakes_total")) == {
            '{gateway="gw",device="dev-5"}'
        }


async def test_the_name_a_client_asks_for_tells_whose_it_was_where_nothing_else_does(
    tmp_path: Path,
) -> None:
    line = (
        b"192.0.2.7 [24/Nov/2026:03:58:48 +0000] TLSv1.3 TLS_AES_256_GCM_SHA384 resumed=."
        b' status=200 sni="dev-5" client="-" client_end="-"\n'
    )
    append(tmp_path / "gw.log", line, line.replace(b"192.0.2.7", b"10.0.0.6"))

    async with running(tmp_path, log_at(tmp_path / "gw.log")) as logs:
        await until(lambda: len(samples(logs, "fleet_tls_handshakes_total")) == 2)

        assert set(samples(logs, "fleet_tls_handshakes_total")) == {
            '{gateway="gw",device="dev-5"}', '{gateway="gw",device="dev-6"}',
        }  # fmt: skip


async def test_what_lately_happened_is_told_with_its_worth_and_survives_a_restart(
    tmp_path: Path,
) -> None:
    path, since = tmp_path / "gw.log", CLOCK.now() - timedelta(hours=1)
    append(path, refused(1))  # of before anybody looked, at a moment that the line does not tell
    async with running(tmp_path, log_at(path)) as logs:
        await until(lambda: logs.recent("gw", since))
        stamp = CLOCK.now().strftime("%d/%b/%Y:%H:%M:%S +0000").encode()
        append(
            path,
            b"10.0.0.2 [" + stamp + b"] TLSv1.3 TLS_AES_256_GCM_SHA384 resumed=. status=200"
            b' sni="-" client="-" client_end="-"\n',
        )
        await until(lambda: len(logs.recent("gw", since)) == 2)
        told = logs.recent("gw", since)

        assert logs.recent("another", since) == {}
        assert logs.recent("gw", CLOCK.now() + timedelta(hours=1)) == {}
    failing = told["dev-1"].failing_since(since)
    assert failing is not None
    assert (failing.reason, failing.is_evidence) == (Reason.UNKNOWN_CA, False)
    assert told["dev-2"].full_since(since) is not None

    async with running(tmp_path, log_at(path)) as logs:
        await until(lambda: logs.recent("gw", since))
        assert logs.recent("gw", since) == told


@pytest.mark.parametrize("is_late", [False, True])
def test_lines_are_evidence_where_it_is_known_when_they_were_written(is_late: bool) -> None:
    attributor = Attributor("file:gw.log", Options(file=Path("gw.log"), gateway="gw"), "", 0.0)
    batch = Batch(data=refused(1), read_at=CLOCK.now())
    if is_late:
        attributor.note_late(100.0)

    identity, scanned = Identity(inventory()), scan(batch, attributor.reader)
    [event] = attributor.events(scanned, identity, batch.read_at, 100.0)

    assert event.is_evidence is not is_late


def test_what_comes_through_standard_input_is_no_evidence() -> None:
    attributor = Attributor("stdin", Options(stdin=True, gateway="gw"), "", 0.0)
    batch = Batch(data=refused(1), read_at=CLOCK.now())

    identity, scanned = Identity(inventory()), scan(batch, attributor.reader)
    [event] = attributor.events(scanned, identity, batch.read_at, 0.0)

    assert not event.is_evidence


async def test_a_hostile_name_counts_for_nobody_else(tmp_path: Path) -> None:
    forged = (
        b'192.0.2.1 [24/Nov/2026:03:58:48 +0000] TLSv1.3 X resumed=. status=200 sni="gw" '
        rb'client="CN=x\x0A10.0.0.2 [24/Nov/2026:03:58:48 +0000] TLSv1.3,CN=dev-2" '
        b'client_end="-"\n'
    )
    append(tmp_path / "gw.log", forged)

    async with running(tmp_path, log_at(tmp_path / "gw.log")) as logs:
        await until(lambda: samples(logs, "fleet_tls_handshakes_total"))

        assert samples(logs, "fleet_tls_handshakes_total") == {'{gateway="gw",device=""}': 1}


async def test_lines_nobody_understands_are_shown_by_their_shape(tmp_path: Path) -> None:
    line = b"acme-tls[%d]: TLS handshake error 0x%08x in engine: frobnication fault at 10.0.0.%d\n"
    append(tmp_path / "gw.log", *(line % (n, n, n) for n in range(5)))

    async with running(tmp_path, log_at(tmp_path / "gw.log")) as logs:
        (stats,) = logs.stats.values()
        await until(lambda: stats.line_count == 5)

        assert stats.suspicious_count + stats.matched_count == 5
        assert len(logs.shapes) <= 1
        assert all("10.0.0" not in shape for shape in logs.shapes)


async def test_a_reload_stops_one_log_and_begins_another(tmp_path: Path) -> None:
    one, two, three = (log_at(tmp_path / name) for name in ("1.log", "2.log", "3.log"))
    async with running(tmp_path, one, two) as logs:
        append(tmp_path / "1.log", refused(1))
        append(tmp_path / "2.log", refused(2))
        await until(lambda: len(samples(logs, FAILURES)) == 2)

        logs.read([two, three])
        append(tmp_path / "1.log", refused(3))
        append(tmp_path / "2.log", refused(2))
        append(tmp_path / "3.log", refused(4))
        await until(lambda: samples(logs, FAILURES).get(failed("dev-2")) == 2)
        await until(lambda: failed("dev-4") in samples(logs, FAILURES))

        assert failed("dev-3") not in samples(logs, FAILURES)
        assert len(logs.stats) == 2


async def test_a_log_that_cannot_be_read_is_told_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "gw.log").mkdir()
    append(tmp_path / "other.log", refused(1))

    async with running(
        tmp_path, log_at(tmp_path / "gw.log"), log_at(tmp_path / "other.log")
    ) as logs:
        broken, good = logs.stats.values()
        await until(lambda: broken.is_ok is False and good.is_ok)
        assert "is no regular file" in broken.fault
        (tmp_path / "gw.log").rmdir()
        append(tmp_path / "gw.log", refused(2))
        await until(lambda: len(samples(logs, FAILURES)) == 2)
        assert broken.is_ok

    assert caplog.text.count("the log source cannot be read") == 1


async def test_a_log_that_is_not_there_is_not_taken_for_a_quiet_one(tmp_path: Path) -> None:
    source_ok = "fleet_tls_exporter_log_source_ok"
    path = tmp_path / "gw.log"

    async with running(tmp_path, log_at(path)) as logs:
        (stats,) = logs.stats.values()
        assert list(logs.lines_of(source_ok)) == []
        await until(lambda: stats.is_ok is False)
        assert f"there is no file {path}" in stats.fault
        assert list(logs.lines_of(source_ok)) == [
            f'{source_ok}{{source="file:{path}"}} 0\n'.encode()
        ]
        append(path, refused(1))
        await until(lambda: samples(logs, FAILURES))

        assert samples(logs, source_ok) == {f'{{source="file:{path}"}}': 1}


async def test_a_store_that_cannot_be_made_stops_nothing_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    append(tmp_path / "gw.log", refused(1))
    folder = tmp_path / "absent"

    async with running(folder, log_at(tmp_path / "gw.log")) as logs:
        await until(lambda: logs.store_fault)
        assert samples(logs, FAILURES) == {}
        assert list(logs.lines_of("fleet_tls_exporter_store_ok")) == [
            b"fleet_tls_exporter_store_ok 0\n"
        ]
        folder.mkdir()
        await until(lambda: samples(logs, FAILURES))

        assert logs.store_fault == ""
    assert "handshake logs are not read: the store" in caplog.text


async def test_while_the_store_fails_the_last_counts_are_shown_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    path = tmp_path / "gw.log"
    append(path, refused(1))
    async with running(tmp_path, log_at(path)) as logs:
        await until(lambda: samples(logs, FAILURES))
        await refuse_writes(logs, is_on=True)
        append(path, refused(2), refused(1))
        await until(lambda: logs.store_fault)
        append(path, refused(3))

        assert "cannot be written" in logs.store_fault
        assert samples(logs, FAILURES) == {failed("dev-1"): 1}
        await refuse_writes(logs, is_on=False)
        await until(lambda: len(samples(logs, FAILURES)) == 3)
        assert logs.store_fault == ""
        assert samples(logs, FAILURES)[failed("dev-1")] == 2


async def refuse_writes(logs: HandshakeLogs, *, is_on: bool) -> None:
    async with logs._store.reading() as connection:
        await connection.execute(text(f"PRAGMA query_only = {int(is_on)}"))


async def test_whoever_pushes_while_the_store_fails_is_told_and_not_counted(
    tmp_path: Path,
) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    options = Options(push="site", gateway="gw", token_file=token)
    async with running(tmp_path, options) as logs:
        source = logs.push_sources["site"]
        await source.push(refused(1))
        await refuse_writes(logs, is_on=True)

        with pytest.raises(StoreError):
            await source.push(refused(2))
        await refuse_writes(logs, is_on=False)
        await until(lambda: not logs.store_fault)
        await source.push(refused(2))

        assert samples(logs, FAILURES) == {failed("dev-1"): 1, failed("dev-2"): 1}


async def test_without_an_inventory_nothing_is_counted_for_nobody(tmp_path: Path) -> None:
    append(tmp_path / "gw.log", refused(1))
    logs = HandshakeLogs(
        [log_at(tmp_path / "gw.log")], Store(f"sqlite:///{tmp_path}/state.db"), CLOCK
    )
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(logs.run())
        await CLOCK.sleep(0.05)
        logs.use(inventory())
        await until(lambda: samples(logs, FAILURES))
        task.cancel()

    assert samples(logs, FAILURES) == {failed("dev-1"): 1}


async def test_the_first_position_is_durable_at_once(tmp_path: Path) -> None:
    append(tmp_path / "gw.log", refused(1))
    end = Options(file=tmp_path / "gw.log", gateway="gw")
    async with running(tmp_path, end) as logs:
        (name,) = logs.stats
        await until(lambda: logs._counts.has_position(name))
    append(tmp_path / "gw.log", refused(2))

    async with running(tmp_path, end) as logs:
        await until(lambda: samples(logs, FAILURES))

        assert samples(logs, FAILURES) == {failed("dev-2"): 1}


async def test_without_logs_there_is_no_store_and_no_line(tmp_path: Path) -> None:
    async with running(tmp_path) as logs:
        await CLOCK.sleep(0.05)

        assert list(logs.lines_of(FAILURES)) == []
    assert names_in(tmp_path) == []
