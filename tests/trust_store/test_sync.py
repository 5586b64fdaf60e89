"""Trust sync as a whole: polled and pushed, kept, compared, told; and every kind of nonsense."""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from exporter.errors import StoreError
from exporter.gateway.api import TrustStatus
from exporter.metrics.catalogue import CATALOGUE, Filler
from exporter.observations import TrustReport
from exporter.trust_store import keep, sync
from exporter.trust_store.keep import MOST_WAITING, BusyError
from exporter.trust_store.model import SyncState
from exporter.trust_store.options import Desired, Options
from exporter.trust_store.poll import FAILURES
from tests.fleet.stand import NEW, certificate, device, gateway
from tests.trust_store.saying import HOUR_S, NOON, after, anchor, entry, report
from tests.trust_store.stand import GW, OLD_CA, FakeApi, Stand, devices, entries, refusal, status

FLEET = devices(18)
NEW_CA = NEW.anchors[0].fingerprint_sha256
ALL_STATES = [
    'fleet_tls_trust_store_devices{state="synced"} 0',
    'fleet_tls_trust_store_devices{state="pending"} 0',
    'fleet_tls_trust_store_devices{state="failed"} 0',
    'fleet_tls_trust_store_devices{state="stale"} 0',
    'fleet_tls_trust_store_devices{state="never_reported"} 18',
]


async def test_a_fleet_without_any_api_never_reported(tmp_path: Path) -> None:
    store = tmp_path / "state.db"
    stand = Stand(GW, *FLEET, folder=tmp_path)

    async with stand.running():
        assert stand.lines("fleet_tls_trust_store_devices") == ALL_STATES
        assert stand.lines("fleet_tls_trust_store_synced") == []
        assert stand.lines("fleet_tls_trust_reports_durable") == []

    assert stand.told == []
    assert not await asyncio.to_thread(store.exists)


async def test_before_the_store_was_read_nothing_is_shown() -> None:
    stand = Stand(GW, *FLEET)
    stand.ask(FakeApi())

    stand.use()

    assert stand.lines("fleet_tls_trust_store_devices") == []


async def test_eighteen_reports_are_eighteen_synced_devices() -> None:
    stand = Stand(GW, *FLEET)
    api = FakeApi(answer=status(*entries(FLEET)))
    stand.ask(api)

    async with stand.running():
        await stand.clock.advance(1)
        assert stand.counts() == {"synced": 18}
        assert stand.lines("fleet_tls_trust_store_synced")[0] == (
            'fleet_tls_trust_store_synced{device="dev-01"} 1'
        )
        assert len(stand.lines("fleet_tls_trust_store_report_timestamp_seconds")) == 18
        reported, _ = stand.told[-1]
        assert reported == {one.name: frozenset({OLD_CA}) for one in FLEET}


async def test_the_platforms_complete_without_the_anchor_is_failed() -> None:
    stand = Stand(GW, *FLEET)
    stand.ask(FakeApi(answer=status(*entries(FLEET, anchor("another CA")))))

    async with stand.running():
        await stand.clock.advance(1)
        assert stand.counts() == {"failed": 18}
        assert stand.lines("fleet_tls_trust_platform_complete_devices") == [
            'fleet_tls_trust_platform_complete_devices{api="site-a"} 18'
        ]
        assert 'fleet_tls_trust_store_synced{device="dev-18"} 0' in stand.lines(
            "fleet_tls_trust_store_synced"
        )


