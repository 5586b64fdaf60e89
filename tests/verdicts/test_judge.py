"""Each reason and each special case, on certificates made for it."""

import subprocess
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from exporter.anchors import Profile, TrustStore, WeakCrypto, trust_store
from exporter.certificates import Certificate, describe, read_pem
from exporter.observations import Reason, WarningReason
from exporter.verdicts.form import faults_of_form
from exporter.verdicts.judge import judge
from exporter.verdicts.model import Verdict
from tests.daemons import need
from tests.pki import (
    CLIENT_AUTH,
    Issued,
    Wishes,
    certificate_of,
    issue,
    make_ca,
    make_leaf,
    new_key,
    utc,
)

NOW = utc("2026-11-24T12:00:00")
LONG: dict[str, Any] = {"not_before": utc("2020-01-01"), "not_after": utc("2040-01-01")}
NAME = "gw.example.test"

OLD = make_ca("old CA", **LONG)
NEW = make_ca("new CA", **LONG)
MIDDLE = make_ca("intermediate", issuer=OLD, **LONG)


def leaf_of(issuer: Issued | None, *names: str, **wishes: Any) -> Issued:
    return make_leaf(issuer, *(names or (NAME,)), **{**LONG, **wishes})


def store_of(*anchors: Issued, **policy: object) -> TrustStore:
    return trust_store("s", map(certificate_of, anchors), **policy)  # type: ignore[arg-type]  # passed on by name


def verdict_on(
    chain: list[Issued],
    store: TrustStore,
    *,
    name: str | None = NAME,
    known: tuple[Issued, ...] = (),
) -> Verdict:
    certificates = [certificate_of(issued) for issued in chain]
    return judge(
        certificates, store, name=name, at=NOW, known=[certificate_of(issued) for issued in known]
    )


def test_a_chain_to_an_anchor_is_verified_until_the_first_end_on_its_path() -> None:
    ends = utc("2027-01-01")
    leaf = leaf_of(MIDDLE, not_after=ends)

    verdict = verdict_on([leaf, MIDDLE], store_of(OLD))

    assert verdict.verified
    assert (verdict.reasons, verdict.warnings, verdict.detail) == ((), (), "")
    assert verdict.not_after == ends
    assert verdict.path == tuple(certificate_of(i).fingerprint_sha256 for i in (leaf, MIDDLE, OLD))


def test_the_incident_is_an_unknown_ca_and_nothing_else() -> None:
    verdict = verdict_on([leaf_of(NEW)], store_of(OLD))

    assert (verdict.verified, verdict.reasons) == (False, (Reason.UNKNOWN_CA,))
    assert verdict.detail == "the issuer 'CN=new CA' is not in s"
    assert verdict.not_after is None
    assert verdict.path == ()


def test_a_store_of_both_cas_accepts_both_chains() -> None:
    both = store_of(OLD, NEW)

    assert verdict_on([leaf_of(MIDDLE), MIDDLE], both).verified
    assert verdict_on([leaf_of(NEW)], both).verified


def test_a_store_that_trusts_nothing_accepts_nothing() -> None:
    assert verdict_on([leaf_of(OLD)], store_of()).reasons == (Reason.UNKNOWN_CA,)


def test_an_anchor_may_be_an_intermediate_or_the_leaf_itself() -> None:
    leaf = leaf_of(MIDDLE)

    assert verdict_on([leaf], store_of(MIDDLE)).verified
    assert verdict_on([leaf], store_of(leaf)).verified


def test_the_root_that_was_sent_but_is_not_trusted_is_named() -> None:
    verdict = verdict_on([leaf_of(NEW), NEW], store_of(OLD))

    assert verdict.reasons == (Reason.UNKNOWN_CA,)
    assert verdict.detail == "the CA 'CN=new CA' is not in s"


def test_a_leaf_that_is_its_own_issuer_is_self_signed() -> None:
    assert verdict_on([leaf_of(None)], store_of(OLD)).reasons == (Reason.SELF_SIGNED,)


def test_a_missing_intermediate_is_incomplete_only_when_it_is_known_from_elsewhere() -> None:
    leaf, store = leaf_of(MIDDLE), store_of(OLD)

    unknown, known = verdict_on([leaf], store), verdict_on([leaf], store, known=(MIDDLE,))

    assert unknown.reasons == (Reason.UNKNOWN_CA,)
    assert known.reasons == (Reason.CHAIN_INCOMPLETE,)
    assert known.detail == "the endpoint did not send 'CN=intermediate'"


