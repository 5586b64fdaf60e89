"""Remembers verdicts until the next moment at which they can change."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from exporter.anchors import TrustStore
from exporter.certificates import Certificate
from exporter.observations import Reason
from exporter.verdicts.judge import judge
from exporter.verdicts.model import Verdict

_Key = tuple[tuple[str, ...], str, str | None]
_KNOWN_LIMIT = 2_000


class Judge:
    """Judges each (chain, trust store, name) once while nothing about it can change.

    Attributes:
        hit_count: Verdicts that were remembered; ``miss_count``: those that were made.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._verdicts: OrderedDict[_Key, Verdict] = OrderedDict()
        self._known: OrderedDict[str, Certificate] = OrderedDict()
        self.hit_count = 0
        self.miss_count = 0

    def judge(
        self, chain: Sequence[Certificate], store: TrustStore, *, name: str | None, at: datetime
    ) -> Verdict:
        """Return the verdict; the same object as long as it holds.

        Raises:
            ValueError: ``chain`` is empty.
        """
        key = (tuple([c.fingerprint_sha256 for c in chain]), store.digest, name)
        found = self._verdicts.get(key)
        if found is not None and _holds(found, at):
            self.hit_count += 1
            if found.trust_store != store.name:  # two names for one set of anchors
                return replace(found, trust_store=store.name)
            return found
        self.miss_count += 1
        made = judge(chain, store, name=name, at=at, known=self._known.values())
        self._verdicts[key] = made
        self._verdicts.move_to_end(key)
        if len(self._verdicts) > self._limit:
            self._verdicts.popitem(last=False)
        return made

    def learn(self, certificates: Iterable[Certificate]) -> None:
        """Take note of CA certificates that could complete somebody's path.

        What was judged "not trusted" before is judged again when asked for.
        """
        is_new = False
        for certificate in certificates:
            if certificate.fingerprint_sha256 not in self._known:
                self._known[certificate.fingerprint_sha256] = certificate
                is_new = True
                if len(self._known) > _KNOWN_LIMIT:
                    self._known.popitem(last=False)
        if is_new:
            stale = [k for k, v in self._verdicts.items() if Reason.UNKNOWN_CA in v.reasons]
            for key in stale:
                del self._verdicts[key]


def _holds(verdict: Verdict, at: datetime) -> bool:
    if at.replace(microsecond=0) < verdict.judged_at:
        return False  # our clock went back
    return verdict.steady_until is None or at < verdict.steady_until