NEXT_CENTURY = datetime(2126, 1, 1, tzinfo=UTC)
NONSENSE: Sequence[object] = [
    pytest.param(refusal("nonsense"), id="not what the document says"),
    pytest.param(refusal("unreachable"), id="not there"),
    pytest.param(TimeoutError(), id="too slow"),
    pytest.param(RuntimeError("our own bug"), id="our own bug"),
    pytest.param(status(), id="no devices at all"),
    pytest.param(status(*entries(devices(18), received_at=NEXT_CENTURY)), id="next century"),
    pytest.param(
        status(*entries(devices(18), received_at=None, reported_at=NEXT_CENTURY)), id="no time"
    ),
    pytest.param(status(*(entry(f"stranger-{n}") for n in range(99))), id="strangers"),
    pytest.param(status(*(entry(one.name, None) for one in FLEET)), id="forgot all reports"),
]


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_of_nonsense_nothing_becomes_synced(nonsense: TrustStatus | Exception) -> None:
    stand = Stand(GW, *FLEET)
    stand.ask(FakeApi(answer=nonsense))

    async with stand.running():
        await stand.clock.advance(1)

        assert stand.counts() == {"never_reported": 18}
        assert stand.lines("fleet_tls_trust_store_synced") == []


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_nonsense_takes_nothing_away_and_the_last_good_grows_old(
    nonsense: TrustStatus | Exception,
) -> None:
    stand = Stand(GW, *FLEET, options=Options(stale_after=600))
    api = FakeApi(answer=status(*entries(FLEET, received_at=NOON)))
    stand.ask(api)

    async with stand.running():
        await stand.clock.advance(1)
        api.answer = nonsense
        await stand.polled(api)
        assert stand.counts() == {"synced": 18}
        assert stand.lines("fleet_tls_trust_store_report_timestamp_seconds")[0].endswith(
            f" {NOON.timestamp():.3f}"
        )

        await stand.clock.advance(600)
        assert stand.counts() == {"stale": 18}
        assert stand.lines("fleet_tls_trust_store_synced") == []
        assert stand.told[-1][0] == {}


async def test_a_bad_answer_is_counted_and_the_next_good_one_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stand = Stand(GW, *FLEET)
    api = FakeApi(answer=refusal("nonsense"))
    stand.ask(api)

    async with stand.running():
        for answer in (refusal("nonsense"), RuntimeError("our own bug"), status(*entries(FLEET))):
            api.answer = answer
            await stand.polled(api)
        counted = stand.trust.stats["site-a"]

        assert stand.counts() == {"synced": 18}
        assert counted.failure_counts["internal"] == 1
        assert counted.failure_counts["nonsense"] == 2
        assert counted.fault == ""
        assert counted.attempt_count == api.asked_count
    assert caplog.text.count("the last good ones stay") == 2


async def test_entries_that_are_not_taken_are_counted_by_reason() -> None:
    elsewhere = device("elsewhere", management_api="site-b")
    stand = Stand(GW, *FLEET, elsewhere)
    answer = status(
        *entries(FLEET), entry("stranger"), entry("elsewhere"), entry("gw-1"),
        entry("dev-01", received_at=NEXT_CENTURY),
    )  # fmt: skip
    stand.ask(FakeApi(answer=answer), FakeApi(name="site-b", answer=refusal()))

    async with stand.running():
        await stand.clock.advance(1)
        counted = stand.lines("fleet_tls_trust_poll_ignored_entries_total")

    place = 'fleet_tls_trust_poll_ignored_entries_total{api="site-a",reason='
    assert [line.removeprefix(place) for line in counted[:5]] == [
        '"unknown_device"} 2',
        '"other_api"} 1',
        '"future"} 1',
        '"no_time"} 0',
        '"too_many_anchors"} 0',
    ]


async def test_where_there_is_but_one_api_nobody_needs_to_name_it() -> None:
    stand = Stand(gateway(), device("dev-01"))
    api, other = FakeApi(answer=status(entry("dev-01", [OLD_CA]))), FakeApi(name="site-b")
    stand.ask(api)

    async with stand.running():
        await stand.clock.advance(1)
        assert stand.counts() == {"synced": 1}
        assert stand.trust.speaker_of("dev-01") == "site-a"

        stand.ask(api, other)
        assert stand.trust.speaker_of("dev-01") is None
        assert stand.trust.speaker_of("gw-1") is None


async def test_an_unchanged_answer_is_not_gone_through_again() -> None:
    stand = Stand(GW, device("dev-01"))
    api = FakeApi(answer=status(entry("dev-01", [OLD_CA])))
    stand.ask(api)

    async with stand.running():
        await stand.clock.advance(1)
        api.answer = status(entry("dev-01", [NEW_CA], received_at=after(5)), is_unchanged=True)
        await stand.polled(api)

        assert stand.counts() == {"synced": 1}


