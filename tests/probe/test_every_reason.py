"""Every reason that a verdict can give, from the chain of a real listener as a look brought it."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.anchors import WeakCrypto, trust_store
from exporter.clock import SystemClock
from exporter.observations import Reason, WarningReason
from exporter.verdicts.judge import judge
from tests.listeners import listening, load_chain, say_nothing
from tests.pki import CLIENT_AUTH, Issued, certificate_of, make_ca, make_leaf, new_key
from tests.probe.conftest import Look

NAME = "gw.test"
NOW = SystemClock().now()
CA = make_ca("reasons CA")
MIDDLE = make_ca("reasons intermediate", issuer=CA)
PLAIN_CA = make_ca("plain CA", key_ids=False)
NAMESAKE = make_ca("plain CA", key_ids=False)
HOME_CA = make_ca("home CA", default_usages=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    chain: Sequence[Issued]
    anchor: Issued = CA
    name: str = NAME
    weak_crypto: WeakCrypto = WeakCrypto.WARN
    known: Sequence[Issued] = ()
    warnings: tuple[WarningReason, ...] = ()


def leaf(issuer: Issued | None = CA, **wishes: object) -> Issued:
    return make_leaf(issuer, NAME, **wishes)  # type: ignore[arg-type]  # passed on by name


CASES: dict[Reason | None, Case] = {
    None: Case(chain=[leaf(HOME_CA)], anchor=HOME_CA, warnings=(WarningReason.NONCONFORMING,)),
    Reason.BAD_SIGNATURE: Case(chain=[leaf(NAMESAKE, key_ids=False)], anchor=PLAIN_CA),
    Reason.UNKNOWN_CA: Case(chain=[leaf(make_ca("new CA"))]),
    Reason.SELF_SIGNED: Case(chain=[leaf(None)]),
    Reason.CHAIN_INCOMPLETE: Case(chain=[leaf(MIDDLE)], known=[MIDDLE]),
    Reason.NOT_YET_VALID: Case(
        chain=[leaf(not_before=NOW + timedelta(days=1), not_after=NOW + timedelta(days=9))]
    ),
    Reason.EXPIRED: Case(
        chain=[leaf(not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=1))]
    ),
    Reason.WRONG_USAGE: Case(chain=[leaf(purposes=(CLIENT_AUTH,))]),
    Reason.WEAK_CRYPTO: Case(
        chain=[leaf(key=new_key("RSA 1024"))],
        weak_crypto=WeakCrypto.REFUSE,
    ),
    Reason.HOSTNAME_MISMATCH: Case(chain=[leaf()], name="other.test"),
}


def served(folder: Path, chain: Sequence[Issued]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # or it does not serve a small key
    load_chain(context, folder / "tls", chain)
    return context


@pytest.mark.parametrize("reason", CASES, ids=str)
async def test_a_verdict_on_what_was_served_has_the_reason_and_the_dates(
    look: Look, tmp_path: Path, reason: Reason | None
) -> None:
    case = CASES[reason]
    context = served(tmp_path, case.chain)
    async with listening(say_nothing, tls=context) as port:
        seen = await look(port)

    anchors = trust_store("fw", [certificate_of(case.anchor)], weak_crypto=case.weak_crypto)
    known = [certificate_of(issued) for issued in case.known]
    verdict = judge(seen.chain, anchors, name=case.name, at=seen.observed_at, known=known)

    assert (seen.handshake, seen.reason) == (True, None)
    assert seen.chain[0].not_after == case.chain[0].certificate.not_valid_after_utc
    assert verdict.verified is (reason is None)
    assert verdict.reasons == (() if reason is None else (reason,))
    assert set(case.warnings) <= set(verdict.warnings)
