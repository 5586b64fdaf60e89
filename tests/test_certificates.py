import base64
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.certificates import (
    MAX_CERTIFICATE_BYTES,
    Certificate,
    CertificateCache,
    Names,
    ca_flag_of,
    describe,
    fingerprint_of,
    is_ca,
    names_of,
    printable,
    read_pem,
)
from exporter.errors import CertificateError
from tests.pki import Issued, Wishes, certificate_of, issue, make_ca, make_leaf, new_key, utc

ROOT = make_ca("root")
DATES = utc("2026-01-01"), utc("2027-01-01")
LEAF = make_leaf(ROOT, "gw.test", "*.gw.test", "10.0.0.1", "fe80::1")

ignores_the_serial_number = pytest.mark.filterwarnings("ignore:Parsed a serial number")


def changed(issued: Issued, old: str, new: str) -> bytes:
    """The certificate with some of its bytes (hex) replaced by as many others."""
    assert bytes.fromhex(old) in issued.der
    assert len(old) == len(new)
    return issued.der.replace(bytes.fromhex(old), bytes.fromhex(new))


def named(*names: x509.GeneralName, **wishes: Any) -> Certificate:
    extra = ((x509.SubjectAlternativeName(names), False),)
    return certificate_of(issue(Wishes(common_name="x", extra=extra, **wishes), issuer=ROOT))


def test_a_certificate_is_described_by_what_operators_know_it_by() -> None:
    found = certificate_of(
        make_leaf(ROOT, "gw.test", not_before=utc("2026-01-01"), not_after=utc("2027-01-01"))
    )

    assert (found.subject, found.issuer) == ("CN=gw.test", "CN=root")
    assert (found.subject_cn, found.issuer_cn) == ("gw.test", "root")
    assert (found.not_before, found.not_after) == (utc("2026-01-01"), utc("2027-01-01"))
    assert (found.public_key, found.signature_algorithm) == ("EC P-256", "ecdsa-with-SHA256")
    assert found.fingerprint_sha256 == fingerprint_of(found.der)
    assert int(found.serial_number, 16) == found.parsed().serial_number
    assert len(found.serial_number) % 2 == 0


@pytest.mark.parametrize(
    ("kind", "shown", "signature"),
    [
        ("RSA 2048", "RSA 2048", "sha256WithRSAEncryption"),
        ("EC P-384", "EC P-384", "ecdsa-with-SHA256"),
        ("EC P-192", "EC secp192r1", "ecdsa-with-SHA256"),
        ("Ed25519", "Ed25519", "ED25519"),
        ("Ed448", "Ed448", "ED448"),
        ("DSA 1024", "DSA 1024", "dsa_with_SHA256"),
    ],
)
def test_each_kind_of_key_has_its_name(kind: str, shown: str, signature: str) -> None:
    found = certificate_of(make_leaf(None, "x.test", key=new_key(kind)))

    assert (found.public_key, found.signature_algorithm) == (shown, signature)


def test_kinds_of_keys_and_signatures_that_nobody_knows_are_shown_by_their_number() -> None:
    of_key = changed(LEAF, "2a8648ce3d0201", "2a8648ce3d027f")  # id-ecPublicKey
    of_signature = changed(LEAF, "2a8648ce3d040302", "2a8648ce3d04037f")

    assert describe(of_key).public_key == "1.2.840.10045.2.127"
    assert describe(of_signature).signature_algorithm == "1.2.840.10045.4.3.127"


def test_a_public_key_that_no_tls_uses_is_shown_by_its_type() -> None:
    of_x25519 = changed(make_leaf(None, "x", key=new_key("Ed25519")), "300506032b6570032100",
                        "300506032b656e032100")  # fmt: skip

    assert describe(of_x25519).public_key == "X25519"


@ignores_the_serial_number
def test_a_negative_serial_number_is_shown_as_one() -> None:
    leaf = make_leaf(ROOT, "x", serial_number=0x11223344)

    assert certificate_of(leaf).serial_number == "11223344"
    assert describe(changed(leaf, "020411223344", "0204ee223344")).serial_number == "-11ddccbc"


