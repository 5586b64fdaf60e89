"""A new CA and what a signer gave back are read like a stranger's."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from exporter.certificates import Certificate
from exporter.demo.pki import Wishes
from exporter.recovery.issue import Wanted
from exporter.rotation.authority import Ordered, faults_of_ca, faults_of_chain
from tests.pki import CLIENT_AUTH, Issued, certificate_of, issue, make_ca, make_leaf, new_key, utc

NOW, UNTIL = utc("2026-11-25"), utc("2026-12-09")
TIMES: Mapping[str, Any] = {"not_before": utc("2026-01-01"), "not_after": utc("2036-01-01")}
OLD = make_ca("old CA", **TIMES)
NEW = make_ca("new CA", **TIMES)
THIRD = make_ca("third CA", **TIMES)
MIDDLE = make_ca("middle CA", issuer=NEW, **TIMES)
KEY = new_key()
assert isinstance(KEY, ec.EllipticCurvePrivateKey)
REQUEST = (
    x509.CertificateSigningRequestBuilder()
    .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gw-1")]))
    .add_extension(x509.SubjectAlternativeName([x509.DNSName("gw-1")]), critical=False)
    .sign(KEY, SHA256())
)
ORDERED = Ordered(
    request=REQUEST,
    wanted=Wanted(lifetime=timedelta(days=30), names=(x509.DNSName("gw-1.example"),)),
    authority=certificate_of(NEW),
    now=NOW,
    until=UNTIL,
)


def ca_faults(new: Issued, *, is_same_meant: bool = False) -> str:
    found = faults_of_ca(
        certificate_of(new), certificate_of(OLD), now=NOW, until=UNTIL, is_same_meant=is_same_meant
    )
    return "; ".join(found)


def leaf(issuer: Issued = NEW, *names: str, **wishes: object) -> Issued:
    full: dict[str, Any] = {"not_before": NOW, "not_after": utc("2027-01-01"), "key": KEY}
    return make_leaf(issuer, *(names or ("gw-1", "gw-1.example")), **(full | wishes))


def chain_faults(*chain: Issued) -> str:
    return "; ".join(faults_of_chain([certificate_of(one) for one in chain], ORDERED))


def test_a_good_ca_has_no_fault() -> None:
    assert ca_faults(NEW) == ""


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (issue(Wishes(common_name="no CA", **TIMES)), "CA:TRUE"),
        (issue(Wishes(common_name="bare", basic_constraints=False, **TIMES)), "CA:TRUE"),
        (make_ca("no usage", default_usages=False, **TIMES), "keyCertSign"),
        (make_ca("later", not_before=utc("2026-12-01"), not_after=UNTIL), "begins on 2026-12-01"),
        (make_ca("short", not_before=utc("2026-01-01"), not_after=UNTIL), "ends on 2026-12-09"),
        (make_ca("old CA", **TIMES), "bears the old one's subject"),
        (make_ca("other name", key=OLD.key, **TIMES), "has the old one's key"),
    ],
)
def test_a_bad_ca_is_refused_with_a_sentence(new: Issued, said: str) -> None:
    assert said in ca_faults(new)


def test_the_old_subject_passes_where_a_person_means_it() -> None:
    assert ca_faults(make_ca("old CA", **TIMES), is_same_meant=True) == ""


def test_a_ca_that_is_signed_by_sha1_is_refused() -> None:
    weak = replace(certificate_of(NEW), signature_algorithm="sha1WithRSAEncryption")

    found = faults_of_ca(weak, certificate_of(OLD), now=NOW, until=UNTIL, is_same_meant=False)

    assert found == ("the new CA is signed by sha1WithRSAEncryption; devices refuse SHA-1",)


@pytest.mark.parametrize("chain", [(leaf(),), (leaf(MIDDLE), MIDDLE), (leaf(MIDDLE), MIDDLE, NEW)])
def test_a_good_chain_has_no_fault(chain: tuple[Issued, ...]) -> None:
    assert chain_faults(*chain) == ""


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        ((), "no certificate in what the signer gave back"),
        ((leaf(key=new_key()),), "another key than the request's"),
        ((leaf(MIDDLE),), "not signed by the CA that was named"),
        ((leaf(MIDDLE),), "who trusts the new CA alone refuses it: unknown_ca"),
        ((leaf(OLD),), "who trusts the new CA alone refuses it: unknown_ca"),
        ((leaf(THIRD), THIRD), "who trusts the new CA alone refuses it: unknown_ca"),
        ((leaf(MIDDLE), MIDDLE, OLD), "not in order"),
        ((leaf(NEW, "gw-1"),), "lacks the names gw-1.example"),
        ((leaf(purposes=(CLIENT_AUTH,)),), "not for a server"),
        ((leaf(not_after=utc("2026-12-01")),), "on 2026-12-09 who trusts the new CA alone"),
    ],
)
def test_a_bad_chain_is_refused_with_a_sentence(chain: tuple[Issued, ...], said: str) -> None:
    assert said in chain_faults(*chain)


class Unreadable(Certificate):
    """A certificate with an extension that cannot be parsed."""

    def parsed(self) -> x509.Certificate:
        raise ValueError("odd")


def test_what_cannot_be_read_is_a_fault_and_no_crash() -> None:
    good = certificate_of(NEW)
    odd = Unreadable(**{name: getattr(good, name) for name in Certificate.__slots__})

    told = faults_of_ca(odd, good, now=NOW, until=UNTIL, is_same_meant=False)

    assert "cannot be read" in told[0]
    assert "cannot be read" in faults_of_chain([odd], ORDERED)[0]
