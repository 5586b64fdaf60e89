"""How each device stands, kept true to reports, wishes and time."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from exporter.certificates import Certificate
from exporter.targets.model import Target
from exporter.trust_store.compare import Tally, difference_of, standing_of, tally_of
from exporter.trust_store.model import Difference, Standing
from exporter.trust_store.options import Options
from exporter.trust_store.reports import ReportBook

# A report may be shown as fresh for so long beyond its limit: when an API is silent, those of a
# large fleet grow old one by one, every second some
_LATE = timedelta(seconds=5)

_Pair = tuple[frozenset[str] | None, frozenset[str]]


class Standings:
    """The standing of every device of the inventory.

    Devices that are to trust the same and report the same share one comparison; a device is gone
    through again when something about it has changed, or its time has come.

    Attributes:
        version: Rises with every change of a standing.
        anchors_version: Rises when it is another one what some device trusts, or whether that is
            known.
    """

    def __init__(self, book: ReportBook) -> None:
        self.version = 0
        self.anchors_version = 0
        self._book = book
        self._devices: Mapping[str, Target] = {}
        self._options = Options()
        self._certificates: Mapping[str, Certificate] = {}
        self._standings: dict[str, Standing] = {}
        self._anchors: dict[str, frozenset[str]] = {}
        self._differences: dict[_Pair, Difference] = {}
        self._due_at: datetime | None = None
        self._compared_at: datetime | None = None
        self._compared_all_at: datetime | None = None

    @property
    def by_device(self) -> Mapping[str, Standing]:
        """As of the last comparison."""
        return MappingProxyType(self._standings)

    @property
    def current_anchors(self) -> Mapping[str, frozenset[str]]:
        """What each device trusts by a report that is not stale; the others are missing."""
        return self._anchors.copy()

    def use(
        self,
        devices: Mapping[str, Target],
        certificates: Mapping[str, Certificate],
        options: Options,
    ) -> None:
        """Go by these from the next comparison on, which is one of all devices."""
        self._devices, self._certificates, self._options = devices, certificates, options
        self._compared_at = None
        for name in self._standings.keys() - devices.keys():
            del self._standings[name]
            self.version += 1
            self.anchors_version += self._anchors.pop(name, None) is not None

    def due(self, changed: Iterable[str], now: datetime) -> Sequence[str]:
        """Return the devices to be compared: those in ``changed``, or all when time demands it."""
        if self._is_anything_due(now):
            self._due_at, self._compared_all_at, changed = None, now, self._devices
            # The ends of certificates, and clocks that went back, leave nothing of the old ones
            self._differences = {}
        self._compared_at = now
        return tuple(changed)

    def compare(self, names: Iterable[str], now: datetime) -> Sequence[str]:
        """Compare these devices; return those whose standing is another now."""
        return [name for name in names if name in self._devices and self._compare(name, now)]

    def _is_anything_due(self, now: datetime) -> bool:
        if self._compared_at is None or self._compared_all_at is None or now < self._compared_at:
            return True
        is_due = self._due_at is not None and now >= self._due_at
        return is_due and now - self._compared_all_at >= _LATE

    def _compare(self, name: str, now: datetime) -> bool:
        known, wanted = self._book.known(name), self._book.wanted(name)
        difference = None
        if known.report is not None:
            anchors = wanted.anchors if wanted is not None else None
            difference = self._difference(anchors, known.report.anchors, now)
        old = self._standings.get(name)
        new = standing_of(
            known,
            wanted,
            difference,
            limit_s=self._options.stale_s(self._devices[name].contact_interval_s),
            now=now,
        )
        self._note_due(new)
        if new == old:
            return False
        self._standings[name] = new
        self.version += 1
        self._note_anchors(name, new.current_anchors)
        return True

    def _difference(
        self, wanted: frozenset[str] | None, reported: frozenset[str], now: datetime
    ) -> Difference:
        found = self._differences.get((wanted, reported))
        if found is None:
            found = self._differences[wanted, reported] = difference_of(
                wanted,
                reported,
                self._certificates,
                expiring_s=self._options.expiring_within,
                now=now,
            )
        return found

    def _note_due(self, standing: Standing) -> None:
        ends = [standing.steady_until, self._due_at]
        if standing.difference is not None:
            ends.append(standing.difference.steady_until)
        self._due_at = min((end for end in ends if end is not None), default=None)

    def _note_anchors(self, name: str, anchors: frozenset[str] | None) -> None:
        if self._anchors.get(name) == anchors:
            return
        self.anchors_version += 1
        if anchors is None:
            del self._anchors[name]
        else:
            self._anchors[name] = anchors

    def tally_by_class(self) -> Mapping[str, Tally]:
        """Return the counts of each device class, also that of devices without one."""
        members: dict[str, list[Standing]] = {}
        for name, standing in self._standings.items():
            members.setdefault(self._devices[name].device_class, []).append(standing)
        return {device_class: tally_of(of) for device_class, of in sorted(members.items())}
