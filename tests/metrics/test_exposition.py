import asyncio
import gzip
import logging
import subprocess
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.fleet import Fleet
from exporter.labels import label_value
from exporter.metrics.catalogue import CATALOGUE, HANDING, Filler
from exporter.metrics.exposition import BUCKETS_S, Exposition
from exporter.observations import Durations, Reason
from exporter.targets.model import Role, Target, shard_of
from tests.fake_clock import FakeClock
from tests.fleet.stand import (
    NEW,
    OLD,
    STORES,
    certificate,
    device,
    gateway,
    inventory,
    look,
    make_fleet,
    silence,
    store,
)
from tests.metrics.reading import joined, series_of, values
from tests.pki import utc

GW = gateway(trust_stores=("fw-1", "fw-2"))
OBSERVED = "certificate_observed_timestamp_seconds"
NOT_AFTER = "certificate_not_after_timestamp_seconds"


class Handshakes:
    """A source of lines as the handshake logs' part is one."""

    def __init__(self, **lines: list[bytes]) -> None:
        self.lines = lines
        self.broken = False

    def lines_of(self, family: str) -> Iterable[bytes]:
        if self.broken:
            raise ZeroDivisionError
        return self.lines.get(family.removeprefix("fleet_tls_"), [])


class Own:
    def __init__(self) -> None:
        self.broken = False

    def render(self, *, openmetrics: bool) -> bytes:
        if self.broken:
            raise ZeroDivisionError
        return b"# TYPE own gauge\nown %d\n" % openmetrics


def expose(clock: FakeClock, *targets: Target, **more: object) -> tuple[Fleet, Exposition]:
    fleet, _ = make_fleet(clock, *targets)
    return fleet, Exposition(fleet, clock, **more)  # type: ignore[arg-type]  # passed on by name


def text_of(exposition: Exposition, shard: tuple[int, int] | None = None) -> bytes:
    return joined(exposition.render(openmetrics=False, shard=shard))


def shown(exposition: Exposition, name: str, *keys: str) -> dict[tuple[str, ...] | str, float]:
    return values(series_of(text_of(exposition)), name, *keys)


def names_in(exposition: Exposition, shard: tuple[int, int] | None = None) -> set[str]:
    return {name.removeprefix("fleet_tls_") for name in series_of(text_of(exposition, shard))}


def test_before_the_first_look_only_the_inventory_is_shown() -> None:
    _, exposition = expose(FakeClock(), GW, device(contact_interval_s=600.0))

    assert names_in(exposition) == {
        "target_info",
        "probe_attempts_total",
        "device_contact_interval_seconds",
        "trust_anchor_not_after_timestamp_seconds",
    }
    assert shown(exposition, "probe_attempts_total", "target") == {"gw-1": 0}
    assert shown(exposition, "device_contact_interval_seconds", "device") == {"dev-01": 600}
    assert shown(
        exposition, "trust_anchor_not_after_timestamp_seconds", "trust_store", "anchor"
    ) == {
        (one.name, one.anchors[0].fingerprint_sha256): utc("2036-01-01").timestamp()
        for one in (OLD, NEW)
    }


def test_the_inventory_is_the_join_key() -> None:
    _, exposition = expose(
        FakeClock(), gateway(server_name=""), device(device_class="sensor", rollout_group="canary")
    )
    keys = CATALOGUE["fleet_tls_target_info"].labels

    assert shown(exposition, "target_info", *keys) == {
        ("gw-1", "gateway", "gw-1.example:8883", "tls", "", "", "", ""): 1,
        ("dev-01", "device", "", "tls", "", "sensor", "canary", "gw-1"): 1,
    }


