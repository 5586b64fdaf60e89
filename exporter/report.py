"""A look, or a chain from a file, with all its verdicts, as plain data for JSON; pure.

The shape is what scripts rely on: a change here is a breaking change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.certificates import Certificate
from exporter.observations import Observation, OcspStaple, Reason, WarningReason, in_order
from exporter.verdicts.model import Verdict

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What all trust stores together, and the handshake itself, come to.

    Attributes:
        verified: By all stores; None only when no chain was received.
        reason: The handshake's own, else the first of all; None when all is good.
        reasons: All, in the enum's order.
        detail: About ``reason``, and what the look noted; may be empty when all is good.
    """

    verified: bool | None
    reason: Reason | None
    reasons: tuple[Reason, ...]
    warnings: tuple[WarningReason, ...]
    detail: str


def outcome_of(
    verdicts: Sequence[Verdict], *, failure: Reason | None = None, detail: str = ""
) -> Outcome:
    """Return what ``verdicts`` and a handshake's ``failure`` come to; ``detail`` is its own."""
    held = {reason for verdict in verdicts for reason in verdict.reasons}
    reasons = in_order(held | ({failure} if failure else set()))
    reason = failure or (reasons[0] if reasons else None)
    remarks = {remark for verdict in verdicts for remark in verdict.warnings}
    return Outcome(
        verified=all(verdict.verified for verdict in verdicts) if verdicts else None,
        reason=reason,
        reasons=reasons,
        warnings=tuple(remark for remark in WarningReason if remark in remarks),
        detail=detail if failure else _join(_first_detail(verdicts, reason), detail),
    )


def _first_detail(verdicts: Iterable[Verdict], reason: Reason | None) -> str:
    about = (v.detail for v in verdicts if reason is None or v.reasons[:1] == (reason,))
    return next((text for text in about if text), "")


def _join(*sentences: str) -> str:
    return "; ".join(sentence for sentence in sentences if sentence)


def look_json(observation: Observation, verdicts: Sequence[Verdict]) -> Json:
    """Return one look as ``probe --json`` prints it."""
    outcome = outcome_of(verdicts, failure=observation.reason, detail=observation.detail)
    told_by = observation.rejected_by
    if observation.reason is None and outcome.verified is False:
        refused: str | None = "local"  # the server refused nothing; it is we who judge so
    else:
        refused = told_by.value if told_by else None
    spent = observation.durations_s
    return {
        "target": observation.address,
        "protocol": observation.protocol,
        "connected": observation.connected,
        "handshake": observation.handshake,
        **_outcome_json(outcome),
        "rejected_by": refused,
        "detail": outcome.detail,
        "tls_version": observation.tls_version,
        "cipher": observation.cipher,
        "alpn": observation.alpn,
        "client_certificate_requested": observation.client_certificate_requested,
        "chain": chain_json(observation.chain),
        "trust_stores": [verdict_json(verdict) for verdict in verdicts],
        "ocsp": _ocsp_json(observation.ocsp),
        "durations_s": {
            "resolve": spent.resolve,
            "connect": spent.connect,
            "handshake": spent.handshake,
        },
        "observed_at": rfc3339(observation.observed_at),
    }


def chain_report_json(
    chain: Sequence[Certificate], verdicts: Sequence[Verdict], *, at: datetime
) -> Json:
    """Return the judgement of a chain from a file as ``verify --json`` prints it."""
    outcome = outcome_of(verdicts)
    return {
        **_outcome_json(outcome),
        "detail": outcome.detail,
        "at": rfc3339(at),
        "chain": chain_json(chain),
        "trust_stores": [verdict_json(verdict) for verdict in verdicts],
    }


def _outcome_json(outcome: Outcome) -> dict[str, object]:
    return {
        "verified": outcome.verified,
        "reason": outcome.reason.value if outcome.reason else None,
        "reasons": [reason.value for reason in outcome.reasons],
        "warnings": [remark.value for remark in outcome.warnings],
    }


def chain_json(chain: Iterable[Certificate]) -> list[Json]:
    """Return a chain as sent, leaf first."""
    return [
        {
            "position": position,
            "subject": certificate.subject,
            "issuer": certificate.issuer,
            "serial_number": certificate.serial_number,
            "not_before": rfc3339(certificate.not_before),
            "not_after": rfc3339(certificate.not_after),
            "fingerprint_sha256": certificate.fingerprint_sha256,
            "public_key": certificate.public_key,
            "signature_algorithm": certificate.signature_algorithm,
        }
        for position, certificate in enumerate(chain)
    ]


def verdict_json(verdict: Verdict) -> Json:
    """Return one trust store's verdict."""
    return {
        "name": verdict.trust_store,
        "verified": verdict.verified,
        "reasons": [reason.value for reason in verdict.reasons],
        "warnings": [remark.value for remark in verdict.warnings],
        "not_after": rfc3339(verdict.not_after) if verdict.not_after else None,
        "path": list(verdict.path),
    }


def _ocsp_json(staple: OcspStaple | None) -> Json | None:
    if staple is None:
        return None
    return {
        "status": staple.status,
        "this_update": rfc3339(staple.this_update),
        "next_update": rfc3339(staple.next_update) if staple.next_update else None,
        "verified": staple.verified,
    }


def rfc3339(moment: datetime) -> str:
    """Return an aware moment as RFC 3339 in UTC; fractions to the millisecond, if any."""
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