def test_what_is_known_elsewhere_does_not_complete_a_path_to_another_store() -> None:
    verdict = verdict_on([leaf_of(MIDDLE)], store_of(NEW), known=(MIDDLE, OLD))

    assert verdict.reasons == (Reason.UNKNOWN_CA,)


@pytest.mark.parametrize("order", [(2, 1), (1, 1, 2), (1, 2, 2)])
def test_wrong_order_duplicates_and_the_root_raise_nothing(order: tuple[int, ...]) -> None:
    sent = {1: MIDDLE, 2: OLD}

    verdict = verdict_on([leaf_of(MIDDLE), *(sent[n] for n in order)], store_of(OLD))

    assert (verdict.verified, verdict.warnings, verdict.detail) == (True, (), "")


def test_an_expired_stray_beside_a_good_path_raises_nothing() -> None:
    ends = utc("2021-01-01")
    stray = make_ca("old CA", not_before=utc("2020-01-01"), not_after=ends)

    verdict = verdict_on([leaf_of(MIDDLE), MIDDLE, stray], store_of(OLD))

    assert (verdict.verified, verdict.not_after) == (True, utc("2040-01-01"))


def cross_signed(ends_of_old: datetime = LONG["not_after"]) -> tuple[Issued, Issued, Issued]:
    """An intermediate certified by the old and by the new root, and a leaf of it."""
    key = new_key()
    wishes = Wishes(common_name="crossed", is_ca=True, **LONG)
    by_new = issue(wishes, issuer=NEW, key=key)
    by_old = issue(replace(wishes, not_after=ends_of_old), issuer=OLD, key=key)
    return by_old, by_new, leaf_of(by_old)


def test_the_second_copy_of_a_cross_signed_intermediate_is_found_only_by_reordering() -> None:
    by_old, by_new, leaf = cross_signed()
    only_new = store_of(NEW)

    first = verdict_on([leaf, by_new, by_old], only_new)
    second = verdict_on([leaf, by_old, by_new], only_new)

    assert (first.verified, first.detail) == (True, "")
    assert second.reasons == (Reason.CHAIN_INCOMPLETE,)
    assert "only by reordering" in second.detail


def test_a_path_over_the_second_copy_is_verified_with_a_note() -> None:
    by_old, by_new, leaf = cross_signed(ends_of_old=utc("2026-11-01"))

    verdict = verdict_on([leaf, by_old, by_new], store_of(NEW))

    assert (verdict.verified, verdict.warnings) == (True, ())
    assert "some devices will not find the path" in verdict.detail


def test_each_judgement_is_at_its_own_moment_also_in_one_store() -> None:
    by_old, by_new, leaf = cross_signed(ends_of_old=utc("2026-11-01"))
    chain, store = [certificate_of(issued) for issued in (leaf, by_old, by_new)], store_of(NEW)

    moments = [utc(day) for day in ("2026-10-01", "2026-12-01", "2019-01-01", "2026-10-01")]
    told = [judge(chain, store, name=None, at=moment).reasons for moment in moments]

    incomplete = (Reason.CHAIN_INCOMPLETE,)
    assert told == [incomplete, (), (Reason.NOT_YET_VALID,), incomplete]


def test_expired_and_not_yet_valid_name_the_certificate_and_the_day() -> None:
    expired = leaf_of(MIDDLE, not_after=utc("2026-11-01"))
    future = leaf_of(MIDDLE, not_before=utc("2027-02-03"))

    over, early = (verdict_on([leaf, MIDDLE], store_of(OLD)) for leaf in (expired, future))

    assert over.reasons == (Reason.EXPIRED,)
    assert over.detail == "certificate has expired (leaf, 2026-11-01)"
    assert early.reasons == (Reason.NOT_YET_VALID,)
    assert early.detail == "certificate is not yet valid (leaf, 2027-02-03)"


def test_a_certificate_ends_in_the_second_it_names_as_for_openssl() -> None:
    leaf = leaf_of(OLD, not_after=NOW)

    last = judge([certificate_of(leaf)], store_of(OLD), name=None, at=NOW - timedelta(seconds=1))
    over = judge([certificate_of(leaf)], store_of(OLD), name=None, at=NOW)

    assert last.verified
    assert last.steady_until == NOW
    assert over.reasons == (Reason.EXPIRED,)