async def test_a_look_is_shown_in_full() -> None:
    clock = FakeClock()
    fleet, exposition = expose(clock, GW, device())
    await clock.advance(1.25)
    seen = clock.now().timestamp()
    between = certificate("between", "old CA", not_after="2028-01-01")

    fleet.record(look(GW, clock, chain=(certificate(issuer="between"), between)))

    series = series_of(text_of(exposition))
    assert values(series, "probe_success", "target") == {"gw-1": 0}
    assert values(series, "probe_handshake_success", "target") == {"gw-1": 1}
    assert values(series, "probe_attempts_total", "target") == {"gw-1": 1}
    for name in ("probe_last_attempt", "probe_last_handshake", "certificate_observed"):
        assert values(series, f"{name}_timestamp_seconds", "target") == {"gw-1": seen}
    assert values(series, "probe_duration_seconds", "phase") == {
        "resolve": 0.0001,
        "connect": 0.001,
        "handshake": 0.004,
    }
    assert values(series, "session_info", "tls_version", "cipher") == {
        ("TLSv1.3", "TLS_AES_128_GCM_SHA256"): 1
    }
    assert values(series, NOT_AFTER, "target", "position") == {
        ("gw-1", "0"): utc("2027-02-01").timestamp(),
        ("gw-1", "1"): utc("2028-01-01").timestamp(),
    }
    begin = utc("2026-11-01").timestamp()
    assert values(series, "certificate_not_before_timestamp_seconds", "position") == {
        "0": begin,
        "1": begin,
    }
    keys = ("position", "subject_cn", "issuer_cn", "serial_number", "public_key")
    assert values(series, "certificate_info", *keys) == {
        ("0", "gw-1.example", "between", "0a1b", "EC P-256"): 1,
        ("1", "between", "old CA", "0a1b", "EC P-256"): 1,
    }
    assert values(series, "chain_verified", "trust_store") == {"fw-1": 1, "fw-2": 0}
    assert values(series, "chain_problem", "target", "trust_store", "reason") == {
        ("gw-1", "fw-2", "unknown_ca"): 1
    }
    assert values(series, "chain_not_after_timestamp_seconds", "trust_store") == {
        "fw-1": utc("2027-02-01").timestamp()
    }
    assert values(series, "device_accepts_gateway", "device", "gateway", "basis") == {
        ("dev-01", "gw-1", "inventory"): 1
    }


def test_the_outage_is_shown_and_the_dates_are_still_there() -> None:
    clock = FakeClock()
    devices = [device(f"dev-{number:02}") for number in range(18)]
    fleet, exposition = expose(clock, GW, *devices)
    fleet.record(look(GW, clock))
    assert sum(shown(exposition, "device_accepts_gateway", "device").values()) == 18

    fleet.record(look(GW, clock, chain=(certificate(issuer="new CA"),)))

    told = shown(exposition, "device_accepts_gateway", "device")
    assert list(told.values()) == [0] * 18
    assert shown(exposition, "chain_problem", "trust_store", "reason") == {
        ("fw-1", "unknown_ca"): 1
    }
    assert len(shown(exposition, NOT_AFTER, "target")) == 1


def test_the_series_of_the_certificate_before_vanish_at_once() -> None:
    clock = FakeClock()
    fleet, exposition = expose(clock, GW)
    fleet.record(look(GW, clock, chain=(certificate(), certificate("old CA", "old CA"))))

    fleet.record(look(GW, clock, chain=(certificate(issuer="new CA"),)))

    assert list(shown(exposition, NOT_AFTER, "position")) == ["0"]
    assert list(shown(exposition, "certificate_info", "issuer_cn")) == ["new CA"]


def test_after_three_looks_without_a_chain_the_dates_stay_and_the_rest_is_gone() -> None:
    clock = FakeClock()
    fleet, exposition = expose(clock, GW, device())
    fleet.record(look(GW, clock))

    for _ in range(2):
        fleet.record(silence(GW, clock))
    assert {"chain_verified", "certificate_info", "device_accepts_gateway"} <= names_in(exposition)
    fleet.record(silence(GW, clock))

    gone = {
        "chain_verified",
        "chain_problem",
        "chain_not_after_timestamp_seconds",
        "certificate_info",
        "device_accepts_gateway",
        "session_info",
    }
    assert not gone & names_in(exposition)
    assert {NOT_AFTER, OBSERVED} <= names_in(exposition)
    assert shown(exposition, "probe_success", "target") == {"gw-1": 0}
    assert shown(exposition, "probe_failures_total", "target", "reason") == {
        ("gw-1", "connect_timeout"): 3
    }
    assert shown(exposition, "probe_duration_seconds", "phase") == {"resolve": 0.0001}


async def test_when_no_look_comes_nothing_looks_fresh() -> None:
    clock = FakeClock()
    fleet, exposition = expose(clock, GW)
    fleet.record(look(GW, clock))

    await clock.advance(200)
    fleet.find_overdue()

    assert names_in(exposition) == {
        "target_info",
        "probe_attempts_total",
        "probe_last_attempt_timestamp_seconds",
        "probe_last_handshake_timestamp_seconds",
        OBSERVED,
        NOT_AFTER,
        "certificate_not_before_timestamp_seconds",
        "trust_anchor_not_after_timestamp_seconds",
    }


