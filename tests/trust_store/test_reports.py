"""The book of reports: in memory, in the store, and after a restart."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from exporter.store import Store
from exporter.trust_store.model import Known, Wanted
from exporter.trust_store.records import Records, erase, read, write
from exporter.trust_store.reports import MOST_CERTIFICATES, ReportBook
from tests.fleet.stand import certificate
from tests.pki import certificate_of, make_ca
from tests.trust_store.saying import NEW, NOON, OLD, after, known, report, word

OLD_ONLY, BOTH = frozenset({OLD}), frozenset({OLD, NEW})


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/state.db")
    await made.open()
    yield made
    await made.close()


async def save(book: ReportBook, store: Store) -> Records:
    change = book.take_change()
    async with store.writing() as connection:
        await write(connection, change)
    book.note_written(change)
    return change


async def restarted(store: Store) -> ReportBook:
    book = ReportBook()
    async with store.reading() as connection:
        book.restore(await read(connection))
    return book


def test_devices_that_trust_the_same_share_it() -> None:
    book = ReportBook()

    book.take("dev-01", known(OLD, NEW))
    book.take("dev-02", known(NEW, OLD, received_s=5))

    first, second = book.known("dev-01").report, book.known("dev-02").report
    assert first is not None
    assert second is not None
    assert first.anchors is second.anchors


def test_what_is_not_known_is_nothing() -> None:
    book = ReportBook()

    assert book.known("dev-01") == Known()
    assert book.wanted("dev-01") is None


def test_what_is_wanted_counts_from_its_last_change() -> None:
    book = ReportBook()

    first = book.want({"dev-01": OLD_ONLY}, after(0))
    same = book.want({"dev-01": frozenset({OLD})}, after(5))
    other = book.want({"dev-01": BOTH}, after(9))

    assert (first, same, other) == ({"dev-01"}, set(), {"dev-01"})
    assert book.wanted("dev-01") == Wanted(anchors=BOTH, since=after(9))


def test_what_is_no_longer_wanted_is_told() -> None:
    book = ReportBook()
    book.want({"dev-01": OLD_ONLY}, after(0))

    assert book.want({}, after(5)) == {"dev-01"}
    assert book.wanted("dev-01") is None


async def test_everything_is_there_after_a_restart(store: Store) -> None:
    ca = certificate_of(make_ca())
    long_ago = report(
        OLD, device="dev-04", reported_at=NOON - timedelta(days=20_000, microseconds=7)
    )
    told = {
        "dev-01": known(OLD, NEW),
        "dev-02": Known(report=report(device="dev-02")),
        "dev-03": Known(word=word("FAILED", error="disk full")),
        "dev-04": Known(report=long_ago, word=word("PENDING")),
    }
    book = ReportBook()
    for device, one in told.items():
        book.take(device, one)
    book.want({"dev-01": BOTH}, after(3))
    book.learn([ca])

    await save(book, store)
    again = await restarted(store)
    changed = again.want({"dev-01": BOTH}, after(999))

    assert {device: again.known(device) for device in told} == told
    assert again.wanted("dev-01") == Wanted(anchors=BOTH, since=after(3))
    assert changed == {"dev-01"}
    assert again.certificates == {ca.fingerprint_sha256: ca}
    assert not again.take_change()


async def test_the_same_poll_after_a_restart_brings_nothing(store: Store) -> None:
    told = Known(report=report(OLD, reported_at=after(-1.000001)), word=word())
    book = ReportBook()
    book.take("dev-01", told)
    await save(book, store)

    again = await restarted(store)

    assert not again.take("dev-01", told)


async def test_a_store_that_opens_late_is_taken_beside_what_came_meanwhile(
    store: Store,
) -> None:
    before = ReportBook()
    before.take("dev-01", known(OLD, received_s=9))
    before.take("dev-02", known(OLD, device="dev-02", received_s=0))
    before.want({"dev-01": BOTH, "dev-02": OLD_ONLY}, after(-50))
    await save(before, store)
    book = ReportBook()
    book.take("dev-01", known(NEW, received_s=5))
    book.take("dev-02", known(NEW, device="dev-02", received_s=5))
    book.want({"dev-01": BOTH, "dev-02": BOTH}, after(0))

    async with store.reading() as connection:
        book.restore(await read(connection))
    book.want({"dev-01": BOTH, "dev-02": BOTH}, after(1))

    assert book.known("dev-01").report == report(OLD, received_s=9)
    assert book.known("dev-02").report == report(NEW, device="dev-02", received_s=5)
    assert book.wanted("dev-01") == Wanted(anchors=BOTH, since=after(-50))
    assert book.wanted("dev-02") == Wanted(anchors=BOTH, since=after(0))


async def test_a_receipt_alone_is_written_once_in_a_while(store: Store) -> None:
    book = ReportBook()
    book.take("dev-01", known(OLD))
    await save(book, store)

    book.take("dev-01", known(OLD, received_s=60))
    soon = await save(book, store)
    book.take("dev-01", known(OLD, received_s=900))
    later = await save(book, store)
    book.take("dev-01", known(OLD, NEW, received_s=901))
    other = await save(book, store)

    assert [len(change.known) for change in (soon, later, other)] == [0, 1, 1]


def test_what_could_not_be_written_waits_and_newer_goes_before_it() -> None:
    book = ReportBook()
    book.take("dev-01", known(OLD))
    book.take("dev-02", known(OLD))
    failed = book.take_change()
    book.take("dev-01", known(OLD, NEW, received_s=5))

    book.put_back(failed)

    assert book.take_change().known == {
        "dev-01": known(OLD, NEW, received_s=5),
        "dev-02": known(OLD),
    }


def test_certificates_are_kept_once_and_not_without_end() -> None:
    book = ReportBook()
    made = [certificate(f"ca-{n}") for n in range(MOST_CERTIFICATES + 1)]

    assert book.learn(made[:2])
    assert not book.learn(made[:2])
    assert book.learn(made)
    assert not book.learn([certificate("one more")])
    assert len(book.certificates) == MOST_CERTIFICATES


async def test_a_device_that_is_gone_for_long_is_forgotten(store: Store) -> None:
    book = ReportBook()
    book.take("gone", known(OLD))
    book.take("lately", known(NEW, received_s=86_400 * 5.0))
    book.take("kept", known(NEW, device="kept"))
    book.take("promised", Known(word=word()))
    book.want({"wanted": BOTH, "kept": BOTH}, NOON)
    await save(book, store)

    gone = book.forget({"kept"}, NOON + timedelta(days=31))
    async with store.writing() as connection:
        await erase(connection, gone)
    again = await restarted(store)

    assert set(gone) == {"gone", "promised", "wanted"}
    assert again.known("gone") == Known()
    assert again.known("kept").report == report(NEW, device="kept")
    assert again.known("lately").report is not None
    async with store.reading() as connection:
        sets = list(await connection.scalars(text("SELECT anchors FROM trust_anchor_set")))
    assert sets == [NEW]


async def test_a_damaged_certificate_in_the_store_is_left_out(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async with store.writing() as connection:
        for fingerprint, der in (("a", "zz"), ("b", "00")):
            await connection.execute(
                text("INSERT INTO trust_certificate VALUES (:a, :b)"),
                {"a": fingerprint, "b": der},
            )

    assert (await restarted(store)).certificates == {}
    assert "left out" in caplog.text


async def test_a_record_that_cannot_be_read_is_left_out_and_no_other(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    book = ReportBook()
    for device in ("dev-01", "dev-02", "dev-03"):
        book.take(device, known(OLD, device=device))
    await save(book, store)
    async with store.writing() as connection:
        for change in (
            "SET status = 'DONE' WHERE device = 'dev-01'",
            f"SET received_at = {10**18} WHERE device = 'dev-02'",
        ):
            await connection.execute(text(f"UPDATE trust_report {change}"))

    again = await restarted(store)

    assert again.known("dev-01") == again.known("dev-02") == Known()
    assert again.known("dev-03").report is not None
    assert caplog.text.count("cannot be read") == 2
