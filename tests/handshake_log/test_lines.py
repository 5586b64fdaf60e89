"""The sample lines of what handshake logs tell."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from exporter.handshake_log.counts import Key, Tally, Why
from exporter.handshake_log.lines import STORE_OK, HandshakeLines, source_lines
from exporter.handshake_log.stats import SourceStats
from exporter.metrics.catalogue import CATALOGUE, Filler
from exporter.observations import Reason, RejectedBy
from exporter.targets.model import Inventory, Role, Target

UNKNOWN_CA: Why = (Reason.UNKNOWN_CA, RejectedBy.DEVICE)
EXPIRED: Why = (Reason.EXPIRED, RejectedBy.GATEWAY)
NOON_S = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
P = "fleet_tls_"
WHY = 'reason="unknown_ca",rejected_by="device"'


def inventory(*devices: str) -> Inventory:
    gateway = Target(name="gw-1", role=Role.GATEWAY, host="gw-1.example", port=8883)
    targets = {name: Target(name=name, role=Role.DEVICE, gateway="gw-1") for name in devices}
    return Inventory(targets={"gw-1": gateway, **targets})


def shown(tallies: Mapping[Key, Tally], *devices: str) -> HandshakeLines:
    lines = HandshakeLines()
    lines.use(inventory(*devices), ["gw-1"], tallies, {})
    return lines


def text(lines: HandshakeLines, family: str) -> str:
    return b"".join(lines.lines_of(f"{P}{family}")).decode()


FAILING = Tally(failure_counts={UNKNOWN_CA: 3}, failing=UNKNOWN_CA, told_s=NOON_S)
GOOD = Tally(success_count=2, proven_count=2, told_s=NOON_S, success_s=NOON_S, proven_s=NOON_S)


def test_zeros_are_there_from_the_start_for_nobody_only() -> None:
    lines = shown({}, "dev-01")
    failures = text(lines, "handshake_failures_total")

    assert f'{{gateway="gw-1",device="",{WHY}}} 0\n' in failures
    assert "dev-01" not in failures
    assert all(line.endswith(" 0") for line in failures.splitlines())
    assert len(failures.splitlines()) == 18 * 3


def test_a_reason_that_no_log_can_tell_has_no_zero() -> None:
    failures = text(shown({}), "handshake_failures_total")

    assert 'reason="dns_failure"' not in failures
    assert 'reason="internal"' not in failures


def test_a_failing_device_has_its_state_and_its_counts() -> None:
    lines = shown({("gw-1", "dev-01"): FAILING}, "dev-01")
    place = f'gateway="gw-1",device="dev-01",{WHY}'

    assert text(lines, "device_failing") == f"{P}device_failing{{{place}}} 1\n"
    assert f"{P}handshake_failures_total{{{place}}} 3\n" in text(lines, "handshake_failures_total")
    assert text(lines, "devices_failing") == f'{P}devices_failing{{gateway="gw-1",{WHY}}} 1\n'


def test_there_is_no_total_where_no_log_ever_told_of_a_success() -> None:
    assert text(shown({("gw-1", "dev-01"): FAILING}, "dev-01"), "handshakes_total") == ""
    assert text(shown({}, "dev-01"), "handshakes_total") == ""


def test_the_total_appears_with_the_first_success_and_holds_the_failures_before_it() -> None:
    lines = shown({("gw-1", "dev-01"): FAILING}, "dev-01", "dev-02")

    lines.update({("gw-1", "dev-02"): GOOD}, {})

    assert text(lines, "handshakes_total").splitlines() == [
        f'{P}handshakes_total{{gateway="gw-1",device=""}} 0',
        f'{P}handshakes_total{{gateway="gw-1",device="dev-01"}} 3',
        f'{P}handshakes_total{{gateway="gw-1",device="dev-02"}} 2',
    ]


def test_resumed_sessions_are_counted_where_the_log_tells_them_apart() -> None:
    untold = Tally(success_count=5, success_s=NOON_S)
    told = Tally(success_count=5, proven_count=5, resumed_count=7, success_s=NOON_S)

    silent = text(shown({("gw-1", "dev-01"): untold}, "dev-01"), "handshakes_resumed_total")
    telling = text(shown({("gw-1", "dev-01"): told}, "dev-01"), "handshakes_resumed_total")

    assert silent == ""
    assert telling.splitlines() == [
        f'{P}handshakes_resumed_total{{gateway="gw-1",device=""}} 0',
        f'{P}handshakes_resumed_total{{gateway="gw-1",device="dev-01"}} 7',
    ]


def test_the_last_success_is_absent_until_there_is_one() -> None:
    lines = shown({("gw-1", "dev-01"): FAILING, ("gw-1", "dev-02"): GOOD}, "dev-01", "dev-02")

    assert text(lines, "handshake_last_success_timestamp_seconds") == (
        f'{P}handshake_last_success_timestamp_seconds{{gateway="gw-1",device="dev-02"}}'
        f" {NOON_S:.3f}\n"
    )


def test_nobody_fails_as_a_device() -> None:
    lines = shown({("gw-1", ""): FAILING})

    assert text(lines, "device_failing") == ""
    assert text(lines, "devices_failing") == ""
    assert f'device="",{WHY}}} 3\n' in text(lines, "handshake_failures_total")


def test_devices_that_recovered_leave_a_zero_in_their_number() -> None:
    lines = shown({("gw-1", "dev-01"): FAILING}, "dev-01")
    text(lines, "devices_failing")

    lines.update({("gw-1", "dev-01"): GOOD}, {})

    assert text(lines, "device_failing") == ""
    assert text(lines, "devices_failing") == f'{P}devices_failing{{gateway="gw-1",{WHY}}} 0\n'


def test_only_devices_of_the_inventory_are_shown() -> None:
    tallies = {("gw-1", "dev-01"): FAILING, ("gw-1", "dev-99"): GOOD}
    lines = shown(tallies, "dev-01")

    lines.update({("gw-1", "dev-98"): FAILING}, {"dev-98": NOON_S})

    for family in CATALOGUE:
        assert "dev-9" not in text(lines, family.removeprefix(P))


def test_a_device_that_leaves_and_returns_goes_on_where_it_was() -> None:
    tallies = {("gw-1", "dev-01"): GOOD, ("gw-1", "dev-02"): GOOD}
    lines = shown(tallies, "dev-01", "dev-02")

    lines.use(inventory("dev-02"), ["gw-1"], tallies, {"dev-01": NOON_S})
    gone = text(lines, "handshakes_total") + text(
        lines, "client_certificate_not_after_timestamp_seconds"
    )
    lines.use(inventory("dev-01", "dev-02"), ["gw-1"], tallies, {"dev-01": NOON_S})

    assert "dev-01" not in gone
    assert "dev-02" in gone
    assert 'device="dev-01"} 2\n' in text(lines, "handshakes_total")
    assert "dev-01" in text(lines, "client_certificate_not_after_timestamp_seconds")


def test_a_gateway_without_a_log_any_more_has_no_lines_of_nobody() -> None:
    lines = shown({("gw-1", ""): FAILING})

    lines.use(inventory(), ["gw-2"], {("gw-1", ""): FAILING}, {})

    assert "gw-1" not in text(lines, "handshake_failures_total")
    assert "gw-2" in text(lines, "handshake_failures_total")


def test_names_are_escaped() -> None:
    name = 'dev "1"\\\n'
    lines = shown({("gw-1", name): FAILING}, name)

    assert 'device="dev \\"1\\"\\\\\\n"' in text(lines, "device_failing")


def test_the_same_list_is_returned_while_nothing_changes() -> None:
    lines = shown({("gw-1", "dev-01"): FAILING}, "dev-01")
    family = f"{P}handshake_failures_total"

    first = lines.lines_of(family)
    again = lines.lines_of(family)
    lines.update({("gw-1", "dev-01"): GOOD}, {})

    assert again is first
    assert lines.lines_of(family) is not first


def test_the_certificates_end_is_in_whole_seconds() -> None:
    lines = HandshakeLines()
    lines.use(inventory("dev-01"), ["gw-1"], {}, {"dev-01": NOON_S, "dev-77": NOON_S})

    assert text(lines, "client_certificate_not_after_timestamp_seconds") == (
        f'{P}client_certificate_not_after_timestamp_seconds{{device="dev-01"}} {NOON_S:.0f}\n'
    )


@pytest.mark.parametrize(
    ("family", "value"),
    [
        ("exporter_log_lines_read_total", "9"),
        ("exporter_log_lines_matched_total", "4"),
        ("exporter_log_lines_cut_total", "1"),
        ("exporter_log_lines_suspicious_total", "2"),
        ("exporter_log_lag_seconds", "1.5"),
    ],
)
def test_each_source_tells_of_its_reading(family: str, value: str) -> None:
    stats = SourceStats(
        line_count=9, matched_count=4, cut_count=1, suspicious_count=2, waiting_since_s=10.0
    )

    [line] = source_lines(f"{P}{family}", {"file:/var/log/a.log": stats}, 11.5)

    assert line.decode() == f'{P}{family}{{source="file:/var/log/a.log"}} {value}\n'


def test_a_source_that_is_up_to_date_has_no_lag() -> None:
    [line] = source_lines(f"{P}exporter_log_lag_seconds", {"stdin": SourceStats()}, 11.5)

    assert line.endswith(b"} 0.0\n")


def test_every_metric_of_handshake_logs_in_the_catalogue_is_filled() -> None:
    tally = Tally(
        success_count=1, proven_count=1, resumed_count=1, failure_counts={UNKNOWN_CA: 1},
        failing=UNKNOWN_CA, told_s=NOON_S, success_s=NOON_S,
    )  # fmt: skip
    lines = HandshakeLines()
    lines.use(inventory("dev-01"), ["gw-1"], {("gw-1", "dev-01"): tally}, {"dev-01": NOON_S})

    filled = {
        name
        for name, metric in CATALOGUE.items()
        if metric.filler is Filler.HANDSHAKE_LOG
        and (lines.lines_of(name) or source_lines(name, {"stdin": SourceStats(is_ok=True)}, 0.0))
    }

    assert filled | {STORE_OK} == {
        name for name, metric in CATALOGUE.items() if metric.filler is Filler.HANDSHAKE_LOG
    }