def test_a_target_that_nothing_judges_has_no_success() -> None:
    clock = FakeClock()
    bare = gateway(trust_stores=())
    fleet, exposition = expose(clock, bare)

    fleet.record(look(bare, clock))
    assert shown(exposition, "probe_success", "target") == {}
    assert shown(exposition, "probe_handshake_success", "target") == {"gw-1": 1}

    fleet.record(silence(bare, clock))
    assert shown(exposition, "probe_success", "target") == {"gw-1": 0}


def test_a_target_that_leaves_takes_its_series_along_and_others_keep_theirs() -> None:
    clock = FakeClock()
    other = gateway("gw-2")
    fleet, exposition = expose(clock, GW, other)
    fleet.record(look(GW, clock))
    fleet.record(look(other, clock, chain=(certificate("gw-2.example"),)))
    attempts = shown(exposition, "probe_attempts_total", "target")

    fleet.use(inventory(other, gateway("gw-3")), STORES)

    assert attempts == {"gw-1": 1, "gw-2": 1}
    assert b"gw-1" not in text_of(exposition)
    assert shown(exposition, "probe_attempts_total", "target") == {"gw-2": 1, "gw-3": 0}


def test_a_target_that_moves_begins_anew() -> None:
    clock = FakeClock()
    fleet, exposition = expose(clock, GW)
    fleet.record(look(GW, clock))

    fleet.use(inventory(replace(GW, port=443)), STORES)

    assert OBSERVED not in names_in(exposition)
    assert shown(exposition, "target_info", "address") == {"gw-1.example:443": 1}


def test_anchors_follow_the_trust_stores() -> None:
    clock = FakeClock()
    fleet, exposition = expose(clock, GW)

    fleet.use(inventory(GW), {"fw-3": store("fw-3", "a CA", "b CA")})

    anchors = shown(
        exposition, "trust_anchor_not_after_timestamp_seconds", "trust_store", "anchor"
    )
    assert [one[0] for one in anchors] == ["fw-3", "fw-3"]


def test_dates_beyond_the_year_2038_are_whole_numbers() -> None:
    clock = FakeClock()
    fleet, exposition = expose(clock, GW)

    fleet.record(look(GW, clock, chain=(certificate(not_after="9999-12-31"),)))

    assert b'position="0"} 253402214400\n' in text_of(exposition)


async def test_both_formats_say_the_same() -> None:
    clock = FakeClock()
    fleet, exposition = expose(clock, GW, device(contact_interval_s=90.5))
    fleet.record(look(GW, clock))
    fleet.record(silence(GW, clock))

    text = series_of(text_of(exposition))
    openmetrics = series_of(joined(exposition.render(openmetrics=True)), openmetrics=True)

    assert text == openmetrics


async def test_gzip_says_the_same_in_both_formats_and_in_every_shard() -> None:
    clock = FakeClock()
    fleet, exposition = expose(clock, GW, device(), own=Own())
    for _ in range(2):
        fleet.record(look(GW, clock))
        for openmetrics in (False, True):
            for shard in (None, (1, 2), (2, 2)):
                plain = joined(exposition.render(openmetrics=openmetrics, shard=shard))
                packed = await exposition.render_gzip(openmetrics=openmetrics, shard=shard)
                assert gzip.decompress(joined(packed)) == plain


async def test_scrapes_at_the_same_time_all_get_the_whole() -> None:
    clock = FakeClock()
    fleet, exposition = expose(clock, GW, device())
    fleet.record(look(GW, clock))

    packed = await asyncio.gather(*(exposition.render_gzip(openmetrics=False) for _ in range(5)))

    assert {gzip.decompress(joined(one)) for one in packed} == {text_of(exposition)}


def test_shards_share_the_targets_and_the_first_has_what_is_nobodys() -> None:
    clock = FakeClock()
    targets = [gateway(f"gw-{number}") for number in range(40)]
    source = Handshakes(handshakes_total=[b'fleet_tls_handshakes_total{gateway="g"} 1\n'])
    _, exposition = expose(clock, *targets, own=Own(), sources=[source])

    shards = [series_of(text_of(exposition, (number, 4))) for number in (1, 2, 3, 4)]

    for number, shard in enumerate(shards, start=1):
        attempts = values(shard, "probe_attempts_total", "target")
        assert set(attempts) == {one.name for one in targets if shard_of(one.name, 4) == number}
    assert [sorted(set(shard) - set(shards[1])) for shard in shards] == [
        [
            "fleet_tls_handshakes_total",
            "fleet_tls_trust_anchor_not_after_timestamp_seconds",
            "own",
        ],
        [],
        [],
        [],
    ]


