"""Any heap of certificates gets a verdict, and it holds until the moment that it names."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.anchors import Profile, TrustStore, trust_store
from exporter.certificates import Certificate
from exporter.observations import Reason
from exporter.verdicts.cache import Judge
from exporter.verdicts.judge import judge
from exporter.verdicts.model import Verdict
from tests.pki import Issued, Wishes, certificate_of, issue, make_ca, make_leaf, new_key, utc

OLD = make_ca("old", not_before=utc("2020-01-01"), not_after=utc("2027-01-01"))
NEW = make_ca("new", not_before=utc("2026-01-01"), not_after=utc("2036-01-01"))
KEY = new_key()
MIDDLE = Wishes(
    common_name="middle",
    is_ca=True,
    not_before=utc("2020-01-01"),
    not_after=utc("2026-07-01"),
)
BY_OLD = issue(MIDDLE, issuer=OLD, key=KEY)
BY_OLD_AGAIN = issue(replace(MIDDLE, not_before=utc("2026-03-01")), issuer=OLD, key=KEY)
BY_NEW = issue(
    replace(MIDDLE, not_before=utc("2026-02-01"), not_after=utc("2030-01-01")),
    issuer=NEW,
    key=KEY,
)
OLD_BY_NEW = issue(
    Wishes(
        common_name="old", is_ca=True, not_before=utc("2026-01-01"), not_after=utc("2028-01-01")
    ),
    issuer=NEW,
    key=OLD.key,
)
LEAVES = [
    make_leaf(BY_OLD, "x.test", not_before=utc("2025-06-01"), not_after=utc("2026-12-01")),
    make_leaf(BY_OLD, "y.test", not_before=utc("2026-05-01"), not_after=utc("2029-12-01")),
    make_leaf(OLD, "x.test", not_before=utc("2025-06-01"), not_after=utc("2028-12-01")),
    make_leaf(None, "x.test", not_before=utc("2025-06-01"), not_after=utc("2026-12-01")),
]
AUTHORITIES = [OLD, NEW, BY_OLD, BY_OLD_AGAIN, BY_NEW, OLD_BY_NEW]
MOMENTS = sorted(
    {m for i in (*LEAVES, *AUTHORITIES) for m in (certificate_of(i).not_before,
                                                  certificate_of(i).not_after)}
)  # fmt: skip

chains = st.builds(
    lambda leaf, rest: [certificate_of(issued) for issued in (leaf, *rest)],
    st.sampled_from(LEAVES),
    st.lists(st.sampled_from([*AUTHORITIES, *LEAVES]), max_size=5),
)
stores = st.builds(
    lambda anchors, profile: trust_store("s", map(certificate_of, anchors), profile=profile),
    st.lists(st.sampled_from([*AUTHORITIES, LEAVES[3]]), max_size=3),
    st.sampled_from(Profile),
)
seconds = st.builds(
    lambda moment, shift: moment + timedelta(seconds=shift),
    st.sampled_from(MOMENTS),
    st.sampled_from([-86400, -1, 0, 1, 86400 * 20]),
)
known = st.lists(st.sampled_from(AUTHORITIES), max_size=2)
thorough = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def said(verdict: Verdict) -> Verdict:
    """All but the moments at which it was said, and until when."""
    moment = utc("2000-01-01")
    return replace(verdict, judged_at=moment, steady_until=None)


@thorough
@given(chains, stores, seconds, known)
def test_every_verdict_makes_sense(
    chain: list[Certificate], store: TrustStore, at: datetime, known: list[Issued]
) -> None:
    verdict = judge(chain, store, name="x.test", at=at, known=[certificate_of(i) for i in known])

    assert verdict.verified is (not verdict.reasons)
    assert (verdict.not_after is not None) is verdict.verified
    assert verdict.verified or verdict.detail
    no_path = {Reason.UNKNOWN_CA, Reason.SELF_SIGNED} & {*verdict.reasons}
    assert bool(verdict.path) is not bool(no_path)
    assert verdict.steady_until is None or verdict.steady_until > at
    assert verdict.not_after is None or verdict.not_after > at


@thorough
@given(chains, stores, seconds, known, st.floats(0, 1, exclude_max=True))
def test_a_verdict_holds_until_its_own_end(
    chain: list[Certificate],
    store: TrustStore,
    at: datetime,
    known: list[Issued],
    part: float,
) -> None:
    others = [certificate_of(issued) for issued in known]
    first = judge(chain, store, name="x.test", at=at, known=others)
    end = first.steady_until or at + timedelta(days=10_000)

    # a part next to 1 is rounded up to the end itself
    sometime = min(at + (end - at) * part, end - timedelta(microseconds=1))
    for moment in (end - timedelta(seconds=1), sometime):
        later = judge(chain, store, name="x.test", at=moment, known=others)
        assert said(later) == said(first)


@thorough
@given(chains, stores, seconds)
def test_what_is_remembered_is_what_would_be_judged(
    chain: list[Certificate], store: TrustStore, at: datetime
) -> None:
    remembering = Judge()
    moment: datetime | None = at
    while moment is not None:
        told = remembering.judge(chain, store, name=None, at=moment)
        again = remembering.judge(chain, store, name=None, at=moment + timedelta(microseconds=9))
        fresh = judge(chain, store, name=None, at=moment)
        assert told == fresh
        assert again is told
        moment = told.steady_until
    assert remembering.hit_count == remembering.miss_count
