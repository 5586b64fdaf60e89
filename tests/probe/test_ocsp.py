from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from exporter.errors import CertificateError
from exporter.probe.ocsp import StapleCache, read_staple
from tests.pki import Issued, Wishes, certificate_of, issue, make_ca, make_leaf, new_key
from tests.probe.staples import staple_of


def family(kind: str = "EC P-256") -> tuple[Issued, Issued]:
    """A CA with a key of this kind, and its leaf."""
    ca = issue(Wishes(common_name="CA", is_ca=True), key=new_key(kind))
    return ca, make_leaf(ca, "gw.test")


@pytest.mark.parametrize("kind", ["EC P-256", "EC P-384", "RSA 2048", "Ed25519"])
def test_an_answer_signed_by_the_issuer_is_verified(kind: str) -> None:
    ca, leaf = family(kind)

    staple = read_staple(staple_of(leaf, ca), [certificate_of(leaf), certificate_of(ca)])

    assert (staple.status, staple.verified) == ("good", True)
    assert staple.next_update == staple.this_update + timedelta(days=4)


def test_the_issuer_is_found_wherever_it_stands_in_the_chain() -> None:
    ca, leaf = family()
    chain = [certificate_of(leaf), certificate_of(make_ca("stray")), certificate_of(ca)]

    assert read_staple(staple_of(leaf, ca), chain).verified is True


def test_an_answer_whose_issuer_was_not_sent_is_neither_verified_nor_refused() -> None:
    ca, leaf = family()

    staple = read_staple(staple_of(leaf, ca), [certificate_of(leaf)])

    assert (staple.status, staple.verified) == ("good", None)


def test_a_delegate_of_the_issuer_may_sign() -> None:
    ca, leaf = family()
    delegate = make_leaf(ca, "responder", purposes=[ExtendedKeyUsageOID.OCSP_SIGNING])
    chain = [certificate_of(leaf), certificate_of(ca)]

    assert read_staple(staple_of(leaf, ca, responder=delegate), chain).verified is True


def test_a_delegate_may_have_another_kind_of_key_than_the_issuer() -> None:
    ca, leaf = family("EC P-256")
    signing = [ExtendedKeyUsageOID.OCSP_SIGNING]
    delegate = make_leaf(ca, "responder", purposes=signing, key=new_key("Ed25519"))
    chain = [certificate_of(leaf), certificate_of(ca)]

    assert read_staple(staple_of(leaf, ca, responder=delegate), chain).verified is True


def odd_certificate(ca: Issued, key: dsa.DSAPrivateKey) -> x509.Certificate:
    """A responder's certificate with a DSA key, by ``ca``."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "responder")])
    start = ca.certificate.not_valid_before_utc
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=9))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
        .sign(ca.key, hashes.SHA256())
    )


def test_a_delegate_with_a_key_we_do_not_understand_verifies_nothing() -> None:
    ca, leaf = family()
    key = dsa.generate_private_key(2048)
    responder = Issued(certificate=odd_certificate(ca, key), key=key)

    staple = read_staple(
        staple_of(leaf, ca, responder=responder), [certificate_of(leaf), certificate_of(ca)]
    )

    assert staple.verified is False


def test_an_issuer_with_a_key_we_do_not_understand_makes_the_answer_unreadable() -> None:
    key = dsa.generate_private_key(2048)
    ca, _ = family()
    issuer = odd_certificate(ca, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(new_key().public_key())
        .serial_number(8)
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
    )
    leaf = Issued(certificate=builder.sign(key, hashes.SHA256()), key=new_key())
    odd = Issued(certificate=issuer, key=key)

    with pytest.raises(CertificateError, match="DSA"):
        read_staple(staple_of(leaf, odd), [certificate_of(leaf), certificate_of(odd)])


@pytest.mark.parametrize("who", ["no-purpose", "no-extension", "stranger"])
def test_nobody_else_may_sign(who: str) -> None:
    ca, leaf = family()
    signing = [ExtendedKeyUsageOID.OCSP_SIGNING]
    responder = {
        "no-purpose": make_leaf(ca, "responder"),
        "no-extension": make_leaf(ca, "responder", purposes=None),
        "stranger": make_leaf(make_ca("CA"), "responder", purposes=signing),
    }[who]
    chain = [certificate_of(leaf), certificate_of(ca)]

    staple = read_staple(staple_of(leaf, ca, responder=responder), chain)

    assert staple.verified is False


def test_an_answer_with_the_same_number_by_another_issuer_is_about_another_certificate() -> None:
    ca, leaf = family()
    chain = [certificate_of(leaf), certificate_of(ca)]

    with pytest.raises(CertificateError, match="about another certificate"):
        read_staple(staple_of(leaf, make_ca("CA")), chain)


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"no answer", b"\x30\x03\x0a\x01\x00"])
def test_what_is_no_answer_is_refused_with_a_sentence(der: bytes) -> None:
    _, leaf = family()

    with pytest.raises(CertificateError, match="stapled OCSP answer"):
        read_staple(der, [certificate_of(leaf)])


def test_an_answer_that_says_it_cannot_answer_is_refused_with_its_words() -> None:
    _, leaf = family()
    later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    with pytest.raises(CertificateError, match="says try_later"):
        read_staple(later.public_bytes(Encoding.DER), [certificate_of(leaf)])


def test_a_changed_answer_is_not_verified() -> None:
    ca, leaf = family("RSA 2048")
    der = bytearray(staple_of(leaf, ca))
    der[-1] ^= 1

    chain = [certificate_of(leaf), certificate_of(ca)]

    assert read_staple(bytes(der), chain).verified is False


def test_the_same_answer_for_the_same_chain_is_read_once() -> None:
    ca, leaf = family()
    chain = [certificate_of(leaf), certificate_of(ca)]
    staple = staple_of(leaf, ca)
    cache = StapleCache(limit=1)

    first, again = cache.read(staple, chain), cache.read(staple, chain)
    cache.read(staple, chain[:1])

    assert first is again
    assert cache.read(staple, chain) is not first
