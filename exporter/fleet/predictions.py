"""What each device would say to its gateway's chain, judged once for all that trust the same."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from exporter.anchors import TrustStore
from exporter.certificates import Certificate
from exporter.fleet.held import Held, Holdings
from exporter.fleet.model import Acceptance
from exporter.targets.model import Role, Target

_Key = tuple[str, str, str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The devices behind one gateway that trust the same, by the same basis."""

    gateway: str
    held: Held
    devices: list[str] = field(default_factory=list)

    @property
    def key(self) -> _Key:
        """One for each group."""
        return (self.gateway, *self.held.key)


class Predictions:
    """The groups, and what was last predicted for each."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[_Key, Group]] = {}
        self._last: dict[_Key, Acceptance] = {}
        self._reported: Mapping[str, frozenset[str]] = {}
        self._certificates: Mapping[str, Certificate] = {}
        self._missing: set[str] = set()

    @property
    def reported(self) -> Mapping[str, frozenset[str]]:
        """What each device with a fresh report trusts."""
        return self._reported

    @property
    def certificates(self) -> Mapping[str, Certificate]:
        """Those of reported anchors, as far as they are known; the same object until one more is.

        Those of the configuration's stores are not among them.
        """
        return self._certificates

    def tell_reports(
        self,
        reported: Mapping[str, frozenset[str]],
        certificates: Mapping[str, Certificate],
    ) -> None:
        """Go by these reports at the next ``use``."""
        self._reported = reported
        self._certificates = {**self._certificates, **certificates}

    def recognize(self, chain: Iterable[Certificate]) -> bool:
        """Keep of ``chain`` what is known as a reported hash only; False: nothing is.

        Those that are found count at the next ``use``.
        """
        found = {one.fingerprint_sha256: one for one in chain}
        fresh = found.keys() & self._missing
        fresh_ones = {fingerprint: found[fingerprint] for fingerprint in fresh}
        self._certificates = {**self._certificates, **fresh_ones}
        return bool(fresh)

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
        holdings = Holdings(
            stores=stores, reported=self._reported, certificates=self._known(stores)
        )
        groups: dict[str, dict[_Key, Group]] = {}
        for target in targets:
            if target.role is not Role.DEVICE or target.gateway is None:
                continue
            held = holdings.of(target)
            if held is not None:
                behind = groups.setdefault(target.gateway, {})
                fresh = Group(gateway=target.gateway, held=held)
                behind.setdefault(fresh.key, fresh).devices.append(target.name)
        self._groups, self._missing = groups, holdings.missing
        self._last = {
            key: told
            for key, told in self._last.items()
            if key[0] in kept_gateways and key in groups.get(key[0], {})
        }

    def groups_of(self, gateway: str) -> Iterable[Group]:
        """Return the groups of devices behind ``gateway``; none for what is no gateway."""
        return self._groups.get(gateway, {}).values()

    def groups(self) -> Iterable[Group]:
        """Return the groups behind all gateways."""
        return (group for behind in self._groups.values() for group in behind.values())

    def last(self, group: Group) -> Acceptance | None:
        """Return what was last predicted for ``group``; None: nothing can be said."""
        return self._last.get(group.key)

    def tell(self, group: Group, told: Acceptance | None) -> None:
        """Remember what is predicted for ``group``."""
        if told is None:
            self._last.pop(group.key, None)
        else:
            self._last[group.key] = told

    def unjudged(self) -> set[str]:
        """Return the gateways with a group of which nothing was said yet."""
        return {group.gateway for group in self.groups() if self.last(group) is None}

    def by_device(self) -> Mapping[str, Acceptance]:
        """Return what was last predicted for each device."""
        return {
            device: told
            for group in self.groups()
            if (told := self.last(group)) is not None
            for device in group.devices
        }

    def _known(self, stores: Mapping[str, TrustStore]) -> Mapping[str, Certificate]:
        anchors = (anchor for store in stores.values() for anchor in store.anchors)
        return {
            **self._certificates,
            **{anchor.fingerprint_sha256: anchor for anchor in anchors},
        }
