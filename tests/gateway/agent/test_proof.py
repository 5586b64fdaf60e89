"""What looks prove, and what they do not."""

from dataclasses import replace

import pytest

from exporter.gateway.agent.driver import Address
from exporter.gateway.agent.proof import Seen, Way, fault_of, kinds_beside, leaf_of
from exporter.probe.openssl import Manner, Signatures

HERE, THERE = Address(host="127.0.0.1", port=8883), Address(host="::1", port=8883)
NEW, OLD, ISSUER = "aa" * 32, "bb" * 32, "cc" * 32
WAY = Way(address=HERE, server_name="gw.example", manner=Manner())
RSA_WAY = replace(WAY, manner=Manner(signatures=Signatures.RSA))
GOOD = Seen(way=WAY, chain=(NEW, ISSUER), is_done=True)


def test_the_whole_chain_in_a_full_handshake_is_proof() -> None:
    assert fault_of([GOOD, replace(GOOD, way=RSA_WAY)], [NEW, ISSUER]) is None


def test_what_the_terminator_adds_behind_the_chain_is_no_fault() -> None:
    assert fault_of([replace(GOOD, chain=(NEW, ISSUER, OLD))], [NEW, ISSUER]) is None


def test_a_client_that_can_less_may_be_refused_but_not_be_served_another_leaf() -> None:
    refused = Seen(way=RSA_WAY, is_refused=True, detail="alert handshake_failure")
    old = Seen(way=RSA_WAY, chain=(OLD, ISSUER), is_done=True)

    assert fault_of([GOOD, refused], [NEW, ISSUER]) is None
    assert fault_of([GOOD, old], [NEW, ISSUER]) == (
        "127.0.0.1:8883 as gw.example, RSA only: the leaf bbbbbbbbbbbbbbbb is served,"
        " not aaaaaaaaaaaaaaaa"
    )


@pytest.mark.parametrize(
    ("looks", "sentence"),
    [
        pytest.param([], "nobody looked: the terminator has no address", id="no look"),
        pytest.param(
            [Seen(way=WAY, detail="connection refused")],
            "127.0.0.1:8883 as gw.example: no certificate was shown: connection refused",
            id="dead",
        ),
        pytest.param(
            [Seen(way=replace(WAY, server_name=None), is_refused=True, detail="unrecognized")],
            "127.0.0.1:8883: nothing but refusals, the last: unrecognized",
            id="only refusals",
        ),
        pytest.param(
            [GOOD, Seen(way=replace(WAY, address=THERE), is_refused=True, detail="no")],
            "[::1]:8883: nothing but refusals, the last: no",
            id="one address refuses",
        ),
        pytest.param(
            [replace(GOOD, chain=(NEW,))],
            "127.0.0.1:8883 as gw.example: the leaf aaaaaaaaaaaaaaaa is served with another"
            " chain: 1 certificates, not the 2 of its version",
            id="without the intermediate",
        ),
        pytest.param(
            [replace(GOOD, is_done=False, detail="bad signature")],
            "127.0.0.1:8883 as gw.example: shown, but there was no handshake: bad signature",
            id="another key",
        ),
    ],
)
def test_anything_less_is_no_proof(looks: list[Seen], sentence: str) -> None:
    assert fault_of(looks, [NEW, ISSUER]) == sentence


def test_two_leaves_at_once_are_no_leaf() -> None:
    assert leaf_of([GOOD, GOOD]) == NEW
    assert leaf_of([GOOD, replace(GOOD, chain=(OLD,))]) is None
    assert leaf_of([]) is None


def test_a_leaf_for_each_kind_of_key_is_told() -> None:
    ec, other = replace(GOOD, key="EC P-256"), replace(GOOD, key="EC P-384", chain=(OLD,))
    rsa = replace(GOOD, key="RSA 2048", chain=(OLD,))
    refused = Seen(way=RSA_WAY, is_refused=True)

    assert kinds_beside([ec, other, refused]) == ""
    assert kinds_beside([]) == ""
    told = kinds_beside([ec, rsa, rsa])
    assert f"at once (EC P-256 {NEW[:16]}, RSA 2048 {OLD[:16]}), and a version has one" in told
