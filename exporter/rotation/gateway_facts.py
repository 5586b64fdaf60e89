"""Makes of looks and answers what is known of each gateway; unknown stays unknown; pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509

from exporter.certificates import UNREADABLE, Certificate, read_pem
from exporter.errors import CertificateError
from exporter.gateway.messages import CertificateVersion, GatewayCertificates, VersionState
from exporter.recovery.issue import Wanted, read_request
from exporter.rotation.authority import Ordered, faults_of_chain
from exporter.rotation.gathered import NO_LOOK, GatewayLook, Gathered
from exporter.rotation.kin import Judging, needs_old
from exporter.rotation.model import GatewayFacts, GatewayMark
from exporter.rotation.options import Options
from exporter.rotation.phases import needed_until
from exporter.rotation.records import Rotation

# RFC 8446, 4.6.1: no ticket may be used for longer than seven days
_LONGEST_TICKET_S = 7 * 86_400.0
_NO_NAMES = "the names of today's certificate are not known, so they cannot be compared"


def gateway_facts(
    name: str, rotation: Rotation, gathered: Gathered, judge: Judging, options: Options
) -> GatewayFacts:
    """Return what is known of one gateway, of the plan or not."""
    look = gathered.looks.get(name, NO_LOOK)
    planned = {one.name: one.before for one in rotation.plan.gateways}
    mark = rotation.marks.gateway(name)
    before = mark.before or planned.get(name)
    told = look.certificates
    pending = told.pending_confirmation if told is not None else None
    version = _version(told, before)
    return GatewayFacts(
        name=name,
        served=look.chain[0].fingerprint_sha256 if look.chain else None,
        observed_at=look.observed_at,
        needs_old=_needs_old(look, rotation, judge, gathered.at),
        activated_at=_activated_at(look),
        has_api=look.has_api,
        is_ready=_is_ready(told, version),
        before_not_after=_before_end(before, version, gathered),
        candidate_faults=candidate_faults(name, rotation, gathered, options),
        is_busy=gathered.busy is None
        or name in gathered.busy
        or (pending is not None and not _is_ours(mark)),
        left_at=_left_at(_version(told, mark.candidate)),
        pending=pending,
        tickets_until=_tickets_until(look) if name in planned else None,
        no_tickets_from=_no_tickets_from(look) if name in planned else None,
        detail=look.detail,
    )


def _needs_old(look: GatewayLook, rotation: Rotation, judge: Judging, at: datetime) -> bool | None:
    old, new = authorities(rotation)
    return needs_old(look.chain, old, new, judge, at=at)


def authorities(rotation: Rotation) -> tuple[Certificate, Certificate]:
    """Return the CA that goes and the one that comes."""
    return _read(rotation.old_pem)[0], _read(rotation.new_pem)[0]


@lru_cache(maxsize=2_000)
def _read(pem: str) -> tuple[Certificate, ...]:
    return read_pem(pem.encode(), what="a certificate of the rotation")


def _version(told: GatewayCertificates | None, leaf: str | None) -> CertificateVersion | None:
    if told is None or leaf is None:
        return None
    return next((one for one in told.versions if one.fingerprint == leaf), None)


def _activated_at(look: GatewayLook) -> datetime | None:
    if not look.chain:
        return None
    version = _version(look.certificates, look.chain[0].fingerprint_sha256)
    return version.activated_at if version is not None else None


def _is_ready(told: GatewayCertificates | None, version: CertificateVersion | None) -> bool | None:
    """Return whether the version could be served again; None: nobody says."""
    if told is None:
        return None
    if version is None or not version.proven:
        return False
    return version.key_usable


def _left_at(candidate: CertificateVersion | None) -> datetime | None:
    """Return when a candidate was served that the agent proved, and serves no more."""
    if candidate is None or not candidate.proven or candidate.state is VersionState.CURRENT:
        return None
    return candidate.activated_at


def _before_end(
    before: str | None, version: CertificateVersion | None, gathered: Gathered
) -> datetime | None:
    ends = [one.not_after for one in gathered.chains.get(before or "", ())]
    if version is not None:
        ends.append(version.not_after)
    return min(ends, default=None)


def _is_ours(mark: GatewayMark) -> bool:
    return mark.intended is not None or mark.rotated_at is not None


def _tickets_until(look: GatewayLook) -> datetime | None:
    """Return until when tickets may hide refusals; where nobody tells, they are kept."""
    activated_at = _activated_at(look)
    if look.certificates is None or activated_at is None:
        return None
    tickets = look.certificates.tickets
    if tickets.kept is False:
        return None
    lifetime_s = tickets.lifetime_seconds
    kept_s = _LONGEST_TICKET_S if lifetime_s is None else lifetime_s
    return activated_at + timedelta(seconds=min(kept_s, _LONGEST_TICKET_S))


def _no_tickets_from(look: GatewayLook) -> datetime | None:
    """Return from when on every session rests on a handshake with what is served now."""
    return _tickets_until(look) or (_activated_at(look) if look.certificates else None)


# The candidate


def candidate_chain(name: str, rotation: Rotation) -> tuple[Certificate, ...]:
    """Return the chain that was signed for a gateway; empty: none that can be read."""
    order = rotation.orders.get(name)
    if order is None or not order.chain:
        return ()
    try:
        return _read(order.chain)
    except CertificateError:
        return ()


def candidate_faults(
    name: str, rotation: Rotation, gathered: Gathered, options: Options
) -> tuple[str, ...] | None:
    """Return what is wrong with a gateway's candidate; None: there is none yet."""
    chain = candidate_chain(name, rotation)
    candidate = rotation.marks.gateway(name).candidate
    if not chain or candidate is None:
        return None
    if chain[0].fingerprint_sha256 != candidate:
        return ("the chain that is kept is not the one that was judged before",)
    names = _names_of(_before_chain(name, rotation, gathered))
    if names is None:
        return (_NO_NAMES,)
    try:
        request = read_request(rotation.orders[name].request.encode(), what="the request")
    except CertificateError as exc:
        return (str(exc),)
    now = gathered.at
    ordered = Ordered(
        request=request,
        wanted=Wanted(lifetime=timedelta(0), names=names),
        authority=authorities(rotation)[1],
        now=now,
        until=needed_until(rotation.plan, now=now, options=options),
    )
    return faults_of_chain(chain, ordered)


def _before_chain(name: str, rotation: Rotation, gathered: Gathered) -> Sequence[Certificate]:
    planned = next((one.before for one in rotation.plan.gateways if one.name == name), "")
    return gathered.chains.get(rotation.marks.gateway(name).before or planned, ())


def _names_of(chain: Sequence[Certificate]) -> tuple[x509.GeneralName, ...] | None:
    """Return the names of a chain's leaf; None: they are not known."""
    if not chain:
        return None
    try:
        extensions = chain[0].parsed().extensions
        return tuple(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return ()
    except UNREADABLE:
        return None
