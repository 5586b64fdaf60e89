"""One inventory of several sources; pure."""

from collections.abc import Sequence

from exporter.targets.groups import MAX_DROPPED_KEPT
from exporter.targets.model import Dropped, Inventory, Role, Target
from exporter.targets.source import Reading
from exporter.wording import shown


def merge(readings: Sequence[Reading]) -> tuple[Inventory, tuple[int, ...]]:
    """Return the inventory, and how many entries of each reading were dropped in all.

    Of several entries with one name the first in the order of ``readings`` stays. Devices whose
    gateway is not there, or is no gateway, are dropped. The inventory keeps the first
    ``MAX_DROPPED_KEPT`` dropped entries.
    """
    taken: dict[str, Target] = {}
    whose: dict[str, int] = {}
    dropped: list[Dropped] = []
    counts = [reading.dropped_count for reading in readings]
    for index, reading in enumerate(readings):
        dropped += reading.dropped
        for target in reading.targets:
            first = taken.setdefault(target.name, target)
            whose.setdefault(target.name, index)
            if first is not target:
                counts[index] += 1
                dropped.append(_name_taken(target, first))
    targets = {}
    for name, target in taken.items():
        problem = _gateway_problem(target, taken)
        if problem:
            counts[whose[name]] += 1
            dropped.append(Dropped(source=target.source, name=name, message=problem))
        else:
            targets[name] = target
    return Inventory(targets=targets, dropped=tuple(dropped[:MAX_DROPPED_KEPT])), tuple(counts)


def _name_taken(target: Target, first: Target) -> Dropped:
    message = f"the name is taken by an entry of {first.source}, which comes first"
    return Dropped(source=target.source, name=target.name, message=message)


def _gateway_problem(target: Target, taken: dict[str, Target]) -> str:
    if target.gateway is None:
        return ""
    gateway = taken.get(target.gateway)
    if gateway is None:
        return f"gateway: there is no target named {shown(target.gateway)}"
    if gateway.role is not Role.GATEWAY:
        return f"gateway: {shown(target.gateway)} is a device, not a gateway"
    return ""