def test_a_shard_without_targets_is_empty_and_ends() -> None:
    _, exposition = expose(FakeClock(), gateway())
    empty = next(number for number in range(2, 40) if number != shard_of("gw-1", 40))

    assert exposition.render(openmetrics=True, shard=(empty, 40)) == [b"# EOF\n"]
    assert exposition.render(openmetrics=False, shard=(empty, 40)) == []


def test_names_that_look_the_same_are_shown_once_and_counted() -> None:
    clock = FakeClock()
    first, second, plain = gateway("gw\x00"), gateway("gw\x01"), gateway("gw\ufffd?")
    fleet, exposition = expose(clock, first, second, plain)

    for target in (first, second, plain):
        fleet.record(look(target, clock))

    assert set(shown(exposition, "probe_attempts_total", "target")) == {"gw\ufffd", "gw\ufffd?"}
    assert exposition.stats.duplicate_count == 1


def test_lines_handed_over_twice_are_shown_once_and_counted() -> None:
    line = b'fleet_tls_handshakes_total{gateway="gw-1",device="a b"} %d\n'
    sources = [Handshakes(handshakes_total=[line % count]) for count in (1, 2)]
    _, exposition = expose(FakeClock(), GW, sources=sources)

    assert shown(exposition, "handshakes_total", "device") == {"a b": 1}
    text_of(exposition)
    assert exposition.stats.duplicate_count == 1


def test_a_source_that_fails_keeps_its_last_lines_and_the_scrape_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Handshakes(device_failing=[b'fleet_tls_device_failing{device="dev-01"} 1\n'])
    own = Own()
    _, exposition = expose(FakeClock(), GW)
    exposition.expose(own, [source])
    before = text_of(exposition)

    source.broken = own.broken = True
    after = text_of(exposition)

    assert before == Own().render(openmetrics=False) + after
    assert b"device_failing" in after
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


@pytest.mark.parametrize("budget", [0, 1, 7, 20, 57, 90, 113])
def test_over_the_budget_the_details_go_first_always_the_same_ones(budget: int) -> None:
    clock = FakeClock()
    targets = [gateway(f"gw-{number:02}", trust_stores=("fw-1", "fw-2")) for number in range(6)]
    source = Handshakes(handshakes_total=[b'fleet_tls_handshakes_total{gateway="g"} 1\n'])
    fleet, exposition = expose(clock, *targets, sources=[source], series_budget=budget)
    for target in targets:
        fleet.record(look(target, clock))
    full = Exposition(fleet, clock, sources=[source])

    text = text_of(exposition)
    samples = [line for line in text.splitlines() if not line.startswith(b"#")]
    wanted = [line for line in text_of(full).splitlines() if not line.startswith(b"#")]

    assert budget - 1 <= len(samples) <= budget
    # a beginning of the whole, where one target's lines of a family are never torn apart
    assert samples == wanted[: len(samples)]
    assert text_of(exposition) == text
    stats = exposition.stats
    assert stats.series_count == len(samples)
    assert stats.left_out_count == 2 * (len(wanted) - len(samples))
    series_of(text)


def test_the_budget_can_be_changed_while_it_runs() -> None:
    _, exposition = expose(FakeClock(), GW)
    whole = text_of(exposition)

    exposition.limit(1)
    cut = text_of(exposition)
    exposition.limit(1_000)

    assert len(cut.splitlines()) == 3
    assert text_of(exposition) == whole


def test_shards_keep_to_the_same_budget() -> None:
    clock = FakeClock()
    targets = [gateway(f"gw-{number:02}") for number in range(20)]
    source = Handshakes(handshakes_total=[b'fleet_tls_handshakes_total{gateway="g"} 1\n'])
    for budget in (3, 15, 30, 44):
        _, exposition = expose(clock, *targets, sources=[source], series_budget=budget)

        whole = text_of(exposition).splitlines()
        shards = [text_of(exposition, (number, 3)).splitlines() for number in (1, 2, 3)]

        assert sorted({line for shard in shards for line in shard}) == sorted(set(whole))


def test_scrapes_are_timed() -> None:
    _, exposition = expose(FakeClock(), GW)

    text_of(exposition)
    exposition.stats.add_duration(99.0)

    assert exposition.stats.duration_counts == [1, *([0] * (len(BUCKETS_S) - 1)), 1]
    assert exposition.stats.duration_sum_s == 99.0


