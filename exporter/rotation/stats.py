"""What is shown of rotations in the metrics; a ``LineSource`` of the exposition."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from exporter.labels import label_value
from exporter.rotation.blockers import BlockReason, Subject
from exporter.rotation.model import Phase
from exporter.rotation.seen import Seen

_P = "fleet_tls_rotation_"


class RotationStats:
    """Rotations as they were last looked at.

    Args:
        seen: By name.
    """

    def __init__(self, seen: Callable[[], Mapping[str, Seen]]) -> None:
        self._seen = seen

    def lines_of(self, family: str) -> Sequence[bytes]:
        """Return the sample lines of one family."""
        made = _SAMPLES.get(family.removeprefix(_P)) if family.startswith(_P) else None
        if made is None:
            return []
        return [
            f"{family}{sample}\n".encode()
            for name, seen in self._seen().items()
            for sample in made(f'rotation="{label_value(name)}"', seen)
        ]


def _phase(rotation: str, seen: Seen) -> Iterable[str]:
    return (f'{{{rotation},phase="{one}"}} {int(one is seen.phase)}' for one in Phase)


def _gate(rotation: str, seen: Seen) -> Iterable[str]:
    is_open = seen.gate.is_open
    if is_open is not None and seen.rotation.marks.ended is None:
        yield f"{{{rotation}}} {int(is_open)}"


def _blocking(rotation: str, seen: Seen) -> Iterable[str]:
    devices = {
        (one.name, one.reason) for one in seen.gate.blockers if one.subject is Subject.DEVICE
    }
    counts = Counter(dict.fromkeys(BlockReason, 0))
    if seen.rotation.marks.ended is None:
        counts.update(reason for _, reason in devices)
    return (
        f'{{{rotation},reason="{reason}"}} {counts[reason]}' for reason in BlockReason
    )  # fmt: skip


def _excluded(rotation: str, seen: Seen) -> Iterable[str]:
    yield f"{{{rotation}}} {len(seen.rotation.marks.excluded)}"


def _drift(rotation: str, seen: Seen) -> Iterable[str]:
    is_drifting = bool(seen.view.position.drift) and seen.rotation.marks.ended is None
    yield f"{{{rotation}}} {int(is_drifting)}"


def _overlap_end(rotation: str, seen: Seen) -> Iterable[str]:
    end = seen.view.position.overlap_end
    if end is not None:
        yield f"{{{rotation}}} {end.timestamp()}"


_SAMPLES: Mapping[str, Callable[[str, Seen], Iterable[str]]] = {
    "phase": _phase,
    "gate_open": _gate,
    "blocking_devices": _blocking,
    "excluded_devices": _excluded,
    "drift": _drift,
    "overlap_end_timestamp_seconds": _overlap_end,
}
