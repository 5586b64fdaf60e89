"""Makes the plan of a rotation, or of a renewal, of what the fleet is now; pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ssl import DER_cert_to_PEM_cert

from exporter.certificates import Certificate
from exporter.errors import ExporterError
from exporter.fleet.model import FleetSnapshot, TargetState
from exporter.rotation.kin import Judging, leads_to
from exporter.rotation.model import Plan, PlannedGateway
from exporter.rotation.options import Options
from exporter.rotation.records import Rotation
from exporter.targets.model import Role
from exporter.wording import listed

CANARY = "canary"
_SHOWN = 5


class PlanError(ExporterError):
    """No plan can be made of what was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person, or the calendar, wants.

    Attributes:
        id: The rotation's name; empty: one is made.
        new_ca: The CA that comes; None: the same, a renewal.
        old_ca: The one that goes; None: the one that all gateways' chains lead to.
        gateways: Only these; empty: all that serve a chain of the old CA.
    """

    id: str = ""
    new_ca: Certificate | None = None
    old_ca: Certificate | None = None
    gateways: tuple[str, ...] = ()
    is_same_subject_meant: bool = False
    has_other_client_ca: bool = False


def planned_rotation(
    wish: Wish, snapshot: FleetSnapshot, judge: Judging, *, options: Options, at: datetime
) -> Rotation:
    """Return the rotation that would be started; nothing is changed by it.

    Raises:
        PlanError: a gateway is unknown or not seen, or it is not clear which CA is to go.
    """
    served = _served(wish, snapshot)
    old = wish.old_ca or _authority_of(served, snapshot, judge, at)
    names = [name for name, state in served.items() if leads_to(state.chain, old, judge, at=at)]
    if not names:
        raise PlanError(f"no gateway serves a chain of {old.subject}: there is nothing to rotate")
    strays = set(wish.gateways) - set(names)
    if strays:
        raise PlanError(f"{listed(sorted(strays))}: no chain of {old.subject} is served there")
    new = wish.new_ca or old
    ordered = _in_order(names, snapshot)
    canaries = _canaries(ordered, snapshot)
    plan = Plan(
        id=wish.id or _name(old, new, names, at),
        old_ca=old.fingerprint_sha256,
        new_ca=new.fingerprint_sha256,
        gateways=tuple(
            PlannedGateway(
                name=name,
                before=served[name].chain[0].fingerprint_sha256,
                is_canary=name in canaries,
            )
            for name in (*(one for one in ordered if one in canaries),
                         *(one for one in ordered if one not in canaries))
        ),
        overlap_s=options.overlap,
        is_same_subject_meant=wish.is_same_subject_meant,
        has_other_client_ca=wish.has_other_client_ca,
    )  # fmt: skip
    return Rotation(plan=plan, old_pem=_pem(old), new_pem=_pem(new), started_at=at)


def _pem(certificate: Certificate) -> str:
    return DER_cert_to_PEM_cert(certificate.der)


def _served(wish: Wish, snapshot: FleetSnapshot) -> Mapping[str, TargetState]:
    gateways = {
        name: state
        for name, state in snapshot.targets.items()
        if state.target.role is Role.GATEWAY
    }
    unknown = [name for name in wish.gateways if name not in gateways]
    if unknown:
        raise PlanError(f"{listed(unknown)}: no such gateway in the inventory")
    wanted = wish.gateways or tuple(gateways)
    unseen = [name for name in wanted if not gateways[name].is_chain_current]
    if unseen:
        raise PlanError(
            f"what {listed(unseen[:_SHOWN])} serve{'s' * (len(unseen) == 1)} is not seen; a plan"
            " would leave out what it does not know of. Name the gateways that are meant, or let"
            " them answer first"
        )
    if not wanted:
        raise PlanError("there is no gateway in the inventory")
    return {name: gateways[name] for name in wanted}


def _authority_of(
    served: Mapping[str, TargetState], snapshot: FleetSnapshot, judge: Judging, at: datetime
) -> Certificate:
    """Return the one anchor that all these chains lead to.

    Raises:
        PlanError: there is none, or there are several.
    """
    anchors = authorities_in(snapshot)
    found = {
        one.fingerprint_sha256: one
        for one in anchors
        if any(leads_to(state.chain, one, judge, at=at) for state in served.values())
    }
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise PlanError(
            "which CA signed what the gateways serve is not known: it is in no trust store and no"
            " report; give it with --old-ca FILE"
        )
    names = listed(
        sorted(f"{one.subject} ({one.fingerprint_sha256[:16]})" for one in found.values())
    )
    raise PlanError(f"the gateways' chains lead to several CAs: {names}; say which with --old-ca")


def authorities_in(snapshot: FleetSnapshot) -> Collection[Certificate]:
    """Return every CA that somebody is said or reported to trust."""
    stores = (anchor for store in snapshot.stores.values() for anchor in store.anchors)
    reported = {one for anchors in snapshot.reported.values() for one in anchors}
    told = (cert for name, cert in snapshot.certificates.items() if name in reported)
    return list({one.fingerprint_sha256: one for one in (*stores, *told)}.values())


def _in_order(names: Iterable[str], snapshot: FleetSnapshot) -> Sequence[str]:
    """Return the gateways, those with the fewest devices first: what goes wrong harms fewer."""
    counts = _device_counts(snapshot)
    return sorted(names, key=lambda name: (counts.get(name, 0) == 0, counts.get(name, 0), name))


def _device_counts(snapshot: FleetSnapshot) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for state in snapshot.targets.values():
        if state.target.gateway is not None:
            counts[state.target.gateway] = counts.get(state.target.gateway, 0) + 1
    return counts


def _canaries(ordered: Sequence[str], snapshot: FleetSnapshot) -> Collection[str]:
    """Return who goes first: the gateways of the canary group, of canary devices, or one."""
    targets = snapshot.targets
    own = [name for name in ordered if targets[name].target.rollout_group == CANARY]
    if own:
        return set(own)
    behind: dict[str, set[str]] = {}
    for state in targets.values():
        if state.target.gateway is not None:
            behind.setdefault(state.target.gateway, set()).add(state.target.rollout_group)
    only = {name for name in ordered if behind.get(name) == {CANARY}}
    return only or {ordered[0]}


def _name(old: Certificate, new: Certificate, names: Sequence[str], at: datetime) -> str:
    is_renewal = old.fingerprint_sha256 == new.fingerprint_sha256
    about = names[0] if is_renewal and len(names) == 1 else new.fingerprint_sha256[:8]
    return f"{'renewal' if is_renewal else 'rotation'}-{about}-{at:%Y%m%dT%H%M%S}"
