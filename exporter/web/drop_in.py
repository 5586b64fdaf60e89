"""One look in the names that blackbox_exporter and ssl_exporter use; pure.

The meanings are theirs (blackbox_exporter prober/tls.go, ssl_exporter prober/metrics.go), with
one difference: what is not known is absent. They write 0 or -62135596800 instead.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from exporter.certificates import Certificate
from exporter.labels import certificate_text, label_value
from exporter.observations import Observation
from exporter.report import Outcome, outcome_of
from exporter.verdicts.model import Verdict

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One gauge with its samples."""

    name: str
    help: str
    samples: tuple[Sample, ...]


def families_of(
    observation: Observation, verdicts: Sequence[Verdict], *, took_s: float
) -> tuple[Family, ...]:
    """Return the metrics of one look; a family without samples is left out."""
    outcome = outcome_of(verdicts, failure=observation.reason)
    is_good = observation.handshake and outcome.verified is True
    families = (
        _one("probe_success", "Handshake done, and verified by all trust stores.", is_good),
        _one("probe_duration_seconds", "How long the whole probe took.", took_s),
        _one(
            "probe_dns_lookup_time_seconds",
            "How long the name took to resolve.",
            observation.durations_s.resolve,
        ),
        _failure(outcome),
        *_session(observation),
        *_blackbox_chain(observation.chain, verdicts, outcome),
        _one("ssl_probe_success", "The same as probe_success.", is_good),
        *_ssl_exporter_chain(observation.chain, verdicts, outcome),
    )
    return tuple(family for family in families if family.samples)


def _one(name: str, text: str, value: float | None) -> Family:
    samples: tuple[Sample, ...] = () if value is None else (((), float(value)),)
    return Family(name=name, help=text, samples=samples)


def _failure(outcome: Outcome) -> Family:
    return Family(
        name="probe_failure_reason",
        help="1 for each reason why the probe is no success, as in fleet_tls_chain_problem.",
        samples=tuple(((("reason", reason.value),), 1.0) for reason in outcome.reasons),
    )


def _session(observation: Observation) -> Iterator[Family]:
    version = observation.tls_version
    if version:
        spelled = version.replace("TLSv1.", "TLS 1.") if "." in version else "TLS 1.0"
        labels = (("version", spelled),)
        yield Family(
            name="probe_tls_version_info",
            help="The TLS version that was agreed on.",
            samples=((labels, 1.0),),
        )


def _blackbox_chain(
    chain: Sequence[Certificate], verdicts: Sequence[Verdict], outcome: Outcome
) -> Iterator[Family]:
    if not chain:
        return
    yield _one(
        "probe_ssl_earliest_cert_expiry",
        "The earliest end of all certificates sent, whatever the verdict.",
        min(certificate.not_after for certificate in chain).timestamp(),
    )
    ends = [verdict.not_after for verdict in verdicts if verdict.not_after is not None]
    if outcome.verified and ends:
        yield _one(
            "probe_ssl_last_chain_expiry_timestamp_seconds",
            "When the verified chain stops verifying, for the first of the trust stores.",
            min(ends).timestamp(),
        )
    leaf = chain[0]
    labels = (
        ("fingerprint_sha256", leaf.fingerprint_sha256),
        ("subject", leaf.subject),
        ("issuer", leaf.issuer),
        ("subjectalternative", ",".join(_names_of(leaf).dns)),
        ("serialnumber", leaf.serial_number.removeprefix("-")),
    )
    yield Family(
        name="probe_ssl_last_chain_info",
        help="The leaf certificate.",
        samples=((labels, 1.0),),
    )


def _ssl_exporter_chain(
    chain: Sequence[Certificate], verdicts: Sequence[Verdict], outcome: Outcome
) -> Iterator[Family]:
    sent = [(_ssl_labels(certificate), certificate) for certificate in chain]
    yield Family(
        name="ssl_cert_not_after",
        help="End of each certificate sent.",
        samples=_unique((labels, one.not_after.timestamp()) for labels, one in sent),
    )
    yield Family(
        name="ssl_cert_not_before",
        help="Beginning of each certificate sent.",
        samples=_unique((labels, one.not_before.timestamp()) for labels, one in sent),
    )
    path = set(verdicts[0].path) if outcome.verified else set()
    on_path = [(labels, one) for labels, one in sent if one.fingerprint_sha256 in path]
    # ssl_exporter counts the chains that Go found; OpenSSL finds one
    number = (("chain_no", "0"),)
    yield Family(
        name="ssl_verified_cert_not_after",
        help="End of each certificate sent that is on the path which verifies.",
        samples=_unique((number + labels, one.not_after.timestamp()) for labels, one in on_path),
    )


def _ssl_labels(certificate: Certificate) -> Labels:
    names = _names_of(certificate)
    return (
        ("serial_no", str(int(certificate.serial_number, 16))),
        ("issuer_cn", certificate.issuer_cn),
        ("cn", certificate.subject_cn),
        ("dnsnames", _listed(names.dns)),
        ("ips", _listed(names.ips)),
        ("emails", _listed(names.emails)),
        ("ou", _listed(names.units)),
    )


def _listed(words: Sequence[str]) -> str:
    return f",{','.join(words)}," if words else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """What a certificate says it is for."""

    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


def _names_of(certificate: Certificate) -> _Names:
    try:
        parsed = certificate.parsed()
        units = parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        found = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return _Names(units=tuple(str(unit.value) for unit in units))
    except ValueError:  # extensions that cannot be read, or one twice
        return _Names()
    return _Names(
        dns=tuple(found.get_values_for_type(x509.DNSName)),
        ips=tuple(str(ip) for ip in found.get_values_for_type(x509.IPAddress)),
        emails=tuple(found.get_values_for_type(x509.RFC822Name)),
        units=tuple(str(unit.value) for unit in units),
    )


def _unique(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    # A certificate sent twice, or two that differ only beyond the cut
    kept: dict[str, Sample] = {}
    for labels, value in samples:
        kept.setdefault(_rendered(labels), (labels, value))
    return tuple(kept.values())


def rendered(families: Iterable[Family], *, openmetrics: bool) -> bytes:
    """Return the exposition of ``families``."""
    lines: list[str] = []
    for family in families:
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} gauge"]
        lines += [
            f"{family.name}{_rendered(labels)} {value:.15g}" for labels, value in family.samples
        ]
    if openmetrics:
        lines.append("# EOF")
    return "\n".join([*lines, ""]).encode()


def _rendered(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = ",".join(f'{name}="{_shown(name, text)}"' for name, text in labels)
    return f"{{{pairs}}}"


def _shown(name: str, text: str) -> str:
    # a serial number and a fingerprint are identities: they are bounded already (RFC 5280,
    # 4.1.2.2: 20 octets) or cut here like any other text
    return label_value(text) if name == "fingerprint_sha256" else certificate_text(text)
