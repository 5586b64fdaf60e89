"""What devices reported, in words."""

from datetime import timedelta

import pytest

from exporter.certificates import Certificate
from exporter.fleet_page.trust import SYNC_LEVELS, SYNC_WORDS, sync_counts, trust_view
from exporter.gateway.messages import DeviceUpdateStatus
from exporter.observations import TrustReport
from exporter.trust_store.model import Difference, Known, Standing, SyncState, Wanted, Word
from tests.fleet.stand import certificate
from tests.pki import utc

NOW = utc("2026-11-24T12:00:00")
OLD = certificate("old CA")
NEW = "c" * 64


def report(*anchors: str) -> TrustReport:
    return TrustReport(
        device="dev-01",
        anchors=frozenset(anchors),
        reported_at=NOW - timedelta(minutes=2),
        received_at=NOW - timedelta(minutes=1),
    )


def standing(
    state: SyncState | None,
    known: Known,
    *,
    difference: Difference | None = None,
    wanted: Wanted | None = None,
) -> Standing:
    return Standing(
        state=state, known=known, wanted=wanted, difference=difference, steady_until=None
    )


def found(fingerprint: str) -> Certificate | None:
    return OLD if fingerprint == OLD.fingerprint_sha256 else None


SILENT = standing(SyncState.NEVER_REPORTED, Known())
SYNCED = standing(SyncState.SYNCED, Known(report=report(OLD.fingerprint_sha256)))


def test_every_state_has_words_and_a_shape() -> None:
    assert set(SYNC_WORDS) == set(SYNC_LEVELS) == set(SyncState)


def test_where_nobody_reports_nothing_is_counted() -> None:
    assert sync_counts({"dev-01": SILENT}, is_polled=False) == {}
    assert sync_counts({}, is_polled=True) == {}


def test_once_somebody_reports_or_is_asked_silence_counts() -> None:
    unwanted = standing(None, SYNCED.known)
    all_three = {"dev-01": SILENT, "dev-02": SYNCED, "dev-03": unwanted}

    assert sync_counts({"dev-01": SILENT}, is_polled=True) == {SyncState.NEVER_REPORTED: 1}
    assert sync_counts(all_three, is_polled=False) == {
        SyncState.SYNCED: 1,
        SyncState.NEVER_REPORTED: 1,
    }


def test_of_a_device_that_never_reported_there_is_nothing_to_tell() -> None:
    assert trust_view(None, found) is None
    assert trust_view(SILENT, found) is None


def test_a_report_is_told_beside_what_is_wanted() -> None:
    pending = standing(
        SyncState.PENDING,
        Known(report=report(OLD.fingerprint_sha256)),
        difference=Difference(missing=(NEW,), extra=(OLD.fingerprint_sha256,)),
        wanted=Wanted(anchors=frozenset({NEW}), since=NOW - timedelta(days=1)),
    )

    told = trust_view(pending, found)

    assert told is not None
    assert told.sentence == "It does not hold yet what is wanted of it."
    assert told.shape == "awaited"
    assert told.received_at == NOW - timedelta(minutes=1)
    assert told.wanted_since == NOW - timedelta(days=1)
    old = f"old CA ({OLD.fingerprint_sha256[:8]})"
    assert [(kind.title, kind.names) for kind in told.anchors] == [
        ("reported", (old,)),
        ("missing", (f"SHA-256 {NEW[:16]}",)),
        ("more than wanted", (old,)),
    ]
    assert told.platform == ""


@pytest.mark.parametrize(
    ("error", "words"), [("", "FAILED"), ("flash full", "FAILED: flash full")]
)
def test_the_platforms_word_is_told_as_such(error: str, words: str) -> None:
    word = Word(status=DeviceUpdateStatus.FAILED, told_at=NOW, error=error)

    told = trust_view(standing(SyncState.FAILED, Known(word=word)), found)

    assert told is not None
    assert told.platform == words
    assert (told.reported_at, told.received_at, told.anchors) == (None, None, ())
    assert told.wanted_since is None


def test_what_is_not_known_to_be_wanted_is_not_called_good() -> None:
    told = trust_view(standing(None, SYNCED.known), found)

    assert told is not None
    assert told.shape == "unknown"
    assert told.sentence == "It reported, and nothing is known to be wanted of it."


def test_of_many_anchors_the_first_are_named() -> None:
    anchors = [f"{number:064x}" for number in range(30)]

    told = trust_view(standing(SyncState.SYNCED, Known(report=report(*anchors))), found)

    assert told is not None
    assert (len(told.anchors[0].names), told.anchors[0].left_count) == (20, 10)
