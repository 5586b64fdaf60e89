from exporter.certificates import Certificate
from exporter.trust_map.kinship import Kinship
from exporter.trust_map.model import Kind
from tests.pki import Issued, certificate_of, make_ca, make_leaf, new_key
from tests.trust_map.scene import BRIDGE, BY_OLD, DATES, NEW, OLD, SUB, sha


def kinship(*known: Issued) -> Kinship:
    return Kinship({sha(one): certificate_of(one) for one in known})


def test_a_namesake_with_another_key_signed_nothing() -> None:
    impostor = make_ca("old CA", **DATES)

    assert kinship(OLD, impostor).issuers_of(certificate_of(BY_OLD)) == (sha(OLD),)
    assert kinship(OLD, impostor).same_key(certificate_of(OLD)) == ()


def test_one_that_signed_itself_was_signed_by_nobody_else() -> None:
    assert kinship(NEW, BRIDGE, OLD).issuers_of(certificate_of(NEW)) == ()
    assert kinship(NEW, BRIDGE, OLD).issuers_of(certificate_of(BRIDGE)) == (sha(OLD),)


def test_a_new_key_signed_by_the_old_one_of_the_same_name_is_no_root() -> None:
    rolled = make_ca("old CA", issuer=OLD, **DATES)

    known = kinship(OLD, rolled)

    assert known.issuers_of(certificate_of(rolled)) == (sha(OLD),)
    assert known.kind_of(certificate_of(rolled)) is Kind.INTERMEDIATE
    assert known.kind_of(certificate_of(OLD)) is Kind.ROOT


def test_cas_that_signed_each_other_do_not_lead_in_circles() -> None:
    key_a, key_b = new_key(), new_key()
    a, b = make_ca("a", key=key_a, **DATES), make_ca("b", key=key_b, **DATES)
    a_by_b, b_by_a = make_ca("a", issuer=b, key=key_a), make_ca("b", issuer=a, key=key_b)
    leaf = certificate_of(make_leaf(a, "x"))

    assert kinship(a_by_b, b_by_a).above(leaf) == {sha(a_by_b), sha(b_by_a)}


def test_a_path_that_is_too_long_is_followed_as_far_as_a_device_would() -> None:
    rungs = [OLD]
    for number in range(14):
        rungs.append(make_ca(f"rung {number}", issuer=rungs[-1], **DATES))
    leaf = certificate_of(make_leaf(rungs[-1], "x"))

    assert len(kinship(*rungs).above(leaf)) == 10


def test_a_key_that_cannot_be_read_is_nobodys_other_certificate() -> None:
    good = certificate_of(SUB)
    broken = Certificate(
        **{
            **{name: getattr(good, name) for name in Certificate.__slots__},
            "der": b"no certificate",
            "fingerprint_sha256": "00" * 32,
        }
    )

    known = Kinship({one.fingerprint_sha256: one for one in (good, broken)})

    assert known.same_key(broken) == ()
    assert known.same_key(good) == ()