async def test_a_device_that_is_new_here_finds_its_report_in_an_unchanged_answer() -> None:
    stand = Stand(GW, device("dev-01"))
    both = entries(devices(2))
    api = FakeApi(answer=status(*both))
    stand.ask(api)

    async with stand.running():
        await stand.clock.advance(1)
        api.answer = status(*both, is_unchanged=True)
        stand.use(GW, *devices(2))
        assert stand.counts() == {"synced": 1, "never_reported": 1}
        await stand.polled(api)

        assert stand.counts() == {"synced": 2}


async def test_an_answer_of_the_future_is_tried_again() -> None:
    stand = Stand(GW, device("dev-01"))
    early = entry("dev-01", [OLD_CA], received_at=after(360), reported_at=NOON)
    api = FakeApi(answer=status(early, is_unchanged=True))
    stand.ask(api)

    async with stand.running():
        await stand.clock.advance(1)
        assert stand.counts() == {"never_reported": 1}
        await stand.polled(api)
        await stand.polled(api)

        assert stand.counts() == {"synced": 1}


async def test_each_api_is_asked_at_its_own_steady_moments() -> None:
    stand = Stand(GW)
    apis = [FakeApi(name=f"site-{n}") for n in range(100)]
    stand.ask(*apis)

    async with stand.running():
        await stand.clock.advance(0.01)
        assert sum(one.asked_count for one in apis) < 10
        await stand.clock.advance(5)
        assert {one.asked_count for one in apis} == {1}

        await stand.clock.advance(90)
        await stand.clock.advance(600)
        assert {one.asked_count for one in apis} <= {11, 12}


async def test_an_api_that_wants_to_be_left_alone_is() -> None:
    stand = Stand(GW)
    api = FakeApi(answer=refusal("rate_limited", retry_after_s=900))
    stand.ask(api)

    async with stand.running():
        await stand.clock.advance(899)
        assert api.asked_count == 1
        await stand.clock.advance(2)
        assert api.asked_count == 2


async def test_an_api_can_be_asked_at_once_beside_its_schedule() -> None:
    stand = Stand(GW, device("dev-01"))
    api = FakeApi(answer=refusal())
    stand.ask(api)

    async with stand.running():
        assert not await stand.trust.ask("site-a")
        api.answer = status(entry("dev-01", [OLD_CA]))
        assert await stand.trust.ask("site-a")
        assert stand.counts() == {"synced": 1}
        assert not await stand.trust.ask("site-b")


async def test_a_reload_asks_others_and_lets_the_same_go_on() -> None:
    stand = Stand(GW, device("dev-01"))
    api, gone = FakeApi(), FakeApi(name="site-b")
    stand.ask(api, gone)

    async with stand.running():
        await stand.clock.advance(1)
        stand.ask(api, FakeApi(name="site-c"))
        await stand.clock.advance(1)
        counts = (api.asked_count, gone.asked_count)
        await stand.clock.advance(200)

        assert counts == (1, 1)
        assert gone.asked_count == 1
        assert api.asked_count > 2
        assert set(stand.trust.stats) == {"site-a", "site-c"}


async def test_a_push_is_durable_when_it_is_answered(tmp_path: Path) -> None:
    stand = Stand(GW, device("dev-01"), folder=tmp_path)
    async with stand.running():
        await stand.trust.push(report(OLD_CA))

    again = Stand(GW, device("dev-01"), folder=tmp_path)
    async with again.running():
        assert again.counts() == {"synced": 1}


async def test_a_push_and_a_poll_count_by_their_receipt() -> None:
    stand = Stand(GW, device("dev-01"))
    api = FakeApi(answer=status(entry("dev-01", [NEW_CA], received_at=after(-60))))
    stand.ask(api)

    async with stand.running():
        await stand.clock.advance(1)
        assert stand.counts() == {"failed": 1}
        await stand.trust.push(report(OLD_CA))
        await stand.clock.advance(1)
        assert stand.counts() == {"synced": 1}

        await stand.trust.push(report(NEW_CA, received_s=-30))
        await stand.clock.advance(1)
        assert stand.counts() == {"synced": 1}


