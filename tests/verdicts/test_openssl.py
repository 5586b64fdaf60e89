from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from exporter.anchors import trust_store
from exporter.observations import Reason
from exporter.verdicts.judge import judge
from exporter.verdicts.openssl import Anchors, AnchorsCache, moments_of, words_of
from tests.pki import certificate_of, make_ca, make_leaf, utc

BEGIN, END = utc("2026-01-01"), utc("2027-01-01")
ROOT = certificate_of(make_ca("root", not_before=BEGIN, not_after=END))
ENDLESS = certificate_of(make_ca("endless", not_after=utc("9999-12-31T23:59:59")))


def test_anchors_are_parsed_once_while_they_are_remembered() -> None:
    cache = AnchorsCache(limit=2)

    first = cache.get("a", [ROOT])
    cache.get("b", [])
    again = cache.get("a", [ROOT])
    cache.get("c", [])

    assert again is first
    assert cache.get("a", [ROOT]) is first
    assert cache.get("b", []).fingerprints == frozenset()


def test_the_next_change_of_anchors_is_a_begin_an_end_or_the_second_behind_it() -> None:
    anchors = Anchors([ROOT])
    second = timedelta(seconds=1)

    assert anchors.next_change(utc("2025-01-01")) == BEGIN
    assert anchors.next_change(BEGIN) == END
    assert anchors.next_change(END) == END + second
    assert anchors.next_change(END + second) is None


def test_a_certificate_without_end_has_no_second_behind_its_end() -> None:
    assert moments_of(ENDLESS) == (ENDLESS.not_before, ENDLESS.not_after)
    assert Anchors([ENDLESS]).next_change(ENDLESS.not_after) is None


def test_words_are_openssls_own() -> None:
    assert words_of(20) == "unable to get local issuer certificate"


def test_threads_that_judge_by_one_store_get_the_verdicts_of_their_own_moments() -> None:
    ca = make_ca("root", not_before=utc("2020-01-01"), not_after=utc("2040-01-01"))
    leaf = certificate_of(make_leaf(ca, "x.test", not_before=BEGIN, not_after=END))
    store = trust_store("s", [certificate_of(ca)])
    moments = [utc("2025-06-01"), utc("2026-06-01"), utc("2027-06-01")] * 60

    def reasons_at(moment: datetime) -> tuple[Reason, ...]:
        return judge([leaf], store, name=None, at=moment).reasons

    with ThreadPoolExecutor(4) as pool:
        told = [*pool.map(reasons_at, moments)]

    assert told == [(Reason.NOT_YET_VALID,), (), (Reason.EXPIRED,)] * 60
