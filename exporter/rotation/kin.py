"""Which CA a chain leads to, and whose acceptance hangs on it; pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from exporter.anchors import TrustStore, trust_store
from exporter.certificates import Certificate, read_pem
from exporter.observations import Reason
from exporter.verdicts.judge import judge
from exporter.verdicts.model import Verdict

# Whatever else speaks against a chain, it is by this CA, or may be once it is complete
_BY_ANOTHER = frozenset({Reason.UNKNOWN_CA, Reason.SELF_SIGNED, Reason.BAD_SIGNATURE})


class Judging(Protocol):
    """Who says whether a chain is accepted."""

    def judge(
        self, chain: Sequence[Certificate], store: TrustStore, *, name: str | None, at: datetime
    ) -> Verdict:
        """Return the verdict."""
        ...

    def learn(self, certificates: Iterable[Certificate]) -> None:
        """Remember CA certificates, which may complete the path of another chain."""
        ...


def alone(authority: Certificate) -> TrustStore:
    """Return the trust store of who trusts this CA and no other."""
    return trust_store("this CA alone", [authority])


def leads_to(
    chain: Sequence[Certificate], authority: Certificate, by: Judging, *, at: datetime
) -> bool:
    """Return whether ``chain`` is by ``authority``, also where it is over or not complete."""
    return _leads_to(by.judge(chain, alone(authority), name=None, at=at))


def _leads_to(verdict: Verdict) -> bool:
    return verdict.verified or not _BY_ANOTHER & set(verdict.reasons)


def leads_to_any(
    chain: Sequence[Certificate], authorities: Iterable[str], *, at: datetime
) -> bool:
    """Return whether ``chain`` is by any of the CAs, each given as PEM."""
    found = (read_pem(pem.encode(), what="a CA of a rotation")[0] for pem in authorities)
    return any(_leads_to(judge(chain, alone(one), name=None, at=at)) for one in found)


def needs_old(
    chain: Sequence[Certificate],
    old: Certificate,
    new: Certificate,
    by: Judging,
    *,
    at: datetime,
) -> bool | None:
    """Return whether only who trusts ``old`` accepts ``chain``; None: there is no chain."""
    if not chain:
        return None
    if not leads_to(chain, old, by, at=at):
        return False
    return not by.judge(chain, alone(new), name=None, at=at).verified
