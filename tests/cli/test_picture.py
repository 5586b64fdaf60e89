"""The picture of a chain and its verdicts, as text."""

import io
from dataclasses import replace

from rich.console import RenderableType

from exporter.anchors import trust_store
from exporter.certificates import Certificate
from exporter.cli.picture import (
    chain_tree,
    console_for,
    handshake_line,
    headline,
    verdict_tree,
)
from exporter.observations import Observation, OcspStaple, Reason, WarningReason
from exporter.report import outcome_of
from exporter.verdicts.model import Verdict
from tests.pki import certificate_of, make_ca, make_leaf, utc

NOW = utc("2026-11-24T12:00:00")
ROOT = make_ca("root", not_before=utc("2026-01-01"), not_after=utc("2036-01-01"))
MIDDLE = make_ca("middle", issuer=ROOT, not_before=utc("2026-01-01"), not_after=utc("2026-12-10"))
LEAF = make_leaf(MIDDLE, "gw.test", not_before=utc("2026-01-01"), not_after=utc("2026-11-20"))
CHAIN = tuple(certificate_of(issued) for issued in (LEAF, MIDDLE, ROOT))


def text_of(drawn: RenderableType) -> str:
    file = io.StringIO()
    console_for(file).print(drawn)
    return file.getvalue()


def numbers(drawn: str) -> list[tuple[int, str]]:
    """Depth in the tree and number of each certificate, from top to bottom."""
    found = []
    for line in drawn.splitlines():
        branch, _, rest = line.partition("── ")
        if rest:
            found.append((len(branch) // 4, rest.split()[0]))
    return found


def test_each_certificate_hangs_below_its_issuer_with_its_number() -> None:
    assert numbers(text_of(chain_tree(CHAIN, NOW))) == [(0, "2"), (1, "1"), (2, "0")]


def test_a_stray_stands_beside_the_chain() -> None:
    stray = certificate_of(make_ca("stray"))

    drawn = text_of(chain_tree((CHAIN[0], stray, CHAIN[1]), NOW))

    assert sorted(numbers(drawn)) == [(0, "1"), (0, "2"), (1, "0")]


def cycle() -> tuple[Certificate, ...]:
    first, second = CHAIN[0], CHAIN[1]
    return (
        replace(first, subject="CN=a", issuer="CN=b"),
        replace(second, subject="CN=b", issuer="CN=a"),
    )


def test_two_that_signed_each_other_are_shown_once_each() -> None:
    assert sorted(number for _, number in numbers(text_of(chain_tree(cycle(), NOW)))) == ["0", "1"]


def test_a_chain_that_was_cut_says_so() -> None:
    assert "(the first 3 of 100)" in text_of(chain_tree(CHAIN, NOW, sent_count=100))


def test_days_left_and_what_has_ended_are_told() -> None:
    drawn = text_of(chain_tree(CHAIN, NOW))

    assert "ends 2026-11-20 00:00 UTC, ended 4 days ago" in drawn
    assert "ends 2026-12-10 00:00 UTC, 15 days left" in drawn
    assert "signed by itself" in drawn


def test_what_begins_only_later_is_told() -> None:
    early = text_of(chain_tree(CHAIN, utc("2025-06-01")))

    assert "begins only 2026-01-01 00:00 UTC" in early


def test_a_certificate_without_a_subject_is_shown_as_such() -> None:
    assert "(no subject)" in text_of(chain_tree((replace(CHAIN[0], subject=""),), NOW))


def test_the_path_names_what_was_sent_by_number_and_the_anchor_by_name() -> None:
    store = trust_store("fw", [CHAIN[2]])
    verdict = Verdict(
        trust_store="fw",
        verified=True,
        path=(*(one.fingerprint_sha256 for one in CHAIN), "ab" * 32),
        not_after=utc("2026-12-10"),
        warnings=(WarningReason.NONCONFORMING,),
        detail="a note",
        judged_at=NOW,
    )

    drawn = text_of(verdict_tree([verdict], CHAIN[:2], {"fw": store}, NOW))

    assert "path 0 > 1 > CN=root > anchor abababababababab, verifies until" in drawn
    assert "15 days left" in drawn
    assert "warning nonconforming" in drawn
    assert "a note" in drawn


def test_a_path_that_is_not_known_is_not_made_up() -> None:
    verdict = Verdict(trust_store="fw", verified=True, judged_at=NOW)

    drawn = text_of(verdict_tree([verdict], CHAIN, {"fw": trust_store("fw", CHAIN)}, NOW))

    assert "path not known" in drawn


def test_a_headline_says_the_answer_first() -> None:
    good = outcome_of([Verdict(trust_store="a", verified=True, judged_at=NOW)])
    noted = outcome_of(
        [Verdict(trust_store="a", verified=True, detail="by reordering", judged_at=NOW)]
    )
    failed = outcome_of([], failure=Reason.CONNECT_REFUSED)

    assert str(headline(good)) == "verified"
    assert str(headline(noted)) == "verified: by reordering"
    assert str(headline(failed, is_shaken=False)) == (
        "no handshake: connect_refused: nothing listens there"
    )


def test_the_handshake_is_told_as_far_as_it_went() -> None:
    staple = OcspStaple(status="good", this_update=NOW, next_update=None, verified=True)
    seen = Observation(
        target="a",
        address="a:1",
        observed_at=NOW,
        tls_version="TLSv1.3",
        cipher="X\x1b",
        client_certificate_requested=True,
        ocsp=staple,
    )

    assert str(handshake_line(seen)) == (
        "TLSv1.3, X\\x1b, asks for a client certificate, stapled OCSP: good"
    )


def test_text_that_looks_like_markup_is_text() -> None:
    hostile = replace(CHAIN[0], subject="CN=[red]x[/red]", issuer="[link=http://x]y")

    drawn = text_of(chain_tree((hostile,), NOW))

    assert "CN=[red]x[/red]" in drawn
    assert "[link=http://x]y" in drawn
