"""Sample lines of the handshake metrics, rendered again only where a count has changed."""

from collections.abc import Callable, Iterable, Mapping

from exporter.handshake_log.counts import Key, Tally, Why
from exporter.handshake_log.stats import SourceStats
from exporter.labels import label_value
from exporter.observations import Reason, RejectedBy
from exporter.targets.model import Inventory, Role

_P = "fleet_tls_"
# What a log can tell; the rest belongs to looks
_REASONS = tuple(
    reason
    for reason in Reason
    if reason
    not in {
        Reason.DNS_FAILURE,
        Reason.CONNECT_REFUSED,
        Reason.CONNECT_TIMEOUT,
        Reason.UNREACHABLE,
        Reason.INTERNAL,
    }
)
_NOBODY = Tally(failure_counts={(reason, by): 0 for reason in _REASONS for by in RejectedBy})

Lines = list[bytes]


def _place(key: Key) -> str:
    return f'gateway="{label_value(key[0])}",device="{label_value(key[1])}"'


def _why(why: Why) -> str:
    return f'reason="{why[0]}",rejected_by="{why[1]}"'


def _totals(key: Key, tally: Tally) -> Lines:
    return [f"{_P}handshakes_total{{{_place(key)}}} {tally.full_count}\n".encode()]


def _failures(key: Key, tally: Tally) -> Lines:
    return [
        f"{_P}handshake_failures_total{{{_place(key)},{_why(why)}}} {count}\n".encode()
        for why, count in tally.failure_counts.items()
    ]


def _resumed(key: Key, tally: Tally) -> Lines:
    if not tally.resumed_count and key[1]:
        return []
    return [f"{_P}handshakes_resumed_total{{{_place(key)}}} {tally.resumed_count}\n".encode()]


def _failing(key: Key, tally: Tally) -> Lines:
    if tally.failing is None or not key[1]:
        return []
    return [f"{_P}device_failing{{{_place(key)},{_why(tally.failing)}}} 1\n".encode()]


def _success(key: Key, tally: Tally) -> Lines:
    if tally.success_s is None:
        return []
    name = f"{_P}handshake_last_success_timestamp_seconds"
    return [f"{name}{{{_place(key)}}} {tally.success_s:.3f}\n".encode()]


_OF_TALLY: Mapping[str, Callable[[Key, Tally], Lines]] = {
    f"{_P}handshakes_total": _totals,
    f"{_P}handshake_failures_total": _failures,
    f"{_P}handshakes_resumed_total": _resumed,
    f"{_P}device_failing": _failing,
    f"{_P}handshake_last_success_timestamp_seconds": _success,
}
STORE_OK = f"{_P}exporter_store_ok"
_SOURCE_OK = f"{_P}exporter_log_source_ok"
_OF_SOURCE: Mapping[str, Callable[[SourceStats, float], float]] = {
    _SOURCE_OK: lambda stats, _: int(stats.is_ok is True),
    f"{_P}exporter_log_lines_read_total": lambda stats, _: stats.line_count,
    f"{_P}exporter_log_lines_matched_total": lambda stats, _: stats.matched_count,
    f"{_P}exporter_log_lines_cut_total": lambda stats, _: stats.cut_count,
    f"{_P}exporter_log_lines_suspicious_total": lambda stats, _: stats.suspicious_count,
    f"{_P}exporter_log_lag_seconds": lambda stats, now_s: round(stats.lag_s(now_s), 3),
}