@pytest.mark.parametrize(
    ("constraints", "flag"),
    [
        ((), None),
        (((x509.BasicConstraints(ca=True, path_length=None), True),), True),
        (((x509.BasicConstraints(ca=False, path_length=None), True),), False),
        (((x509.UnrecognizedExtension(x509.BasicConstraints.oid, b"\x30\xff"), True),), False),
    ],
)
def test_whether_it_is_a_cas_is_read_from_the_basic_constraints(
    constraints: tuple[tuple[x509.ExtensionType, bool], ...], flag: bool | None
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "some CA")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, *DATES)
    for extension, is_critical in constraints:
        builder = builder.add_extension(extension, is_critical)

    made = builder.sign(key, SHA256())

    assert ca_flag_of(made) is flag
    assert is_ca(made) is (flag is True)


def test_of_version_1_which_has_no_extensions_any_may_be_a_cas(tmp_path: Path) -> None:
    key, made = str(tmp_path / "key.pem"), tmp_path / "made.pem"
    request = ["openssl", "req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:P-256", "-subj", "/CN=old", "-keyout", key]  # fmt: skip
    asked = subprocess.run(request, capture_output=True, check=True).stdout
    sign = ["openssl", "x509", "-req", "-signkey", key, "-out", str(made)]
    subprocess.run(sign, input=asked, capture_output=True, check=True)
    parsed = x509.load_pem_x509_certificate(made.read_bytes())

    assert parsed.version is x509.Version.v1
    assert ca_flag_of(parsed) is None
    assert is_ca(parsed)


def test_a_certificate_without_end_ends_in_the_year_9999() -> None:
    leaf = make_leaf(ROOT, "x", not_after=utc("9999-12-31T23:59:59"))

    assert certificate_of(leaf).not_after == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_moments_outside_of_the_two_digit_years_are_read() -> None:
    leaf = make_leaf(ROOT, "x", not_before=utc("1950-01-01"), not_after=utc("2050-01-01"))

    found = certificate_of(leaf)

    assert (found.not_before, found.not_after) == (utc("1950-01-01"), utc("2050-01-01"))


def test_an_empty_subject_is_empty() -> None:
    found = certificate_of(make_leaf(ROOT, common_name=""))

    assert (found.subject, found.subject_cn) == ("", "")


@pytest.mark.parametrize(
    ("name", "shown", "in_subject"),
    [
        ("a\nb", r"a\0Ab", r"CN=a\0Ab"),
        ("a\0b", r"a\00b", r"CN=a\00b"),
        ("\x1b[2Jgw", r"\1B[2Jgw", r"CN=\1B[2Jgw"),
        ("gw\u202etset", r"gw\E2\80\AEtset", r"CN=gw\E2\80\AEtset"),
        ("a, b", "a, b", r"CN=a\, b"),
        ("münchen", "münchen", "CN=münchen"),
    ],
)
def test_names_never_carry_control_characters(name: str, shown: str, in_subject: str) -> None:
    found = certificate_of(make_ca(name))

    assert (found.subject_cn, found.subject) == (shown, in_subject)
    assert (found.issuer_cn, found.issuer) == (shown, in_subject)


@given(st.text())
def test_what_is_printable_is_on_one_line_and_stays_as_it_is(text: str) -> None:
    shown = printable(text)

    assert shown.isprintable()
    assert (shown == text) is text.isprintable()


@pytest.mark.parametrize(
    ("der", "sentence"),
    [
        pytest.param(b"", "cannot be parsed|can be parsed", id="empty"),
        pytest.param(b"-----BEGIN", "can be parsed", id="text"),
        pytest.param(LEAF.der[:-1], "can be parsed", id="cut"),
        pytest.param(LEAF.der + b"\0", "can be parsed", id="more behind it"),
        pytest.param(changed(LEAF, "a003020102", "a003020109"), "can be parsed", id="version 10"),
        pytest.param(b"\x30" * (MAX_CERTIFICATE_BYTES + 1), "1048577 bytes", id="huge"),
    ],
)
def test_what_is_no_certificate_is_refused(der: bytes, sentence: str) -> None:
    with pytest.raises(CertificateError, match=sentence):
        describe(der)


@ignores_the_serial_number
@settings(max_examples=300)
@given(st.data())
def test_broken_bytes_are_refused_or_described_but_nothing_else(data: st.DataObject) -> None:
    der = bytearray(LEAF.der)
    for position in data.draw(st.lists(st.integers(0, len(der) - 1), min_size=1, max_size=4)):
        der[position] = data.draw(st.integers(0, 255))

    try:
        found = describe(bytes(der))
    except CertificateError:
        return

    assert found.subject.isprintable()
    assert all(text.isprintable() for text in names_of(found).dns)