async def test_a_certificate_that_is_pushed_is_handed_on_and_kept() -> None:
    ca = certificate("pushed CA", "pushed CA", not_after="2026-11-24")
    pushed = report(ca.fingerprint_sha256)
    stand = Stand(GW, device("dev-01"))

    async with stand.running():
        await stand.trust.push(pushed, [ca])
        await stand.clock.advance(1)

        assert stand.told[-1][1] == {ca.fingerprint_sha256: ca}
        assert stand.trust.certificate(ca.fingerprint_sha256) == ca
        assert stand.trust.certificate("00") is None
        assert stand.trust.standings["dev-01"].difference is not None
        assert stand.trust.standings["dev-01"].difference.expired == (ca.fingerprint_sha256,)


async def test_a_store_that_cannot_be_made_is_told_and_reports_are_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stand = Stand(GW, device("dev-01"), folder=tmp_path / "missing")
    stand.ask(FakeApi(answer=status(entry("dev-01", [OLD_CA]))))

    async with stand.running():
        await stand.clock.advance(1)
        assert stand.counts() == {"synced": 1}
        assert "cannot be made" in stand.trust.store_fault
        assert stand.lines("fleet_tls_trust_reports_durable") == [
            "fleet_tls_trust_reports_durable 0"
        ]
        pushing = asyncio.ensure_future(stand.trust.push(report(OLD_CA, received_s=5)))  # noqa: TID251 - its fate is the test
        await stand.pass_until(pushing.done)
        assert isinstance(pushing.exception(), StoreError)

        (tmp_path / "missing").mkdir()
        await stand.pass_until(lambda: not stand.trust.store_fault)
        assert stand.lines("fleet_tls_trust_reports_durable") == [
            "fleet_tls_trust_reports_durable 1"
        ]
    assert caplog.text.count("trust reports are not stored") == 1


async def test_too_many_pushes_at_once_are_told_to_come_again(tmp_path: Path) -> None:
    stand = Stand(GW, device("dev-01"), folder=tmp_path / "missing")

    async with stand.running(), asyncio.TaskGroup() as tasks:
        waiting = [
            tasks.create_task(stand.trust.push(report(OLD_CA, received_s=n)))
            for n in range(MOST_WAITING)
        ]
        await asyncio.sleep(0)  # noqa: TID251 - lets them begin
        with pytest.raises(BusyError, match="256 reports wait"):
            await stand.trust.push(report(OLD_CA))
        for one in waiting:
            one.cancel()


async def test_whoever_waits_when_the_service_stops_is_told(tmp_path: Path) -> None:
    stand = Stand(GW, device("dev-01"), folder=tmp_path / "missing")

    async with stand.running():
        await stand.until(lambda: stand.trust.lines_of("fleet_tls_trust_store_devices"))
        first = asyncio.ensure_future(stand.trust.push(report(OLD_CA)))  # noqa: TID251 - its fate is the test
        await stand.until(first.done)
        second = asyncio.ensure_future(stand.trust.push(report(NEW_CA)))  # noqa: TID251 - likewise
        await asyncio.sleep(0)  # noqa: TID251 - lets it begin

    assert isinstance(first.exception(), StoreError)
    assert str(second.exception()) == "the service is stopping"


async def test_a_bug_of_ours_while_writing_is_no_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stand = Stand(GW, device("dev-01"))
    stand.ask(FakeApi(answer=status(entry("dev-01", [OLD_CA]))))
    monkeypatch.setattr(keep, "read", None)

    async with stand.running():
        await stand.clock.advance(1)
        assert stand.counts() == {"synced": 1}
        assert stand.trust.store_fault == "trust reports cannot be written; see the log"

        monkeypatch.undo()
        await stand.pass_until(lambda: not stand.trust.store_fault)
    assert "TypeError" in caplog.text


async def test_whoever_waits_in_the_middle_of_writing_is_told_when_it_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand = Stand(GW, device("dev-01"))
    writing = asyncio.Event()

    async def hang(*_: object) -> None:
        writing.set()
        await asyncio.Event().wait()

    async with stand.running():
        await stand.trust.push(report(OLD_CA))
        monkeypatch.setattr(keep, "write", hang)
        pushing = asyncio.ensure_future(stand.trust.push(report(NEW_CA, received_s=1)))  # noqa: TID251 - its fate is the test
        await writing.wait()

    assert str(pushing.exception()) == "the service is stopping"