hostile = st.text(alphabet=st.characters(), max_size=200)


@settings(deadline=None)
@given(hostile, hostile, hostile)
def test_hostile_text_of_a_certificate_comes_back_as_text(cn: str, issuer: str, key: str) -> None:
    clock = FakeClock()
    fleet, exposition = expose(clock, GW)
    nasty = replace(certificate(cn, issuer), public_key=key, serial_number=cn)

    fleet.record(look(GW, clock, chain=(nasty, certificate()), cipher=cn))

    text = series_of(text_of(exposition))
    assert text == series_of(joined(exposition.render(openmetrics=True)), openmetrics=True)
    keys = ("position", "subject_cn", "issuer_cn", "public_key")
    wanted = tuple(_read_back(label_value(part[:128])) for part in (cn, issuer, key))
    assert ("0", *wanted) in values(text, "certificate_info", *keys)


@settings(deadline=None)
@given(st.lists(hostile, min_size=1, max_size=6, unique=True))
def test_hostile_names_of_the_inventory_never_make_a_series_twice(names: list[str]) -> None:
    clock = FakeClock()
    targets = [
        Target(
            name=name,
            role=Role.DEVICE,
            host="h",
            port=1,
            trust_stores=("fw-1",),
            holds=("fw-1",),
            device_class=name,
            rollout_group=name,
            gateway=names[0],
        )
        for name in names
    ]
    fleet, exposition = expose(clock, *targets)
    for target in targets:
        fleet.record(look(target, clock))

    text = series_of(text_of(exposition))

    assert text == series_of(joined(exposition.render(openmetrics=True)), openmetrics=True)
    shown_names = {_read_back(label_value(name)) for name in names}
    assert set(values(text, "probe_attempts_total", "target")) == shown_names


def test_store_names_that_look_the_same_make_no_series_twice() -> None:
    clock = FakeClock()
    target = gateway(trust_stores=("fw\x00", "fw\x01"))
    fleet, _ = make_fleet(clock)
    fleet.use(inventory(target), {name: store(name, "old CA") for name in target.trust_stores})
    exposition = Exposition(fleet, clock)
    fleet.record(look(target, clock))

    assert shown(exposition, "chain_verified", "trust_store") == {"fw\ufffd": 1}
    assert exposition.stats.duplicate_count == 3


def _read_back(escaped: str) -> str:
    """A label value as a parser gives it back."""
    plain = escaped.replace("\\\\", "\x00").replace('\\"', '"').replace("\\n", "\n")
    return plain.replace("\x00", "\\")


def sample_of(name: str, labels: Iterable[str]) -> bytes:
    shown_labels = ",".join(f'{label}="x"' for label in labels)
    return f"{name}{{{shown_labels}}} 1\n".encode()


def _everything(clock: FakeClock) -> Exposition:
    """An exposition with at least one sample of each family."""
    lines = {
        name.removeprefix("fleet_tls_"): [sample_of(name, metric.labels)]
        for name, metric in CATALOGUE.items()
        if metric.filler in HANDING
    }
    dev = device(contact_interval_s=60.0, expiry_warning_s=86_400.0)
    dead = gateway("gw-2")
    fleet, exposition = expose(clock, GW, dev, dead, sources=[Handshakes(**lines)])
    fleet.record(look(GW, clock, durations_s=Durations(resolve=0.1, connect=0.1, handshake=0.1)))
    fleet.record(silence(dead, clock, reason=Reason.DNS_FAILURE))
    return exposition


@pytest.mark.parametrize("openmetrics", [False, True])
def test_everything_that_is_exposed_is_in_the_catalogue_and_the_other_way_round(
    openmetrics: bool,
) -> None:
    exposition = _everything(FakeClock())
    text = joined(exposition.render(openmetrics=openmetrics))

    series = series_of(text, openmetrics=openmetrics)

    wanted = {name for name, metric in CATALOGUE.items() if metric.filler is not Filler.OWN}
    assert set(series) == wanted
    for name, by_labels in series.items():
        for labels in by_labels:
            assert {key for key, _ in labels} == set(CATALOGUE[name].labels)


@pytest.mark.slow
def test_promtool_has_no_complaint() -> None:
    exposition = _everything(FakeClock())

    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text_of(exposition),
        capture_output=True,
        check=False,
        timeout=30,
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