def test_an_expired_anchor_ends_the_path_too() -> None:
    root = make_ca("ending CA", not_before=utc("2020-01-01"), not_after=utc("2026-12-01"))
    leaf = leaf_of(root)

    verdict = verdict_on([leaf], store_of(root))

    assert (verdict.verified, verdict.not_after) == (True, utc("2026-12-01"))


def test_all_reasons_are_told_and_the_name_hides_none() -> None:
    leaf = leaf_of(NEW, "other.test", not_after=utc("2026-11-01"), purposes=(CLIENT_AUTH,))

    verdict = verdict_on([leaf], store_of(OLD))

    assert verdict.reasons == (
        Reason.UNKNOWN_CA,
        Reason.EXPIRED,
        Reason.WRONG_USAGE,
        Reason.HOSTNAME_MISMATCH,
    )


def test_a_wrong_purpose_does_not_hide_an_expired_certificate_on_a_good_path() -> None:
    leaf = leaf_of(MIDDLE, not_after=utc("2026-11-01"), purposes=(CLIENT_AUTH,))

    assert verdict_on([leaf, MIDDLE], store_of(OLD)).reasons == (
        Reason.EXPIRED,
        Reason.WRONG_USAGE,
    )


def constraint(permitted: str) -> tuple[x509.ExtensionType, bool]:
    return x509.NameConstraints([x509.DNSName(permitted)], None), True


@pytest.mark.parametrize(
    "middle",
    [
        pytest.param({"is_ca": False}, id="no CA"),
        pytest.param({"basic_constraints": False, "default_usages": False}, id="says nothing"),
        pytest.param({"usages": frozenset({"digital_signature"})}, id="key usage"),
        pytest.param({"extra": (constraint("other.test"),)}, id="name constraints"),
    ],
)
def test_an_intermediate_that_may_not_certify_is_wrong_usage(middle: dict[str, object]) -> None:
    wishes = Wishes(**{"common_name": "m", "is_ca": True, **LONG, **middle})  # type: ignore[arg-type]  # passed on by name
    wrong = issue(wishes, issuer=OLD)

    assert verdict_on([leaf_of(wrong), wrong], store_of(OLD)).reasons == (Reason.WRONG_USAGE,)


def test_an_expired_leaf_does_not_hide_a_violated_name_constraint() -> None:
    narrow = make_ca("narrow", issuer=OLD, extra=(constraint("other.test"),), **LONG)
    leaf = leaf_of(narrow, not_after=utc("2026-11-01"))

    assert verdict_on([leaf, narrow], store_of(OLD)).reasons == (
        Reason.EXPIRED,
        Reason.WRONG_USAGE,
    )


def test_a_path_longer_than_its_ca_allows_is_wrong_usage() -> None:
    short = make_ca("short", path_length=0, **LONG)
    below = make_ca("below", issuer=short, **LONG)

    assert verdict_on([leaf_of(below), below], store_of(short)).reasons == (Reason.WRONG_USAGE,)


def test_a_signature_by_another_key_of_the_same_name_is_a_bad_signature() -> None:
    namesake = make_ca("old CA", key_ids=False, **LONG)
    leaf = leaf_of(namesake, key_ids=False)

    assert verdict_on([leaf], store_of(OLD)).reasons == (Reason.BAD_SIGNATURE,)


def test_a_bad_signature_is_not_hidden_behind_an_issuer_that_is_no_ca() -> None:
    wishes = Wishes(common_name="m", key_ids=False, **LONG)
    no_ca, namesake = issue(wishes, issuer=OLD), issue(wishes, issuer=OLD)

    verdict = verdict_on([leaf_of(namesake, key_ids=False), no_ca], store_of(OLD))

    assert verdict.reasons == (Reason.BAD_SIGNATURE, Reason.WRONG_USAGE)
    assert verdict.detail == "certificate signature failure (leaf)"


def test_a_critical_extension_that_nobody_knows_hides_no_other_reason() -> None:
    critical = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"x"), True
    leaf = leaf_of(OLD, extra=(critical,), purposes=(CLIENT_AUTH,), not_after=utc("2026-11-01"))

    verdict = verdict_on([leaf], store_of(OLD))

    assert verdict.reasons == (Reason.EXPIRED, Reason.WRONG_USAGE, Reason.OTHER)