class HandshakeLines:
    """The lines of what is durable, of devices that are in the inventory."""

    def __init__(self) -> None:
        self._inventory = Inventory()
        self._gateways: frozenset[str] = frozenset()
        self._tallies: dict[Key, Tally] = {}
        self._certificates: dict[str, float] = {}
        self._cells: dict[str, dict[Key, Lines]] = {name: {} for name in _OF_TALLY}
        self._joined: dict[str, Lines] = {}
        self._failing_before: set[tuple[str, Why]] = set()

    @property
    def tallies(self) -> Mapping[Key, Tally]:
        """What is shown."""
        return self._tallies

    @property
    def certificates(self) -> Mapping[str, float]:
        """The end of each device's own certificate, seconds since 1970."""
        return self._certificates

    def use(
        self,
        inventory: Inventory,
        gateways: Iterable[str],
        tallies: Mapping[Key, Tally],
        certificates: Mapping[str, float],
    ) -> None:
        """Show what is known of these devices, and zeros for nobody's at each gateway."""
        self._inventory = inventory
        self._gateways = frozenset(gateways)
        for key in [key for key in self._tallies if not self._is_shown(key)]:
            del self._tallies[key]
            for cells in self._cells.values():
                cells.pop(key, None)
        self._certificates = {}
        zeros = {(gateway, ""): Tally() for gateway in gateways}
        # What stays is rendered already, and of a large fleet nearly all stays
        new = {key: tally for key, tally in tallies.items() if key not in self._tallies}
        self.update({key: zeros[key] for key in zeros.keys() - self._tallies.keys()}, {})
        self.update(new, certificates)

    def update(self, tallies: Mapping[Key, Tally], certificates: Mapping[str, float]) -> None:
        """Show what has become durable."""
        for key, tally in tallies.items():
            if not self._is_shown(key):
                continue
            if not key[1]:
                counts = {**_NOBODY.failure_counts, **tally.failure_counts}
                self._tallies[key] = Tally(
                    success_count=tally.success_count,
                    resumed_count=tally.resumed_count,
                    proven_count=tally.proven_count,
                    failure_counts=counts,
                    success_s=tally.success_s,
                )
            else:
                self._tallies[key] = tally
            for name, render in _OF_TALLY.items():
                self._cells[name][key] = render(key, self._tallies[key])
        self._certificates |= {
            device: at_s for device, at_s in certificates.items() if self._is_device(device)
        }
        self._joined.clear()

    def _is_shown(self, key: Key) -> bool:
        gateway, device = key
        return self._is_device(device) if device else gateway in self._gateways

    def _is_device(self, name: str) -> bool:
        target = self._inventory.targets.get(name)
        return target is not None and target.role is Role.DEVICE

    def lines_of(self, family: str) -> Lines:
        """Return the lines of one family that tells of handshakes; the same list if unchanged."""
        if family not in self._joined:
            self._joined[family] = self._join(family)
        return self._joined[family]

    def _join(self, family: str) -> Lines:
        if family == f"{_P}devices_failing":
            return self._devices_failing()
        if family == f"{_P}client_certificate_not_after_timestamp_seconds":
            return [
                f'{family}{{device="{label_value(device)}"}} {at_s:.0f}\n'.encode()
                for device, at_s in self._certificates.items()
            ]
        cells = self._cells.get(family, {})
        if family == f"{_P}handshakes_total":
            able = self._gateways_with(lambda tally: tally.success_count + tally.resumed_count)
            return [line for key, own in cells.items() if key[0] in able for line in own]
        if family == f"{_P}handshakes_resumed_total":
            able = self._gateways_with(lambda tally: tally.proven_count + tally.resumed_count)
            return [line for key, own in cells.items() if key[0] in able for line in own]
        return [line for own in cells.values() for line in own]

    def _gateways_with(self, count: Callable[[Tally], int]) -> set[str]:
        """Return the gateways whose logs have ever told of what is counted.

        A total without successes would be no total, and "none was resumed" where nobody tells
        would be a guess: both stay absent.
        """
        return {gateway for (gateway, _), tally in self._tallies.items() if count(tally)}

    def _devices_failing(self) -> Lines:
        counts: dict[tuple[str, Why], int] = dict.fromkeys(self._failing_before, 0)
        for (gateway, device), tally in self._tallies.items():
            if device and tally.failing is not None:
                key = (gateway, tally.failing)
                counts[key] = counts.get(key, 0) + 1
        self._failing_before = set(counts)
        name = f"{_P}devices_failing"
        return [
            f'{name}{{gateway="{label_value(gateway)}",{_why(why)}}} {count}\n'.encode()
            for (gateway, why), count in sorted(counts.items())
        ]


def source_lines(family: str, stats: Mapping[str, SourceStats], now_s: float) -> Lines:
    """Return the lines of a family that tells of the sources; empty for any other."""
    value = _OF_SOURCE.get(family)
    if value is None:
        return []
    return [
        f'{family}{{source="{label_value(name)}"}} {value(one, now_s)}\n'.encode()
        for name, one in stats.items()
        if family != _SOURCE_OK or one.is_ok is not None
    ]
