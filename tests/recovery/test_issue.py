"""What is issued for a request, and what is refused."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from exporter.errors import CertificateError
from exporter.recovery.issue import (
    Wanted,
    fault_of_issued,
    hash_for,
    is_key_of,
    names_asked,
    read_request,
    template,
)
from tests.pki import make_ca, make_leaf, new_key

NOW = datetime.now(UTC)  # noqa: TID251 - certificates are judged by others at the real time
MONTH = Wanted(lifetime=timedelta(days=30))
NAME = x509.DNSName("gw-1.example")
KEY = ec.generate_private_key(ec.SECP256R1())
CA = make_ca("old CA")
ISSUER = x509.load_der_x509_certificate(CA.der)


def weak_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)  # noqa: S505 - it is to be refused


def request_for(
    *names: x509.GeneralName, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = KEY,
    purposes: tuple[x509.ObjectIdentifier, ...] = (),
) -> x509.CertificateSigningRequest:  # fmt: skip
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gw-1.example")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return builder.sign(key, SHA256())


def issued(request: x509.CertificateSigningRequest, wanted: Wanted = MONTH) -> x509.Certificate:
    return template(request, ISSUER, wanted, now=NOW).sign(CA.key, hash_for(CA.key))


def test_the_names_and_the_key_of_the_request_are_kept() -> None:
    made = issued(request_for(NAME))

    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [NAME]
    assert made.public_key() == KEY.public_key()
    assert made.issuer == ISSUER.subject


def test_clients_find_the_usages_they_ask_for() -> None:
    extensions = issued(request_for(NAME, key=rsa.generate_private_key(65537, 2048))).extensions

    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (
        True, True, False,
    )  # fmt: skip
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_gateway_that_is_a_client_too_stays_one_and_gets_nothing_else() -> None:
    asked = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.CODE_SIGNING)

    made = issued(request_for(NAME, purposes=asked))

    purposes = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_names_of_the_present_certificate_come_beside_those_asked_for() -> None:
    other = x509.DNSName("gw-1.internal")

    made = issued(request_for(NAME), Wanted(lifetime=timedelta(days=1), names=(other, NAME)))

    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [NAME, other]


def test_a_request_without_any_name_is_refused() -> None:
    with pytest.raises(CertificateError, match=r"no subject alternative name.*--like"):
        issued(request_for())


def test_it_ends_with_the_ca_at_the_latest() -> None:
    made = issued(request_for(NAME), Wanted(lifetime=timedelta(days=90_000)))

    assert made.not_valid_after_utc == ISSUER.not_valid_after_utc
    assert made.not_valid_before_utc <= NOW


def test_an_expired_ca_issues_nothing() -> None:
    with pytest.raises(CertificateError, match="is not valid now"):
        template(request_for(NAME), ISSUER, MONTH, now=ISSUER.not_valid_after_utc)


def test_what_is_no_ca_issues_nothing() -> None:
    leaf = x509.load_der_x509_certificate(make_leaf(CA, "gw-1.example").der)

    with pytest.raises(CertificateError, match="is no CA"):
        template(request_for(NAME), leaf, MONTH, now=NOW)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no certificate request"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
         "no certificate request"),
        (ISSUER.public_bytes(Encoding.PEM), "no certificate request"),
        (request_for(NAME, key=weak_rsa()).public_bytes(Encoding.PEM),
         "an RSA key of 1024 bits"),
        (request_for(NAME, key=ec.generate_private_key(ec.SECP192R1())).public_bytes(Encoding.PEM),
         "a key on secp192r1"),
    ],
)  # fmt: skip
def test_what_is_no_good_request_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(CertificateError, match=sentence):
        read_request(data, what="gw.csr")


def test_a_request_that_was_tampered_with_is_refused() -> None:
    der = bytearray(request_for(NAME).public_bytes(Encoding.DER))
    der[der.index(b"gw-1")] ^= 1  # the subject
    tampered = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)

    with pytest.raises(CertificateError, match="not by its own key"):
        read_request(tampered, what="gw.csr")


def test_a_signers_answer_is_checked_like_a_strangers() -> None:
    request = request_for(NAME)
    good = issued(request)
    stranger = make_ca("another CA")
    foreign = template(request, x509.load_der_x509_certificate(stranger.der), MONTH, now=NOW).sign(
        stranger.key, hash_for(stranger.key)
    )
    bare = (
        x509.CertificateBuilder()
        .subject_name(request.subject).issuer_name(ISSUER.subject)
        .public_key(request.public_key()).serial_number(1)
        .not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    )  # fmt: skip
    named = bare.add_extension(x509.SubjectAlternativeName([NAME]), critical=False)
    client = named.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
    )

    def fault(made: x509.Certificate) -> str:
        return fault_of_issued(made, request, ISSUER, MONTH)

    assert fault(good) == ""
    assert "another key" in fault(issued(request_for(NAME, key=new_key())))  # type: ignore[arg-type] # an EC key
    assert "not signed by the CA" in fault(foreign)
    # What openssl x509 -req makes of it
    assert "lacks the names gw-1.example" in fault(bare.sign(CA.key, SHA256()))
    assert "extended key usage" in fault(named.sign(CA.key, SHA256()))
    assert "not for a server" in fault(client.sign(CA.key, SHA256()))


def test_a_request_tells_the_names_it_asks_for() -> None:
    assert names_asked(request_for(NAME)) == (NAME,)
    assert names_asked(request_for()) == ()


@pytest.mark.parametrize("algorithm", ["ec-p384", "ed25519"])
def test_a_ca_with_another_kind_of_key_signs_in_its_own_way(algorithm: str) -> None:
    key = (
        ec.generate_private_key(ec.SECP384R1())
        if algorithm == "ec-p384"
        else ed25519.Ed25519PrivateKey.generate()
    )
    authority = make_ca("another old CA", key=key)
    issuer = x509.load_der_x509_certificate(authority.der)
    request = request_for(NAME)

    made = template(request, issuer, MONTH, now=NOW).sign(key, hash_for(key))

    assert is_key_of(issuer, key)
    assert not is_key_of(ISSUER, key)
    assert fault_of_issued(made, request, issuer, MONTH) == ""


def test_an_old_root_of_version_1_without_any_extension_may_issue(tmp_path: Path) -> None:
    for words in (
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.csr"
        " -subj /CN=older",
        "x509 -req -in ca.csr -signkey ca.key -out ca.pem -days 30",
    ):
        subprocess.run(
            ["openssl", *words.split()], cwd=tmp_path, check=True, capture_output=True, timeout=30
        )
    issuer = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())

    made = template(request_for(NAME), issuer, MONTH, now=datetime.now(UTC))  # noqa: TID251 - openssl's clock
    known = made.sign(KEY, SHA256()).extensions

    assert issuer.version is x509.Version.v1
    assert known.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier


def test_a_request_may_ask_for_a_purpose_and_not_be_a_client() -> None:
    asked = (ExtendedKeyUsageOID.SERVER_AUTH,)

    made = issued(request_for(NAME, purposes=asked))

    purposes = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_good_request_is_read_as_it_is() -> None:
    request = request_for(NAME)

    assert read_request(request.public_bytes(Encoding.PEM), what="gw.csr") == request