def test_what_is_wrong_with_the_part_of_a_path_that_was_sent_is_told_too() -> None:
    ended = make_ca("m", issuer=NEW, not_before=utc("2020-01-01"), not_after=utc("2026-11-01"))

    verdict = verdict_on([leaf_of(ended), ended], store_of(OLD))

    assert verdict.reasons == (Reason.UNKNOWN_CA, Reason.EXPIRED)


def test_the_path_is_told_where_an_anchor_is_reached() -> None:
    leaf = leaf_of(OLD, not_after=utc("2026-11-01"))

    expired, unknown = verdict_on([leaf], store_of(OLD)), verdict_on([leaf], store_of(NEW))

    assert expired.path == tuple(certificate_of(i).fingerprint_sha256 for i in (leaf, OLD))
    assert (expired.not_after, unknown.path) == (None, ())


def test_of_two_ways_to_complete_a_chain_the_good_one_is_told() -> None:
    key = new_key()
    wishes = Wishes(common_name="m", is_ca=True, **LONG)
    ended = issue(replace(wishes, not_after=utc("2026-11-01")), issuer=OLD, key=key)
    lasting = issue(wishes, issuer=OLD, key=key)

    best = verdict_on([leaf_of(lasting)], store_of(OLD), known=(ended, lasting))
    worse = verdict_on([leaf_of(lasting)], store_of(OLD), known=(ended,))

    assert best.reasons == (Reason.CHAIN_INCOMPLETE,)
    assert worse.reasons == (Reason.CHAIN_INCOMPLETE, Reason.EXPIRED)
    assert best.steady_until == utc("2040-01-01")


def test_a_known_certificate_of_the_right_name_but_another_key_completes_nothing() -> None:
    namesakes = [make_ca("intermediate", issuer=OLD, key_ids=ids, **LONG) for ids in (True, False)]

    verdict = verdict_on([leaf_of(MIDDLE)], store_of(OLD), known=(*namesakes,))

    assert verdict.reasons == (Reason.UNKNOWN_CA,)


def test_a_leaf_that_openssl_cannot_read_is_refused() -> None:
    leaf = of_visible_string(leaf_of(OLD))

    verdict = judge([leaf], store_of(OLD), name=NAME, at=NOW)

    assert (verdict.verified, verdict.reasons) == (False, (Reason.OTHER,))
    assert verdict.detail == "OpenSSL cannot read the leaf"


def test_strays_and_anchors_that_openssl_cannot_read_are_passed_over() -> None:
    odd = of_visible_string(MIDDLE)
    chain = [certificate_of(leaf_of(MIDDLE)), odd, certificate_of(MIDDLE)]

    good = judge(chain, trust_store("s", [certificate_of(OLD), odd]), name=NAME, at=NOW)
    odd_only = judge(chain, trust_store("s", [odd]), name=NAME, at=NOW)

    assert good.verified
    assert odd_only.reasons == (Reason.UNKNOWN_CA,)


def of_visible_string(issued: Issued) -> Certificate:
    """The certificate with its common names of a type that only we read."""
    utf8, visible = bytes.fromhex("06035504030c"), bytes.fromhex("06035504031a")
    assert utf8 in issued.der
    return describe(issued.der.replace(utf8, visible))


def test_a_key_that_nobody_can_read_is_told_as_other() -> None:
    der = leaf_of(OLD).der.replace(
        bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a8648ce3d027f")
    )

    verdict = judge([describe(der)], store_of(OLD), name=NAME, at=NOW)

    assert verdict.reasons == (Reason.OTHER,)
    assert verdict.path == ()


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        pytest.param({"basic_critical": False}, "basic constraints of a CA", id="89"),
        pytest.param({"common_name": ""}, "Issuer name empty", id="83"),
    ],
)
def test_points_of_form_are_remarks_unless_the_store_is_strict(
    wishes: dict[str, Any], words: str
) -> None:
    root = make_ca(**{"common_name": "form", **LONG, **wishes})
    chain = [leaf_of(root)]

    normal = verdict_on(chain, store_of(root))
    strict = verdict_on(chain, store_of(root, profile=Profile.STRICT))

    assert (normal.verified, normal.warnings) == (True, (WarningReason.NONCONFORMING,))
    assert words in normal.detail
    assert (strict.verified, strict.reasons, strict.warnings) == (False, (Reason.OTHER,), ())
    assert words in strict.detail


