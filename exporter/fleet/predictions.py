"""What each device would say to its gateway's chain, judged once for all that hold the same."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from exporter.anchors import TrustStore, union
from exporter.fleet.model import Acceptance
from exporter.targets.model import Role, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The devices behind one gateway that trust the same.

    Attributes:
        store: All that they hold, as one store.
    """

    gateway: str
    store: TrustStore
    devices: list[str] = field(default_factory=list)


class Predictions:
    """The groups, and what was last predicted for each."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, Group]] = {}
        self._last: dict[tuple[str, str], Acceptance] = {}

    def use(
        self,
        targets: Iterable[Target],
        stores: Mapping[str, TrustStore],
        *,
        kept_gateways: Collection[str],
    ) -> None:
        """Group the devices anew.

        What was predicted for a group that remains, behind one of ``kept_gateways``, is kept.
        """
        unions: dict[tuple[str, ...], TrustStore | None] = {}
        groups: dict[str, dict[str, Group]] = {}
        for target in targets:
            if target.role is not Role.DEVICE or target.gateway is None or not target.holds:
                continue
            if target.holds not in unions:
                unions[target.holds] = _held(target.holds, stores)
            held = unions[target.holds]
            if held is not None:
                behind = groups.setdefault(target.gateway, {})
                fresh = Group(gateway=target.gateway, store=held)
                behind.setdefault(held.digest, fresh).devices.append(target.name)
        self._groups = groups
        self._last = {
            (gateway, digest): told
            for (gateway, digest), told in self._last.items()
            if gateway in kept_gateways and digest in groups.get(gateway, {})
        }

    def groups_of(self, gateway: str) -> Iterable[Group]:
        """Return the groups of devices behind ``gateway``; none for what is no gateway."""
        return self._groups.get(gateway, {}).values()

    def last(self, group: Group) -> Acceptance | None:
        """Return what was last predicted for ``group``; None: nothing can be said."""
        return self._last.get((group.gateway, group.store.digest))

    def tell(self, group: Group, told: Acceptance | None) -> None:
        """Remember what is predicted for ``group``."""
        key = (group.gateway, group.store.digest)
        if told is None:
            self._last.pop(key, None)
        else:
            self._last[key] = told

    def unjudged(self) -> set[str]:
        """Return the gateways with a group of which nothing was said yet."""
        return {
            group.gateway
            for behind in self._groups.values()
            for group in behind.values()
            if self.last(group) is None
        }

    def by_device(self) -> Mapping[str, Acceptance]:
        """Return what was last predicted for each device."""
        return {
            device: told
            for behind in self._groups.values()
            for group in behind.values()
            if (told := self.last(group)) is not None
            for device in group.devices
        }


def _held(names: tuple[str, ...], stores: Mapping[str, TrustStore]) -> TrustStore | None:
    """Return the union of the stores; None when one is not known: then nothing can be said.

    A part of what a device trusts may refuse what the whole accepts: judging by the part would
    raise a false alarm.
    """
    if any(name not in stores for name in names):
        return None
    return union("+".join(names), (stores[name] for name in names))