def test_the_names_a_certificate_is_for() -> None:
    units = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "field"),
            x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "north\n"),
        ]
    )
    found = named(
        x509.DNSName("a.test"),
        x509.RFC822Name("op@a.test"),
        x509.UniformResourceIdentifier("spiffe://a"),
        x509.DNSName("a\nb"),
        subject=units,
    )

    assert names_of(found) == Names(
        dns=("a.test", r"a\0Ab"), emails=("op@a.test",), units=("field", r"north\0A")
    )
    assert names_of(certificate_of(LEAF)) == Names(
        dns=("gw.test", "*.gw.test"), ips=("10.0.0.1", "fe80::1")
    )


def test_names_that_are_not_there_or_cannot_be_read_are_left_out() -> None:
    twice = changed(LEAF, "0603551d0e", "0603551d11")  # subject key identifier, now another SAN
    no_ip = changed(LEAF, "87040a000001", "84040a000001")  # a directory name that is none

    assert names_of(certificate_of(make_ca())) == Names()
    assert names_of(describe(twice)) == Names()
    assert names_of(describe(no_ip)) == Names()


def test_a_certificate_is_described_once_while_it_is_remembered() -> None:
    cache = CertificateCache(limit=2)

    first = cache.get(LEAF.der)
    cache.get(ROOT.der)
    again = cache.get(LEAF.der)
    cache.get(make_ca("third").der)

    assert again is first
    assert cache.get(LEAF.der) is first  # the root was not asked for longest
    assert cache.get(ROOT.der) == certificate_of(ROOT)


def test_a_pem_file_may_hold_many_with_text_around_them() -> None:
    text = b"# our CAs\r\n" + ROOT.pem.replace(b"\n", b"\r\n") + b"leaf:\n" + LEAF.pem + ROOT.pem

    found = read_pem(b"\xef\xbb\xbf" + text, what="x.pem")

    assert [one.subject_cn for one in found] == ["root", "gw.test", "root"]


OLD_FORM = ROOT.pem.replace(b"BEGIN CERT", b"BEGIN X509 CERT").replace(
    b"END CERT", b"END X509 CERT"
)


def test_the_old_form_of_pem_is_read_too() -> None:
    assert read_pem(OLD_FORM, what="x.pem")[0].subject_cn == "root"


BODY = base64.b64encode(b"\x30\x03\x02\x01\x00")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "x.pem: this file is empty"),
        (b" \n", "x.pem: this file is empty"),
        (b"hello", "x.pem: no certificate in PEM form (-----BEGIN CERTIFICATE-----)"),
        (
            ROOT.der,
            "x.pem: this looks like DER; convert it:"
            " openssl x509 -inform DER -in FILE -out FILE.pem",
        ),
        (
            ROOT.pem + ROOT.key_pem,
            "x.pem: it holds a private key; only certificates belong here",
        ),
        (
            ROOT.pem + ROOT.pem[:200],
            "x.pem: 2 certificates begin in it, but 1 end as they should",
        ),
        (
            ROOT.pem.replace(b" CERT", b" TRUSTED CERT"),
            "x.pem: it holds a TRUSTED CERTIFICATE, whose trust settings are not understood here;"
            " write it as a plain one: openssl x509 -in x.pem -out NEW.pem",
        ),
        (
            ROOT.pem.replace(b"CERTIFICATE", b"PKCS7"),
            "x.pem: no certificate in it, but a PKCS7",
        ),
        (
            ROOT.pem.replace(b"MII", b"M!I", 1),
            "x.pem: certificate 0 cannot be read: Only base64 data is allowed",
        ),
    ],
)
def test_each_wrong_file_has_its_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(CertificateError) as told:
        read_pem(data, what="x.pem")

    assert str(told.value) == sentence


def test_the_certificate_that_cannot_be_parsed_is_told_by_its_position() -> None:
    wrong = b"-----BEGIN CERTIFICATE-----\n" + BODY + b"\n-----END CERTIFICATE-----\n"

    with pytest.raises(CertificateError, match="certificate 1 cannot be read: this is not"):
        read_pem(ROOT.pem + wrong, what="x.pem")
