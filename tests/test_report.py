from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from exporter.observations import Observation, OcspStaple, Reason, ToldBy, WarningReason
from exporter.report import chain_report_json, look_json, outcome_of, rfc3339
from exporter.verdicts.model import Verdict
from tests.pki import certificate_of, make_ca, utc

NOW = utc("2026-11-24T12:00:00")
GOOD = Verdict(trust_store="a", verified=True, not_after=utc("2027-01-01"), judged_at=NOW)
EXPIRED = Verdict(
    trust_store="b",
    verified=False,
    reasons=(Reason.EXPIRED,),
    warnings=(WarningReason.NONCONFORMING,),
    detail="it ended",
    judged_at=NOW,
)
UNKNOWN = Verdict(
    trust_store="c",
    verified=False,
    reasons=(Reason.UNKNOWN_CA, Reason.HOSTNAME_MISMATCH),
    warnings=(WarningReason.WEAK_CRYPTO,),
    detail="not in c",
    judged_at=NOW,
)
SEEN = Observation(
    target="gw",
    address="gw:1",
    observed_at=NOW,
    connected=True,
    handshake=True,
    chain=(certificate_of(make_ca()),),
)


def test_all_reasons_of_all_stores_in_the_order_of_the_enum() -> None:
    outcome = outcome_of([GOOD, EXPIRED, UNKNOWN])

    assert outcome.verified is False
    assert outcome.reasons == (Reason.UNKNOWN_CA, Reason.EXPIRED, Reason.HOSTNAME_MISMATCH)
    assert outcome.reason is Reason.UNKNOWN_CA
    assert outcome.warnings == (WarningReason.NONCONFORMING, WarningReason.WEAK_CRYPTO)
    assert outcome.detail == "not in c"


def test_the_handshakes_own_reason_comes_first_and_hides_none() -> None:
    outcome = outcome_of(
        [UNKNOWN], failure=Reason.CLIENT_CERT_REQUIRED, detail="it wants a certificate"
    )

    assert outcome.reason is Reason.CLIENT_CERT_REQUIRED
    assert Reason.UNKNOWN_CA in outcome.reasons
    assert outcome.detail == "it wants a certificate"


def test_without_a_chain_nobody_knows_whether_it_is_verified() -> None:
    assert outcome_of([], failure=Reason.CONNECT_REFUSED, detail="x").verified is None


def test_notes_of_a_good_look_are_kept() -> None:
    noted = replace(GOOD, detail="some devices will not find the path")

    assert outcome_of([noted], detail="3 certificates are cut").detail == (
        "some devices will not find the path; 3 certificates are cut"
    )


def test_a_bad_verdict_is_our_own_refusal() -> None:
    look = look_json(SEEN, [EXPIRED])

    assert (look["handshake"], look["verified"], look["rejected_by"]) == (True, False, "local")


def test_a_servers_refusal_stays_the_servers() -> None:
    refused = replace(
        SEEN,
        handshake=False,
        reason=Reason.CLIENT_CERT_REQUIRED,
        rejected_by=ToldBy.PEER,
        detail="x",
    )

    assert look_json(refused, [EXPIRED])["rejected_by"] == "peer"


def test_nobody_refuses_a_good_look_or_a_timeout() -> None:
    late = replace(SEEN, handshake=False, reason=Reason.HANDSHAKE_TIMEOUT, detail="x")

    assert look_json(SEEN, [GOOD])["rejected_by"] is None
    assert look_json(late, [GOOD])["rejected_by"] is None


def test_a_staple_is_told_with_what_is_not_known_as_null() -> None:
    staple = OcspStaple(status="good", this_update=NOW, next_update=None, verified=None)

    assert look_json(replace(SEEN, ocsp=staple), [GOOD])["ocsp"] == {
        "status": "good",
        "this_update": "2026-11-24T12:00:00Z",
        "next_update": None,
        "verified": None,
    }
    assert look_json(SEEN, [GOOD])["ocsp"] is None


def test_a_chain_from_a_file_is_told_with_its_moment() -> None:
    report = chain_report_json(SEEN.chain, [GOOD], at=NOW)

    assert report["at"] == "2026-11-24T12:00:00Z"
    assert report["reason"] is None
    assert report["reasons"] == []


def test_moments_are_utc_and_end_in_z() -> None:
    east = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))

    assert rfc3339(east) == "2026-01-01T00:00:00Z"
    assert rfc3339(datetime(2026, 1, 1, 0, 0, 0, 1_500, tzinfo=UTC)) == "2026-01-01T00:00:00.001Z"