async def test_what_is_wanted_changes_with_the_configuration() -> None:
    stand = Stand(GW, device("dev-01", rollout_group="canary"), device("dev-02"))
    stand.ask(FakeApi(answer=status(*entries(devices(2)))))

    async with stand.running():
        await stand.clock.advance(1)
        assert stand.lines("fleet_tls_trust_store_outstanding_since_timestamp_seconds") == []
        stand.options = Options(
            desired=(Desired(trust_stores=("fw-1", "fw-2"), rollout_group="canary"),)
        )
        changed_at = stand.clock.now()
        stand.ask(FakeApi(answer=status(*entries(devices(2)))))

        assert stand.counts() == {"synced": 1, "failed": 1}
        assert stand.lines("fleet_tls_trust_store_outstanding_since_timestamp_seconds") == [
            "fleet_tls_trust_store_outstanding_since_timestamp_seconds"
            f'{{device_class=""}} {changed_at.timestamp():.3f}'
        ]
        assert (
            'fleet_tls_trust_store_anchor_devices{device_class="",condition="missing"} 1'
            in stand.lines("fleet_tls_trust_store_anchor_devices")
        )


async def test_counts_are_told_by_class() -> None:
    sensors = [device(f"s-{n}", device_class="sensor", contact_interval_s=60.0) for n in (1, 2)]
    stand = Stand(GW, *sensors, device("m-1", device_class='me"ter', holds=()))
    stand.ask(FakeApi(answer=status(*entries(sensors), entry("m-1", [OLD_CA]))))

    async with stand.running():
        await stand.clock.advance(1)
        lines = stand.lines("fleet_tls_trust_store_class_devices")
        assert len(lines) == 10
        place = "fleet_tls_trust_store_class_devices"
        assert f'{place}{{device_class="sensor",state="synced"}} 2' in lines
        assert f'{place}{{device_class="me\\"ter",state="synced"}} 0' in lines
        assert stand.lines("fleet_tls_trust_store_undefined_devices") == [
            "fleet_tls_trust_store_undefined_devices 1"
        ]

        await stand.clock.advance(900)
        assert stand.state("s-1") is SyncState.STALE
        assert stand.state("m-1") is None


async def test_how_polling_and_pushing_go_is_told(tmp_path: Path) -> None:
    stand = Stand(GW, device("dev-01"), folder=tmp_path)
    api = FakeApi(answer=status(entry("dev-01", [OLD_CA])))
    stand.ask(api)

    async with stand.running():
        stand.trust.pushed.accepted = 3
        told = {
            name: stand.lines(f"fleet_tls_trust_{name}")
            for name in ("poll_attempts_total", "poll_last_success_timestamp_seconds")
        }

        assert told == {
            "poll_attempts_total": ['fleet_tls_trust_poll_attempts_total{api="site-a"} 1'],
            "poll_last_success_timestamp_seconds": [
                "fleet_tls_trust_poll_last_success_timestamp_seconds"
                f'{{api="site-a"}} {stand.clock.now().timestamp():.3f}'
            ],
        }
        assert stand.lines("fleet_tls_trust_reports_pushed_total") == [
            'fleet_tls_trust_reports_pushed_total{outcome="accepted"} 3',
            'fleet_tls_trust_reports_pushed_total{outcome="refused"} 0',
            'fleet_tls_trust_reports_pushed_total{outcome="failed"} 0',
        ]
        assert len(stand.lines("fleet_tls_trust_poll_failures_total")) == len(FAILURES)
        assert stand.lines("fleet_tls_probe_success") == []


async def test_every_family_of_the_catalogue_is_filled(tmp_path: Path) -> None:
    stand = Stand(GW, *FLEET, folder=tmp_path)
    stand.ask(FakeApi(answer=status(*entries(FLEET[:9]), entry("dev-10", [NEW_CA]))))
    of_trust = [name for name, one in CATALOGUE.items() if one.filler is Filler.TRUST]

    async with stand.running():
        await stand.clock.advance(1)
        empty = [name for name in of_trust if not stand.lines(name)]
        labels = {
            name: set(re.findall(r'([a-z_]+)="', line))
            for name in of_trust
            for line in stand.lines(name)
        }

    assert empty == []
    assert labels == {name: set(CATALOGUE[name].labels) for name in of_trust}


async def test_a_large_answer_leaves_room_for_others() -> None:
    many = devices(1_200)
    stand = Stand(GW, *many)
    stand.ask(FakeApi(answer=status(*entries(many))))

    async with stand.running():
        await stand.clock.advance(1)

        assert stand.counts() == {"synced": 1_200}


