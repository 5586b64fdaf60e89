"""Which place each target has in the columns."""

from collections.abc import Iterable

from exporter.metrics.columns import BLOCK
from exporter.targets.model import phase_of, shard_of

_SHARDS_KEPT = 64


class Slots:
    """Places for names; who stays keeps its place, so that little has to be compressed again.

    At first in the order of the targets' phases, block by block: between two scrapes the looks
    go on through a part of the blocks only. Within a block by name.
    """

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._size = 0
        self._shards: dict[tuple[int, int], list[int]] = {}

    @property
    def size(self) -> int:
        """Places there are, taken or free."""
        return self._size

    def get(self, name: str) -> int | None:
        """Return the place of ``name``; None: it has none."""
        return self._slots.get(name)

    def use(self, names: Iterable[str]) -> list[int]:
        """Give places to ``names`` and to no others; return those given up, taken again or not."""
        wanted = set(names)
        left = {name: slot for name, slot in self._slots.items() if name not in wanted}
        new = wanted - self._slots.keys()
        block_count = -(-len(new) // BLOCK)
        ordered = sorted(new, key=lambda name: (int(phase_of(name, block_count)), name))
        for name in left:
            del self._slots[name]
        self._free.extend(left.values())
        self._free.sort(reverse=True)
        for name in ordered:
            if self._free:
                self._slots[name] = self._free.pop()
            else:
                self._slots[name] = self._size
                self._size += 1
        self._shards.clear()
        return list(left.values())

    def of_shard(self, number: int, count: int) -> list[int]:
        """Return the places of shard ``number`` (from 1) of ``count``, ascending."""
        found = self._shards.get((number, count))
        if found is None:
            found = sorted(
                slot for name, slot in self._slots.items() if shard_of(name, count) == number
            )
            if len(self._shards) >= _SHARDS_KEPT:
                self._shards.clear()
            self._shards[number, count] = found
        return found
