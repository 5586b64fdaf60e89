"""What each device is to trust, from the inventory and the configuration; pure."""

from collections.abc import Iterable, Mapping, Sequence

from exporter.anchors import TrustStore
from exporter.targets.model import Role, Target
from exporter.trust_store.options import Desired


def wanted_anchors(
    targets: Iterable[Target], stores: Mapping[str, TrustStore], desired: Sequence[Desired]
) -> dict[str, frozenset[str]]:
    """Return the SHA-256 of all anchors that each device is to trust, by its name.

    A device is left out when nothing is configured for it, or a store is not there: by a part
    of what it is to trust it could look synced. Devices that are to trust the same share a set.
    """
    unions: dict[tuple[str, ...], frozenset[str]] = {}
    found = {}
    for target in targets:
        if target.role is not Role.DEVICE:
            continue
        names = _stores_for(target, desired)
        if names not in unions:
            unions[names] = _union(names, stores)
        if unions[names]:
            found[target.name] = unions[names]
    return found


def _stores_for(target: Target, desired: Sequence[Desired]) -> tuple[str, ...]:
    for one in desired:
        if one.device_class in ("", target.device_class) and one.rollout_group in (
            "",
            target.rollout_group,
        ):
            return one.trust_stores
    return target.holds


def _union(names: tuple[str, ...], stores: Mapping[str, TrustStore]) -> frozenset[str]:
    if any(name not in stores for name in names):
        return frozenset()
    return frozenset(
        anchor.fingerprint_sha256 for name in names for anchor in stores[name].anchors
    )