async def test_whoever_asks_and_goes_away_leaves_nothing_uncompared() -> None:
    many = devices(1_200)
    stand = Stand(GW, *many)
    api = FakeApi(answer=refusal())
    stand.ask(api)

    async with stand.running():
        api.answer = status(*entries(many))
        asking = asyncio.ensure_future(stand.trust.ask("site-a"))  # noqa: TID251 - its fate is the test
        for _ in range(1_000):
            if stand.trust.standings["dev-01"].known.report:
                break
            await asyncio.sleep(0)  # noqa: TID251 - until it is in the middle of comparing
        asking.cancel()
        await stand.clock.advance(1)

        assert asking.cancelled()
        assert stand.counts() == {"synced": 1_200}


async def test_what_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    stand = Stand(GW, device("dev-01"), folder=tmp_path)
    async with stand.running():
        await stand.trust.push(report(NEW_CA))
        async with stand.store.writing() as connection:
            await connection.execute(text("ALTER TABLE trust_report RENAME TO away"))
        pushing = asyncio.ensure_future(stand.trust.push(report(OLD_CA, received_s=1)))  # noqa: TID251 - its fate is the test
        gone = asyncio.ensure_future(stand.trust.push(report(OLD_CA, received_s=2)))  # noqa: TID251 - likewise
        await asyncio.sleep(0)  # noqa: TID251 - lets them begin
        await asyncio.sleep(0)  # noqa: TID251 - lets the writer take them
        gone.cancel()
        await stand.until(pushing.done)
        assert isinstance(pushing.exception(), StoreError)
        async with stand.store.writing() as connection:
            await connection.execute(text("ALTER TABLE away RENAME TO trust_report"))
        await stand.pass_until(lambda: not stand.trust.store_fault)

    again = Stand(GW, device("dev-01"), folder=tmp_path)
    async with again.running():
        assert again.counts() == {"synced": 1}


async def test_a_device_that_leaves_the_inventory_leaves_no_line() -> None:
    stand = Stand(GW, *FLEET)
    stand.ask(FakeApi(answer=status(*entries(FLEET))))

    async with stand.running():
        await stand.clock.advance(1)
        stand.use(GW, *FLEET[:3])

        assert stand.counts() == {"synced": 3}
        assert len(stand.lines("fleet_tls_trust_store_synced")) == 3
        assert stand.told[-1][0].keys() == {"dev-01", "dev-02", "dev-03"}
        await stand.trust.push(report(NEW_CA, device="dev-18", received_s=1))
        await stand.clock.advance(1)
        assert stand.counts() == {"synced": 3}


async def test_a_clock_that_goes_back_is_no_reason_to_trust_what_is_old() -> None:
    stand = Stand(GW, device("dev-01"))
    stand.ask(FakeApi(answer=status(entry("dev-01", [OLD_CA], received_at=NOON))))

    async with stand.running():
        await stand.clock.advance(1)
        assert stand.counts() == {"synced": 1}
        stand.clock.jump_wall(NOON - after(2 * HOUR_S))
        await stand.clock.advance(1)

        assert stand.counts() == {"stale": 1}


async def test_what_is_gone_for_long_is_forgotten_once_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "_PRUNE_S", 60.0)
    stand = Stand(GW, *devices(2), folder=tmp_path)
    async with stand.running():
        await stand.trust.push(report(OLD_CA, device="dev-01"))
        await stand.trust.push(report(OLD_CA, device="dev-02"))
        await stand.clock.advance(60)  # nothing is old enough
        stand.use(GW, device("dev-02"))
        stand.clock.jump_wall(after(40 * 86_400) - NOON)
        await stand.clock.advance(60)
        again = TrustReport(
            device="dev-02",
            anchors=frozenset({OLD_CA}),
            reported_at=stand.clock.now(),
            received_at=stand.clock.now(),
        )
        await stand.trust.push(again)  # behind the erasing

    once_more = Stand(GW, *devices(2), folder=tmp_path)
    once_more.clock.jump_wall(after(41 * 86_400) - NOON)
    async with once_more.running():
        assert once_more.counts() == {"never_reported": 1, "synced": 1}
