"""Points of form that OpenSSL's strict profile asked for and newer versions let pass; pure.

OpenSSL 3.0's ``X509_STRICT`` refuses these two, 4.0's does not. Devices run the older ones, and
RFC 5280 has not changed.
"""

from collections.abc import Sequence

from cryptography import x509

from exporter.certificates import Certificate


def faults_of_form(path: Sequence[Certificate]) -> list[tuple[Certificate, str]]:
    """Return each certificate that breaks a rule of form, with the rule in words."""
    return [(c, what) for c in path for what in [_fault(c.parsed())] if what is not None]


def _fault(certificate: x509.Certificate) -> str | None:
    try:
        extensions = certificate.extensions
    except (ValueError, TypeError):
        return None  # OpenSSL's own answer stands
    for extension in extensions:
        match extension.value:
            # RFC 5280, 4.2.1.9: must be critical in a CA certificate; X509_V_ERR 89
            case x509.BasicConstraints(ca=True) if not extension.critical:
                return "basic constraints of a CA are not marked critical"
            # RFC 5280, 4.2.1.6; X509_V_ERR 88
            case x509.SubjectAlternativeName() if not extension.critical:
                if not list(certificate.subject):
                    return "the subject is empty and the alternative name is not critical"
    return None
