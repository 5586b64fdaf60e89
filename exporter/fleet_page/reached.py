"""How far each device of a rotation is, as the page shows it; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from exporter.fleet_page.query import Asked
from exporter.rotation.blockers import Subject
from exporter.rotation.model import DeviceFacts
from exporter.rotation.phases import is_validated, trusts_new
from exporter.rotation.seen import Seen
from exporter.rotation.view import View


class Reached(StrEnum):
    """How far one device is; in the order in which they are shown, what needs a person first."""

    REFUSES = "refuses"
    UNKNOWN = "unknown"
    WAITING = "waiting"
    TRUSTS = "trusts"
    WILLING = "willing"
    PROVEN = "proven"
    RELEASED = "released"
    LEFT_OUT = "left_out"


REACHED_WORDS: Mapping[Reached, str] = {
    Reached.REFUSES: "refusing the new chain",
    Reached.UNKNOWN: "without a fresh report",
    Reached.WAITING: "without the new CA yet",
    Reached.TRUSTS: "trusting the new CA",
    Reached.WILLING: "bound to accept the new chain",
    Reached.PROVEN: "proven on the new chain",
    Reached.RELEASED: "proven, and rid of the old CA",
    Reached.LEFT_OUT: "left out by a person",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One device and how far it is; ``key`` is what a search looks in."""

    device: str
    gateway: str
    device_class: str
    group: str
    reached: Reached
    is_blocking: bool
    key: str


def places_of(seen: Seen) -> Iterator[Place]:
    """Yield all devices, those in the way first, then those that have least."""
    view, excluded = seen.view, seen.rotation.marks.excluded
    blocking = set()
    if seen.rotation.marks.ended is None:
        blocking = {one.name for one in seen.gate.blockers if one.subject is Subject.DEVICE}
    found = [
        (name not in blocking, Reached.LEFT_OUT if name in excluded else reached(one, view), one)
        for name, one in view.facts.devices.items()
    ]
    order = {one: place for place, one in enumerate(Reached)}
    found.sort(key=lambda it: (it[0], order[it[1]]))
    for is_free, how_far, one in found:
        texts = (one.name, one.device_class, one.group, one.gateway)
        yield Place(
            device=one.name,
            gateway=one.gateway,
            device_class=one.device_class,
            group=one.group,
            reached=how_far,
            is_blocking=not is_free,
            key="\n".join(texts).casefold(),
        )


def reached(device: DeviceFacts, view: View) -> Reached:
    """Return how far a device is that nobody left out; what is not known is not reached."""
    if device.failing is not None:
        return Reached.REFUSES
    if device.full_at is not None:
        is_over = view.marks.removing_at is not None
        is_gone = device.trusts_old is False and device.is_fresh(view.now)
        return Reached.RELEASED if is_over and is_gone else Reached.PROVEN
    if not device.is_fresh(view.now):
        return Reached.UNKNOWN
    if not view.plan.is_renewal and not trusts_new(device, view.now):
        return Reached.WAITING
    if is_validated(device, view.marks):
        return Reached.WILLING
    return Reached.WAITING if view.plan.is_renewal else Reached.TRUSTS


def is_asked(place: Place, asked: Asked) -> bool:
    """Return whether the page's question is about a device."""
    return (
        asked.gateway in ("", place.gateway)
        and asked.device_class in ("", place.device_class)
        and asked.group in ("", place.group)
        and (not asked.text or asked.text.casefold() in place.key)
    )
