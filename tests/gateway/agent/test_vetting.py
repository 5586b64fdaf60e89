"""The agent's own checks of a chain."""

from datetime import timedelta
from typing import Any

import pytest

from exporter.gateway.agent.vetting import (
    Surroundings,
    faults_at_return,
    faults_of,
    kind_of,
    path_in,
)
from tests.pki import CLIENT_AUTH, Issued, certificate_of, make_ca, make_leaf, new_key, utc

NOW = utc("2026-11-24T12:00:00")
DATES: Any = {"not_before": NOW - timedelta(days=10), "not_after": NOW + timedelta(days=80)}
ROOT = make_ca("root", **DATES)
INNER = make_ca("inner", issuer=ROOT, **DATES)
LEAF = make_leaf(INNER, "gw.example", "10.0.0.1", **DATES)
OTHER_ROOT = make_ca("other root", **DATES)


def faults(*chain: Issued, around: Surroundings = Surroundings()) -> str:  # noqa: B008 - frozen
    return "; ".join(faults_of([certificate_of(one) for one in chain], around, at=NOW))


@pytest.mark.parametrize("chain", [(LEAF, INNER), (LEAF, INNER, ROOT), (LEAF,)])
def test_a_chain_in_order_has_no_fault_whoever_trusts_it(chain: tuple[Issued, ...]) -> None:
    assert faults(*chain) == ""


def test_a_bridge_beside_the_path_is_no_fault() -> None:
    bridge = make_ca("inner", issuer=OTHER_ROOT, key=INNER.key, **DATES)

    assert faults(LEAF, INNER, bridge) == ""


@pytest.mark.parametrize(
    ("chain", "fault"),
    [
        pytest.param(
            (INNER, LEAF),
            "the first certificate (CN=inner) is a CA's; the leaf comes first",
            id="leaf last",
        ),
        pytest.param(
            (LEAF, ROOT, INNER),
            "the order is wrong: each certificate stands behind the one it issued,"
            " CN=gw.example > CN=inner > CN=root",
            id="order",
        ),
        pytest.param((LEAF, INNER, INNER), "a certificate stands in the chain twice", id="twice"),
        pytest.param(
            (LEAF, INNER, make_leaf(ROOT, "stray", **DATES)),
            "CN=stray does not belong to the chain",
            id="stray",
        ),
        pytest.param((ROOT,), "CN=root is a CA's certificate, not a server's", id="a CA"),
        pytest.param((LEAF,) * 21, "21 certificates are no chain; at most 20", id="too many"),
        pytest.param(
            (make_leaf(INNER, "gw", not_before=NOW - timedelta(9), not_after=NOW), INNER),
            "expired: certificate has expired (leaf, 2026-11-24)",
            id="expired",
        ),
        pytest.param(
            (
                make_leaf(
                    INNER,
                    "gw",
                    not_before=NOW + timedelta(seconds=1),
                    not_after=NOW + timedelta(9),
                ),
                INNER,
            ),
            "not_yet_valid: certificate is not yet valid (leaf, 2026-11-24)",
            id="not yet valid",
        ),
        pytest.param(
            (
                LEAF,
                make_ca(
                    "inner",
                    issuer=ROOT,
                    key=INNER.key,
                    not_before=NOW - timedelta(9),
                    not_after=NOW - timedelta(1),
                ),
            ),
            "expired: certificate has expired (position 1, CN=inner, 2026-11-23)",
            id="intermediate expired",
        ),
        pytest.param(
            (make_leaf(INNER, "gw", purposes=(CLIENT_AUTH,), **DATES), INNER),
            "wrong_usage",
            id="a client's",
        ),
        pytest.param(
            (make_leaf(INNER, "gw", key=new_key("RSA 1024"), **DATES), INNER),
            "",
            id="weak, warned",
        ),
    ],
)
def test_each_fault_has_its_sentence(chain: tuple[Issued, ...], fault: str) -> None:
    found = faults(*chain)

    assert fault in found
    assert bool(found) is bool(fault)


def test_a_missing_intermediate_is_told_where_somebody_has_shown_it() -> None:
    seen = Surroundings(seen=[certificate_of(INNER)])

    assert faults(LEAF, around=seen) == (
        "the chain is not complete: CN=inner is missing behind CN=gw.example"
    )
    assert faults(LEAF, INNER, around=seen) == ""


def test_an_intermediate_that_is_an_anchor_need_not_be_sent() -> None:
    inner = certificate_of(INNER)

    assert faults(LEAF, around=Surroundings(seen=[inner], anchors=[inner])) == ""


def test_a_root_need_not_be_sent() -> None:
    around = Surroundings(seen=[certificate_of(ROOT), certificate_of(INNER)])

    assert faults(LEAF, INNER, around=around) == ""


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (("gw.example", "10.0.0.1", "more.example"), ""),
        (("*.example", "10.0.0.1"), ""),
        (("GW.example", "10.0.0.1"), ""),
        (
            ("gw.example",),
            "today's certificate is for 10.0.0.1, too; this one is for gw.example",
        ),
        (
            ("gw-2.example",),
            "today's certificate is for gw.example, 10.0.0.1, too; this one is for gw-2.example",
        ),
    ],
)
def test_a_new_leaf_is_for_all_names_of_todays(names: tuple[str, ...], fault: str) -> None:
    new = make_leaf(INNER, *names, **DATES)

    assert faults(new, INNER, around=Surroundings(replaced=certificate_of(LEAF))) == fault


def test_an_earlier_version_is_held_against_the_clock_only() -> None:
    chain = [certificate_of(LEAF), certificate_of(INNER)]

    assert faults_at_return(chain, at=NOW) == []
    assert "expired" in faults_at_return(chain, at=NOW + timedelta(days=80))[0]


def test_another_key_than_the_issuers_leads_nowhere() -> None:
    forged = make_ca("inner", issuer=ROOT, **DATES)

    assert path_in([certificate_of(LEAF), certificate_of(forged)]) == [certificate_of(LEAF)]
    assert kind_of(certificate_of(LEAF)) == "EC"
