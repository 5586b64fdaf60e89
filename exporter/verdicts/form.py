"""Points of form that OpenSSL's strict profile asked for and newer versions let pass; pure.

OpenSSL 3.0's ``X509_STRICT`` refuses these two, 4.0's does not. Devices run the older ones, and
RFC 5280 has not changed.
"""

from collections.abc import Sequence

from cryptography import x509

from exporter.certificates import UNREADABLE, Certificate

# Object identifier 2.5.29.19 with the value right behind it: no "critical" between them
_BASIC_CONSTRAINTS_NOT_CRITICAL = b"\x06\x03\x55\x1d\x13\x04"


def faults_of_form(path: Sequence[Certificate]) -> list[tuple[Certificate, str]]:
    """Return each certificate that breaks a rule of form, with the rule in words."""
    return [(c, what) for c in path if _is_suspect(c) for what in [_fault(c.parsed())] if what]


def _is_suspect(certificate: Certificate) -> bool:
    # Reading extensions costs more than all else that is done with a good certificate
    return not certificate.subject or _BASIC_CONSTRAINTS_NOT_CRITICAL in certificate.der


def _fault(certificate: x509.Certificate) -> str | None:
    try:
        extensions = certificate.extensions
    except UNREADABLE:
        return None  # OpenSSL's own answer stands
    has_subject = bool(list(certificate.subject))
    for extension in extensions:
        match extension.value:
            # RFC 5280, 4.2.1.9: must be critical in a CA certificate; X509_V_ERR 89
            case x509.BasicConstraints(ca=True) if not extension.critical:
                return "basic constraints of a CA are not marked critical"
            # RFC 5280, 4.2.1.6; X509_V_ERR 88
            case x509.SubjectAlternativeName() if not (extension.critical or has_subject):
                return "the subject is empty and the alternative name is not critical"
    return None
