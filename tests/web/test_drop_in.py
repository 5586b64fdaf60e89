"""The names, labels and meanings that blackbox_exporter and ssl_exporter use."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.certificates import Certificate, describe
from exporter.observations import Durations, Observation, Reason
from exporter.verdicts.model import Verdict
from exporter.web.drop_in import families_of, rendered
from tests.pki import certificate_of, make_ca, make_leaf, utc

NOW = utc("2026-11-24T12:00:00")
CA = make_ca("drop-in CA", not_before=utc("2026-01-01"), not_after=utc("2036-01-01"))
LEAF = make_leaf(
    CA,
    "gw.example",
    "10.0.0.1",
    not_before=utc("2026-11-01"),
    not_after=utc("2027-02-01"),
)
CHAIN = (certificate_of(LEAF), certificate_of(CA))
SEEN = Observation(
    target="gw",
    address="gw.example:8883",
    observed_at=NOW,
    connected=True,
    handshake=True,
    tls_version="TLSv1.3",
    cipher="TLS_AES_128_GCM_SHA256",
    chain=CHAIN,
    durations_s=Durations(resolve=0.001, connect=0.002, handshake=0.003),
)
VERIFIED = Verdict(
    trust_store="fw",
    verified=True,
    path=tuple(certificate.fingerprint_sha256 for certificate in CHAIN),
    not_after=utc("2027-02-01"),
    judged_at=NOW,
)
REFUSED = Verdict(trust_store="new", verified=False, reasons=(Reason.UNKNOWN_CA,), judged_at=NOW)
SSL_LABELS = {"serial_no", "issuer_cn", "cn", "dnsnames", "ips", "emails", "ou"}


def samples(
    observation: Observation, *verdicts: Verdict
) -> dict[str, list[tuple[dict[str, str], float]]]:
    text = rendered(families_of(observation, verdicts, took_s=0.25), openmetrics=False).decode()
    return {
        family.name: [(sample.labels, sample.value) for sample in family.samples]
        for family in parse_text(text)
    }


def test_a_good_look_has_every_name() -> None:
    found = samples(SEEN, VERIFIED)

    assert found["probe_success"] == [({}, 1)]
    assert found["ssl_probe_success"] == [({}, 1)]
    assert found["probe_duration_seconds"] == [({}, 0.25)]
    assert found["probe_dns_lookup_time_seconds"] == [({}, 0.001)]
    assert found["probe_tls_version_info"] == [({"version": "TLS 1.3"}, 1)]
    assert found["probe_ssl_earliest_cert_expiry"] == [({}, utc("2027-02-01").timestamp())]
    assert found["probe_ssl_last_chain_expiry_timestamp_seconds"] == [
        ({}, utc("2027-02-01").timestamp())
    ]
    assert "probe_failure_reason" not in found


def test_the_leaf_is_described_as_blackbox_exporter_does() -> None:
    [(labels, value)] = samples(SEEN, VERIFIED)["probe_ssl_last_chain_info"]

    assert value == 1
    assert labels == {
        "fingerprint_sha256": CHAIN[0].fingerprint_sha256,
        "subject": "CN=gw.example",
        "issuer": "CN=drop-in CA",
        "subjectalternative": "gw.example",
        "serialnumber": CHAIN[0].serial_number,
    }


def test_each_certificate_is_described_as_ssl_exporter_does() -> None:
    leaf, ca = samples(SEEN, VERIFIED)["ssl_cert_not_after"]

    assert leaf == (
        {
            "serial_no": str(LEAF.certificate.serial_number),
            "issuer_cn": "drop-in CA",
            "cn": "gw.example",
            "dnsnames": ",gw.example,",
            "ips": ",10.0.0.1,",
            "emails": "",
            "ou": "",
        },
        utc("2027-02-01").timestamp(),
    )
    assert set(ca[0]) == SSL_LABELS
    assert ca[0]["cn"] == "drop-in CA"


def test_verified_certificates_are_those_on_the_path() -> None:
    stray = certificate_of(make_ca("stray"))
    seen = replace(SEEN, chain=(*CHAIN, stray))

    found = samples(seen, VERIFIED)["ssl_verified_cert_not_after"]

    assert [labels["cn"] for labels, _ in found] == ["gw.example", "drop-in CA"]
    assert {label for labels, _ in found for label in labels} == {*SSL_LABELS, "chain_no"}


def test_dates_stay_when_the_chain_is_not_verified() -> None:
    found = samples(SEEN, VERIFIED, REFUSED)

    assert found["probe_success"] == [({}, 0)]
    assert found["probe_failure_reason"] == [({"reason": "unknown_ca"}, 1)]
    assert "probe_ssl_earliest_cert_expiry" in found
    assert "ssl_cert_not_after" in found
    assert "probe_ssl_last_chain_expiry_timestamp_seconds" not in found
    assert "ssl_verified_cert_not_after" not in found


def test_of_several_stores_the_first_end_counts() -> None:
    earlier = replace(VERIFIED, trust_store="b", not_after=utc("2026-12-01"))

    found = samples(SEEN, VERIFIED, earlier)

    assert found["probe_ssl_last_chain_expiry_timestamp_seconds"] == [
        ({}, utc("2026-12-01").timestamp())
    ]


def test_a_look_without_a_chain_says_nothing_of_one() -> None:
    failed = Observation(
        target="gw", address="gw:1", observed_at=NOW, reason=Reason.CONNECT_REFUSED, detail="x"
    )

    found = samples(failed)

    assert set(found) == {
        "probe_success", "ssl_probe_success", "probe_duration_seconds", "probe_failure_reason",
    }  # fmt: skip
    assert found["probe_success"] == [({}, 0)]


def test_a_chain_that_nobody_has_judged_is_no_success() -> None:
    assert samples(SEEN)["probe_success"] == [({}, 0)]


@pytest.mark.parametrize(
    ("openssl", "spelled"),
    [("TLSv1", "TLS 1.0"), ("TLSv1.1", "TLS 1.1"), ("TLSv1.2", "TLS 1.2"), ("TLSv1.3", "TLS 1.3")],
)
def test_versions_are_spelled_as_go_spells_them(openssl: str, spelled: str) -> None:
    found = samples(replace(SEEN, tls_version=openssl), VERIFIED)

    assert found["probe_tls_version_info"] == [({"version": spelled}, 1)]


def test_a_certificate_that_was_sent_twice_is_one_series() -> None:
    found = samples(replace(SEEN, chain=(CHAIN[0], CHAIN[1], CHAIN[1])), VERIFIED)

    assert len(found["ssl_cert_not_after"]) == 2


def odd_certificate(common_name: str) -> Certificate:
    return certificate_of(make_leaf(CA, common_name=common_name))


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize(
    "name", ['a"} 1\nfake_metric 1\n#', "back\\slash", "\u202eright", "tab\tbell\x07", "x" * 64]
)
def test_hostile_names_stay_inside_their_label(name: str, openmetrics: bool) -> None:
    seen = replace(SEEN, chain=(odd_certificate(name),))
    text = rendered(families_of(seen, [REFUSED], took_s=1), openmetrics=openmetrics).decode()

    parse = parse_openmetrics if openmetrics else parse_text
    families = {family.name for family in parse(text)}

    assert "fake_metric" not in families
    assert "ssl_cert_not_after" in families


def test_long_texts_are_cut() -> None:
    names = [f"host-{number}.example" for number in range(100)]
    seen = replace(SEEN, chain=(certificate_of(make_leaf(CA, *names)),))

    [(labels, _)] = samples(seen, REFUSED)["ssl_cert_not_after"]

    assert len(labels["dnsnames"]) == 128


def test_units_and_mail_addresses_are_listed() -> None:
    more = x509.SubjectAlternativeName(
        [x509.RFC822Name("ops@example.org"), x509.DNSName("a.example")]
    )
    made = make_leaf(CA, common_name="with mail", extra=((more, False),))

    [(labels, _)] = samples(replace(SEEN, chain=(certificate_of(made),)), REFUSED)[
        "ssl_cert_not_after"
    ]

    assert labels["emails"] == ",ops@example.org,"
    assert labels["dnsnames"] == ",a.example,"
    assert labels["ou"] == ""


def test_extensions_that_cannot_be_read_leave_the_names_empty() -> None:
    crooked = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\xff")
    made = make_leaf(CA, common_name="crooked", extra=((crooked, False),))

    [(labels, _)] = samples(replace(SEEN, chain=(certificate_of(made),)), REFUSED)[
        "ssl_cert_not_after"
    ]

    assert labels["cn"] == "crooked"
    assert labels["dnsnames"] == ""


def test_organizational_units_are_listed() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "u"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "one"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "two"),
        ]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(255)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    seen = replace(SEEN, chain=(describe(made.public_bytes(Encoding.DER)),))

    [(labels, _)] = samples(seen, REFUSED)["ssl_cert_not_after"]

    assert labels["ou"] == ",one,two,"
    assert labels["serial_no"] == "255"