def test_a_name_without_a_subject_must_be_critical_for_a_strict_verifier() -> None:
    alternative = x509.SubjectAlternativeName([x509.DNSName(NAME)])
    plain = issue(Wishes(common_name="", extra=((alternative, False),), **LONG), issuer=OLD)
    critical = issue(Wishes(common_name="", extra=((alternative, True),), **LONG), issuer=OLD)

    told = [verdict_on([leaf], store_of(OLD)).warnings for leaf in (plain, critical)]

    assert told == [(WarningReason.NONCONFORMING,), ()]


def test_points_of_form_of_what_cannot_be_read_are_not_told() -> None:
    alternative = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x05\x00")
    leaf = issue(Wishes(common_name="", extra=((alternative, False),), **LONG), issuer=OLD)

    assert faults_of_form([certificate_of(leaf)]) == []


def test_all_that_is_wrong_is_remarked_beside_what_is_refused() -> None:
    root = make_ca("home", default_usages=False, **LONG)
    leaf = leaf_of(root, purposes=(CLIENT_AUTH,), not_after=utc("2026-11-01"))

    verdict = verdict_on([leaf], store_of(root))

    assert verdict.reasons == (Reason.EXPIRED, Reason.WRONG_USAGE)
    assert verdict.warnings == (WarningReason.NONCONFORMING,)


@pytest.mark.parametrize(
    ("names", "asked", "fits"),
    [
        (["gw.example.test"], "gw.example.test", True),
        (["gw.example.test"], "GW.Example.TEST", True),
        (["*.example.test"], "gw.example.test", True),
        (["*.example.test"], "a.gw.example.test", False),
        (["*.example.test"], "example.test", False),
        (["gw.example.test"], "other.example.test", False),
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "127.0.0.2", False),
        (["::1"], "::1", True),
        (["::1"], "0:0:0:0:0:0:0:1", True),
        (["gw.example.test"], "127.0.0.1", False),
        (["xn--mnchen-3ya.test"], "münchen.test", True),
        (["xn--mnchen-3ya.test"], "xn--mnchen-3ya.test", True),
        (["gw.example.test"], "not a name", False),
        (["gw.example.test"], "\u2028", False),
    ],
)
def test_names_are_compared_as_openssl_does(names: list[str], asked: str, fits: bool) -> None:
    verdict = verdict_on([leaf_of(OLD, *names)], store_of(OLD), name=asked)

    assert verdict.verified is fits
    assert verdict.reasons == (() if fits else (Reason.HOSTNAME_MISMATCH,))


def test_the_common_name_counts_only_without_a_dns_name() -> None:
    plain = issue(Wishes(common_name=NAME, **LONG), issuer=OLD)
    named = leaf_of(OLD, "other.test", common_name=NAME)

    assert verdict_on([plain], store_of(OLD)).verified
    assert verdict_on([named], store_of(OLD)).reasons == (Reason.HOSTNAME_MISMATCH,)


def test_no_name_is_checked_when_none_is_asked() -> None:
    assert verdict_on([leaf_of(OLD, "other.test")], store_of(OLD), name=None).verified


def openssl_made(directory: Path, *words: str) -> list[Certificate]:
    """What ``openssl req -x509`` and a leaf by ``openssl x509 -req`` come to: leaf, CA."""

    def run(*arguments: str) -> None:
        subprocess.run(
            [need("openssl"), *arguments], cwd=directory, check=True, capture_output=True
        )

    run("req", "-x509", "-newkey", *words, "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
        "-subj", "/CN=home-made", "-days", "3650")  # fmt: skip
    run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "leaf.key", "-out", "leaf.csr",
        "-subj", f"/CN={NAME}")  # fmt: skip
    digest = [word for word in words if word.startswith(("-sha", "-md", "-ripe"))]
    if "-sigopt" in words:
        digest += ["-sigopt", words[words.index("-sigopt") + 1]]
    run("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out",
        "leaf.pem", "-CAcreateserial", "-days", "365", *digest)  # fmt: skip
    data = (directory / "leaf.pem").read_bytes() + (directory / "ca.pem").read_bytes()
    return list(read_pem(data, what="made"))


