"""What comes in about devices, read into values; refused with a sentence. Pure."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.certificates import Certificate, is_ca, read_pem
from exporter.errors import CertificateError
from exporter.gateway.agent.answers import RefusedError
from exporter.gateway.messages import ErrorCode, TrustStoreReportRequest
from exporter.wording import listed, shown

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What a report says.

    Attributes:
        certificates: Those of ``anchors`` that came as certificates.
    """

    anchors: frozenset[str]
    certificates: Sequence[Certificate]
    reported_at: datetime


def reported_in(request: TrustStoreReportRequest) -> Reported:
    """Return what a device says it trusts.

    Raises:
        RefusedError: an anchor is neither a hash nor a certificate, or the moment is none.
    """
    hashes: set[str] = set()
    certificates = []
    for position, anchor in enumerate(request.anchors):
        if _FINGERPRINT.fullmatch(anchor):
            hashes.add(anchor)
        elif anchor.lstrip().startswith("-----BEGIN"):
            certificates.append(one_certificate(anchor, f"anchors[{position}]"))
        else:
            raise RefusedError(
                ErrorCode.INVALID,
                f"anchors[{position}] is {shown(anchor)}; write a SHA-256 in 64 lower-case hex"
                " digits, or a PEM certificate",
            )
    try:
        reported_at = request.reported_at.astimezone(UTC)
    except OverflowError as exc:
        raise RefusedError(ErrorCode.INVALID, "reportedAt is beyond all calendars") from exc
    return Reported(
        anchors=frozenset(hashes | {one.fingerprint_sha256 for one in certificates}),
        certificates=certificates,
        reported_at=reported_at,
    )


def one_certificate(pem: str, what: str) -> Certificate:
    """Return the one certificate in ``pem``.

    Raises:
        RefusedError: there is none, more than one, or a private key in it.
    """
    found = certificates_in(pem, what)
    if len(found) != 1:
        raise RefusedError(
            ErrorCode.INVALID, f"{what} holds {len(found)} certificates; exactly one belongs there"
        )
    return found[0]


def certificates_in(pem: str, what: str) -> Sequence[Certificate]:
    """Return the certificates in ``pem``, in its order.

    Raises:
        RefusedError: there is none, one cannot be read, or there is a private key in it.
    """
    try:
        return read_pem(pem.encode(), what=what)
    except CertificateError as exc:
        raise RefusedError(ErrorCode.INVALID, str(exc)) from exc


def check_anchor(certificate: Certificate) -> None:
    """Return when devices can trust ``certificate`` as an anchor.

    Raises:
        RefusedError: it is no CA's.
    """
    if not is_ca(certificate.parsed()):
        raise RefusedError(
            ErrorCode.REFUSED, f"{certificate.subject} is not a CA's certificate (CA:TRUE)"
        )


def check_devices(asked: Collection[str], known: Collection[str]) -> None:
    """Return when all devices that are asked for are known.

    Raises:
        RefusedError: with those that are not.
    """
    unknown = [name for name in dict.fromkeys(asked) if name not in known]
    if unknown:
        raise RefusedError(
            ErrorCode.UNKNOWN_DEVICE,
            f"not known behind this gateway: {listed([shown(name) for name in unknown])}",
            devices=unknown,
        )
