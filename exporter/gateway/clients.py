"""The management APIs of the configuration, by name, as they are in force."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from exporter.clock import Clock
from exporter.gateway.adapters import ADAPTERS
from exporter.gateway.api import ManagementApi
from exporter.gateway.client import ApiStats, Client
from exporter.gateway.options import Options


@dataclass(frozen=True, slots=True)
class _Open:
    options: Options
    api: ManagementApi
    stats: ApiStats


class Clients:
    """One client for each management API; there is nothing to run, and nothing to close."""

    def __init__(self, options: Sequence[Options], clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, _Open] = {}
        self.read(options)

    def read(self, options: Sequence[Options]) -> None:
        """Use these APIs from now on; one that stays as it is goes on, with what it remembers."""
        self._open = {one.name: self._opened(one) for one in options}

    @property
    def apis(self) -> Mapping[str, ManagementApi]:
        """By name."""
        return MappingProxyType({name: one.api for name, one in self._open.items()})

    @property
    def options(self) -> Mapping[str, Options]:
        """How each is reached, by name."""
        return MappingProxyType({name: one.options for name, one in self._open.items()})

    @property
    def stats(self) -> Mapping[str, ApiStats]:
        """What was counted, by name."""
        return MappingProxyType({name: one.stats for name, one in self._open.items()})

    def _opened(self, options: Options) -> _Open:
        before = self._open.get(options.name)
        if before is not None and before.options == options:
            return before
        stats = before.stats if before is not None else ApiStats()
        client = Client(options, self._clock, stats)
        return _Open(options, ADAPTERS[options.adapter](client), stats)