def judged_soon(chain: list[Certificate], **policy: object) -> Verdict:
    store = trust_store("home", [chain[-1]], **policy)  # type: ignore[arg-type]  # passed on by name
    return judge(chain[:1], store, name=NAME, at=chain[0].not_before + timedelta(days=1))


def test_a_home_made_ca_and_its_leaf_are_verified_with_a_remark(tmp_path: Path) -> None:
    chain = openssl_made(tmp_path, "rsa:2048")

    normal, strict = judged_soon(chain), judged_soon(chain, profile=Profile.STRICT)

    assert normal.verified
    assert normal.warnings == (WarningReason.NONCONFORMING,)
    assert not strict.verified


EC = "ec", "-pkeyopt"


@pytest.mark.parametrize(
    ("words", "reason", "told"),
    [
        (("rsa:2048", "-sha1"), Reason.WEAK_CRYPTO, "is signed by SHA1 (leaf)"),
        (("rsa:2048", "-md5"), Reason.WEAK_CRYPTO, "is signed by MD5 (leaf)"),
        (
            ("rsa:2048", "-sigopt", "rsa_padding_mode:pss", "-sha1"),
            Reason.WEAK_CRYPTO,
            "is signed by SHA1 (leaf)",
        ),
        (("rsa:512", "-sha256"), Reason.WEAK_CRYPTO, "has a key of 512 bits (RSA 512)"),
        (("rsa:1000", "-sha256"), Reason.WEAK_CRYPTO, "has a key of 1000 bits (RSA 1000)"),
        ((*EC, "ec_paramgen_curve:secp112r1"), Reason.WEAK_CRYPTO, "has a key of 112 bits"),
        (("rsa:1024", "-sha256"), None, "has a key of 1024 bits (RSA 1024)"),
        ((*EC, "ec_paramgen_curve:prime192v1"), None, "has a key of 192 bits (EC secp192r1)"),
        ((*EC, "ec_paramgen_curve:sect163k1"), None, "has a key of 163 bits"),
        ((*EC, "ec_paramgen_curve:brainpoolP256r1"), None, ""),
        (("ed448",), None, ""),
        (("rsa:2048", "-sha3-256"), None, ""),
        (("rsa:2048", "-ripemd160"), None, ""),
    ],
)
def test_weak_keys_and_signatures_are_refused_or_remarked(
    tmp_path: Path, words: tuple[str, ...], reason: Reason | None, told: str
) -> None:
    verdict = judged_soon(openssl_made(tmp_path, *words))

    assert verdict.reasons == ((reason,) if reason else ())
    assert (WarningReason.WEAK_CRYPTO in verdict.warnings) is (bool(told) and not reason)
    assert told in verdict.detail


def test_small_keys_are_remarked_or_refused_as_the_store_says(tmp_path: Path) -> None:
    chain = openssl_made(tmp_path, "rsa:1024", "-sha256")

    remarked, refused = judged_soon(chain), judged_soon(chain, weak_crypto=WeakCrypto.REFUSE)

    assert remarked.verified
    assert WarningReason.WEAK_CRYPTO in remarked.warnings
    assert refused.reasons == (Reason.WEAK_CRYPTO,)
    assert "1024 bits" in refused.detail


def test_an_anchors_own_signature_does_not_count(tmp_path: Path) -> None:
    chain = openssl_made(tmp_path, "rsa:2048", "-sha1")
    store = trust_store("home", [chain[1]])

    verdict = judge(chain[1:], store, name=None, at=chain[1].not_before + timedelta(days=1))

    assert Reason.WEAK_CRYPTO not in verdict.reasons


def test_an_empty_chain_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="no certificates"):
        judge([], store_of(OLD), name=None, at=NOW)


def test_a_verdict_holds_until_the_next_moment_at_which_it_can_change() -> None:
    leaf = certificate_of(leaf_of(OLD, not_before=utc("2026-12-01"), not_after=utc("2027-01-01")))
    store = store_of(OLD)

    early = judge([leaf], store, name=None, at=NOW)
    good = judge([leaf], store, name=None, at=utc("2026-12-01"))
    last = judge([leaf], store, name=None, at=utc("2039-12-31"))

    assert early.steady_until == leaf.not_before
    assert good.steady_until == leaf.not_after
    assert (last.steady_until, last.reasons) == (utc("2040-01-01"), (Reason.EXPIRED,))
