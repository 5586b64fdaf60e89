from datetime import timedelta
from unittest.mock import patch

import pytest
from cryptography import x509

from exporter.anchors import trust_store
from exporter.certificates import Certificate
from exporter.observations import Reason
from exporter.verdicts import cache
from exporter.verdicts.cache import Judge
from tests.pki import certificate_of, make_ca, make_leaf, utc

WIDE = {"not_before": utc("2020-01-01"), "not_after": utc("2040-01-01")}
ROOT = make_ca("root", not_before=WIDE["not_before"], not_after=WIDE["not_after"])
MIDDLE = make_ca("middle", issuer=ROOT, not_before=utc("2026-01-01"), not_after=utc("2028-01-01"))
LEAF = make_leaf(MIDDLE, "x.test", not_before=utc("2026-06-01"), not_after=utc("2027-01-01"))
CHAIN = [certificate_of(LEAF), certificate_of(MIDDLE)]
STORE = trust_store("a", [certificate_of(ROOT)])
NOW = utc("2026-11-24")
# A subject key identifier, but not the octet string that it must be
UNREADABLE = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.14"), b"\x05\x00")


def test_a_verdict_is_made_once_while_it_holds() -> None:
    judge_ = Judge()

    first = judge_.judge(CHAIN, STORE, name="x.test", at=NOW)
    again = judge_.judge(CHAIN, STORE, name="x.test", at=NOW + timedelta(days=1))

    assert again is first
    assert (judge_.hit_count, judge_.miss_count) == (1, 1)


def test_it_is_made_anew_at_the_moment_it_can_change_and_when_the_clock_goes_back() -> None:
    judge_ = Judge()
    first = judge_.judge(CHAIN, STORE, name=None, at=NOW)
    assert first.steady_until is not None

    over = judge_.judge(CHAIN, STORE, name=None, at=first.steady_until)
    before = judge_.judge(CHAIN, STORE, name=None, at=NOW - timedelta(days=300))

    assert over.reasons == (Reason.EXPIRED,)
    assert before.reasons == (Reason.NOT_YET_VALID,)


def test_another_name_store_or_order_is_another_verdict() -> None:
    judge_ = Judge()
    judge_.judge(CHAIN, STORE, name="x.test", at=NOW)

    judge_.judge(CHAIN, STORE, name="y.test", at=NOW)
    judge_.judge(CHAIN, trust_store("b", []), name="x.test", at=NOW)
    judge_.judge(CHAIN[:1], STORE, name="x.test", at=NOW)

    assert (judge_.hit_count, judge_.miss_count) == (0, 4)


def test_stores_of_equal_anchors_keep_their_names() -> None:
    judge_ = Judge()
    twin = trust_store("b", STORE.anchors)

    told = [judge_.judge(CHAIN, store, name=None, at=NOW) for store in (STORE, twin, STORE, twin)]

    assert [verdict.trust_store for verdict in told] == ["a", "b", "a", "b"]
    assert told[2:] == told[:2]
    assert judge_.miss_count == 2


def test_a_ca_that_is_learned_makes_a_missing_intermediate_known() -> None:
    judge_ = Judge()
    before = judge_.judge(CHAIN[:1], STORE, name=None, at=NOW)

    judge_.learn([CHAIN[1]])
    judge_.learn([CHAIN[1]])
    after = judge_.judge(CHAIN[:1], STORE, name=None, at=NOW)

    assert before.reasons == (Reason.UNKNOWN_CA,)
    assert after.reasons == (Reason.CHAIN_INCOMPLETE,)


def test_what_is_learned_touches_only_verdicts_on_unknown_cas() -> None:
    judge_ = Judge()
    first = judge_.judge(CHAIN, STORE, name=None, at=NOW)
    unknown = judge_.judge(CHAIN, trust_store("b", []), name=None, at=NOW)

    judge_.learn([certificate_of(make_ca("another"))])

    assert judge_.judge(CHAIN, STORE, name=None, at=NOW) is first
    again = judge_.judge(CHAIN, trust_store("b", []), name=None, at=NOW)
    assert (again is unknown, again) == (False, unknown)
    assert judge_.judge(CHAIN, trust_store("b", []), name=None, at=NOW) is again


@pytest.mark.parametrize(
    ("certificate", "is_kept"),
    [
        pytest.param(CHAIN[0], False, id="a leaf"),
        pytest.param(CHAIN[1], True, id="an intermediate"),
        pytest.param(
            certificate_of(make_ca("old", basic_constraints=False)), True, id="says nothing"
        ),
        pytest.param(
            certificate_of(make_ca("x", extra=((UNREADABLE, False),), key_ids=False)),
            False,
            id="extensions that cannot be read",
        ),
    ],
)
def test_only_cas_are_learned(certificate: Certificate, *, is_kept: bool) -> None:
    judge_ = Judge()

    judge_.learn([certificate])

    assert (certificate in judge_._known) is is_kept


def test_neither_verdicts_nor_known_cas_grow_without_bound() -> None:
    judge_ = Judge(limit=2)
    with patch.object(cache, "_KNOWN_LIMIT", 1):
        for number in range(4):
            judge_.judge(CHAIN, STORE, name=f"{number}.test", at=NOW)
        judge_.learn([*CHAIN, certificate_of(ROOT), CHAIN[0]])

    assert len(judge_._verdicts) == 2
    assert len(judge_._seen) == 1
    assert len(judge_._known) == 0


def test_the_verdict_not_asked_for_longest_goes_first() -> None:
    judge_ = Judge(limit=2)
    for name in ("a.test", "b.test", "a.test", "c.test", "a.test"):
        judge_.judge(CHAIN, STORE, name=name, at=NOW)

    assert (judge_.hit_count, judge_.miss_count) == (2, 3)
