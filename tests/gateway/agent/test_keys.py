"""Keys made on the gateway, and what their requests say."""

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from exporter.gateway.agent.keys import Keys, RequestError, key_id, new_key, pem_of, request_pem
from exporter.gateway.agent.versions import VersionError
from tests.pki import certificate_of, make_ca, make_leaf
from tests.pki import new_key as any_key

CA = make_ca()
LEAF = certificate_of(make_leaf(CA, "gw.example", "10.0.0.1", "2001:db8::1"))


def request(**said: object) -> x509.CertificateSigningRequest:
    wishes = {"subject": None, "dns_names": None, "like": LEAF, **said}
    text = request_pem(new_key("EC P-256"), **wishes)  # type: ignore[arg-type]  # passed on by name
    return x509.load_pem_x509_csr(text.encode())


def names_in(found: x509.CertificateSigningRequest) -> list[str]:
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(one.value) for one in names]


@pytest.mark.parametrize("kind", ["EC P-256", "EC P-384", "RSA 3072", "Ed25519", "Ed448"])
def test_a_key_is_of_the_kind_that_is_served_today(kind: str) -> None:
    like = certificate_of(make_leaf(CA, "gw", key=any_key(kind)))
    made = certificate_of(make_leaf(CA, "gw", key=new_key(like.public_key)))

    assert made.public_key == kind


@pytest.mark.parametrize(("like", "bits"), [("RSA 1024", 2048), ("DSA 2048", 256), ("", 256)])
def test_a_kind_that_is_not_made_any_more_is_replaced_by_a_good_one(like: str, bits: int) -> None:
    assert new_key(like).key_size == bits  # type: ignore[union-attr]  # RSA and EC have one


def test_a_request_says_what_todays_certificate_says() -> None:
    found = request()

    assert found.subject.rfc4514_string() == "CN=gw.example"
    assert names_in(found) == ["gw.example", "10.0.0.1", "2001:db8::1"]
    assert found.is_signature_valid


def test_a_request_says_what_it_is_told_to() -> None:
    found = request(subject="CN=gw-2,O=Example", dns_names=["gw-2.example", "*.gw-2.example"])

    assert found.subject.rfc4514_string() == "CN=gw-2,O=Example"
    assert names_in(found) == ["gw-2.example", "*.gw-2.example"]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"like": None}, "no certificate is served yet to take names from; say dnsNames"),
        ({"subject": "no name"}, "is not written as RFC 4514 has it"),
        ({"dns_names": ["ü.example"]}, "is not a DNS name"),
        ({"dns_names": ["10.0.0.1"]}, "is not a DNS name"),
        ({"dns_names": ["a b"]}, "is not a DNS name"),
        ({"dns_names": [""]}, "is not a DNS name"),
    ],
)
def test_what_cannot_be_said_is_refused(said: dict[str, object], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        request(**said)


def test_a_key_is_kept_for_us_alone_until_another_takes_its_place(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    keys.prepare()
    first, second = new_key("EC P-256"), new_key("EC P-256")

    names = [keys.keep(first), keys.keep(second)]
    keys.keep_only(names[1])

    assert names[1] == key_id(second.public_key())
    assert keys.pem(names[0]) is None
    kept = keys.pem(names[1])
    assert kept == pem_of(second)
    assert load_pem_private_key(kept, password=None).public_key() == second.public_key()
    (file,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_key_that_cannot_be_written_is_told_without_it(tmp_path: Path) -> None:
    with pytest.raises(VersionError, match="the key cannot be written: No such file"):
        Keys(tmp_path).keep(new_key("EC P-256"))
