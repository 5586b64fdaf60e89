"""Makes evidence of what was looked at, asked for and logged; pure."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from exporter.anchors import trust_store
from exporter.certificates import Certificate, read_pem
from exporter.errors import CertificateError
from exporter.fleet.model import Acceptance, TargetState
from exporter.gateway.messages import CertificateVersion, GatewayCertificates, VersionState
from exporter.handshake_log.recent import Recent
from exporter.observations import Observation, Reason
from exporter.remediation.model import (
    AcceptanceBasis,
    Accepts,
    Answer,
    ChangeFact,
    DeviceEvidence,
    PreviousVersion,
    ServedFact,
    VersionsFact,
)
from exporter.verdicts.judge import judge

_TIMES = {Reason.EXPIRED, Reason.NOT_YET_VALID}
_NOBODY_HEARD = Recent()


def served_of(observation: Observation) -> ServedFact | None:
    """Return what a look was shown; None: no certificate."""
    chain = observation.chain
    if not chain:
        return None
    return ServedFact(
        fingerprint=chain[0].fingerprint_sha256,
        not_before=max(one.not_before for one in chain),
        not_after=min(one.not_after for one in chain),
        observed_at=observation.observed_at,
    )


def previous_in(certificates: GatewayCertificates) -> CertificateVersion | None:
    """Return the version to go back to; None: there is none."""
    found = (one for one in certificates.versions if one.state is VersionState.PREVIOUS)
    return next(found, None)


def chain_of(version: CertificateVersion | None) -> tuple[Certificate, ...]:
    """Return a version's chain; empty where the API does not give it, or gives something else."""
    if version is None or not version.chain:
        return ()
    try:
        chain = read_pem(version.chain.encode(), what=f"the chain of version {version.version}")
    except CertificateError:
        return ()
    return chain if chain[0].fingerprint_sha256 == version.fingerprint else ()


def versions_of(
    certificates: GatewayCertificates, *, compromised: Collection[str], now: datetime
) -> VersionsFact | None:
    """Return what the management API says; None: not even what is served."""
    if certificates.serving.fingerprint is None:
        return None
    previous = previous_in(certificates)
    return VersionsFact(
        current=certificates.serving.version,
        current_fingerprint=certificates.serving.fingerprint,
        previous=_previous(previous, compromised, now) if previous is not None else None,
        activation_number=certificates.activation_number,
        last_operation_number=certificates.last_operation_number,
        observed_at=now,
    )


def _previous(
    version: CertificateVersion, compromised: Collection[str], now: datetime
) -> PreviousVersion:
    chain = chain_of(version)
    return PreviousVersion(
        number=version.version,
        fingerprint=version.fingerprint,
        not_after=min([version.not_after, *(one.not_after for one in chain)]),
        is_key_usable=version.key_usable,
        is_chain_good=_is_whole(chain, now) if chain else None,
        is_revoked=version.fingerprint in compromised,
    )


def _is_whole(chain: Sequence[Certificate], now: datetime) -> bool:
    """Return whether each certificate leads to the next; its dates are another refusal."""
    top = trust_store("the top of the chain", chain[-1:])
    return set(judge(chain, top, name=None, at=now).reasons) <= _TIMES


def change_of(certificates: GatewayCertificates, now: datetime) -> ChangeFact | None:
    """Return when what is served began to be served; None: nobody says."""
    serving = certificates.serving
    for one in certificates.versions:
        if one.fingerprint == serving.fingerprint and one.activated_at is not None:
            return ChangeFact(
                changed_at=one.activated_at, source="management API", observed_at=now
            )
    return None


def device_of(
    state: TargetState,
    recent: Recent | None,
    previous: Acceptance | None,
    *,
    changed_at: datetime,
    look_back_s: float,
) -> DeviceEvidence:
    """Return what is known of one device.

    ``recent`` is what the logs tell of it, ``previous`` what it would say to the previous chain
    by what it trusts; None: nothing is known.
    """
    heard = recent or _NOBODY_HEARD
    interval_s = state.target.contact_interval_s or look_back_s
    failing = heard.failing_since(changed_at)
    return DeviceEvidence(
        device=state.target.name,
        connected_before=_is_before(heard, changed_at, max(interval_s, look_back_s)),
        connected_since_at=heard.full_since(changed_at),
        failing=failing.reason if failing else None,
        rejected_by=failing.rejected_by if failing else None,
        failed_at=failing.last_at if failing else None,
        failing_since_at=failing.first_at if failing else None,
        is_trusted_source=failing.is_evidence if failing else False,
        connected_resumed=heard.resumed_since(changed_at),
        accepts_current=_accepts(state.acceptance),
        accepts_previous=_accepts(previous, _is_before(heard, changed_at, interval_s)),
    )


def _is_before(heard: Recent, changed_at: datetime, seconds: float) -> bool:
    return heard.full_between(changed_at - timedelta(seconds=seconds), changed_at) is not None


def _accepts(told: Acceptance | None, was_accepted: bool = False) -> Accepts:  # noqa: FBT001, FBT002 - one fact
    if told is not None:
        if told.accepts is None:
            # A report that leaves it open is newer than the handshake: it may have dropped the CA
            return Accepts()
        answer = Answer.YES if told.accepts else Answer.NO
        return Accepts(answer=answer, basis=AcceptanceBasis(told.basis))
    if was_accepted:
        # Fleets without trust reports must not be left alone: it shook hands in full with it
        return Accepts(answer=Answer.YES, basis=AcceptanceBasis.HANDSHAKE)
    return Accepts()


def devices_of(
    states: Mapping[str, TargetState],
    gateway: str,
    recent: Mapping[str, Recent],
    previous: Mapping[str, Acceptance | None],
    *,
    changed_at: datetime,
    look_back_s: float,
) -> tuple[DeviceEvidence, ...]:
    """Return what is known of each device behind ``gateway``, in the inventory's order."""
    return tuple(
        device_of(
            state,
            recent.get(name),
            previous.get(name),
            changed_at=changed_at,
            look_back_s=look_back_s,
        )
        for name, state in states.items()
        if state.target.gateway == gateway
    )
