"""Remembers verdicts until the next moment at which they can change."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime

from exporter.anchors import TrustStore
from exporter.certificates import Certificate, ca_flag_of
from exporter.observations import Reason
from exporter.verdicts.judge import judge
from exporter.verdicts.model import Verdict
from exporter.verdicts.paths import Authorities

_Key = tuple[tuple[str, ...], str, str, str | None]
_KNOWN_LIMIT = 4_000


class Judge:
    """Judges each (chain, trust store, name) once while nothing about it can change.

    Holds at most ``limit`` verdicts (about 0.5 KB each); the one not asked for longest goes first.

    Attributes:
        hit_count: Verdicts that were remembered; ``miss_count``: those that were made.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        # With each verdict: how much was known when it was made
        self._verdicts: OrderedDict[_Key, tuple[Verdict, int]] = OrderedDict()
        self._seen: OrderedDict[str, Certificate | None] = OrderedDict()
        self._known = Authorities()
        self._learned_count = 0
        self.hit_count = 0
        self.miss_count = 0

    def judge(
        self, chain: Sequence[Certificate], store: TrustStore, *, name: str | None, at: datetime
    ) -> Verdict:
        """Return the verdict; the same object as long as it holds.

        Raises:
            ValueError: ``chain`` is empty.
        """
        key = (tuple([c.fingerprint_sha256 for c in chain]), store.digest, store.name, name)
        entry = self._verdicts.get(key)
        if entry is not None and self._holds(*entry, at):
            self.hit_count += 1
            self._verdicts.move_to_end(key)
            return entry[0]
        self.miss_count += 1
        made = judge(chain, store, name=name, at=at, known=self._known)
        self._verdicts[key] = made, self._learned_count
        self._verdicts.move_to_end(key)
        if len(self._verdicts) > self._limit:
            self._verdicts.popitem(last=False)
        return made

    def learn(self, certificates: Iterable[Certificate]) -> None:
        """Take note of CA certificates that could complete somebody's path; others are ignored.

        What was ``unknown_ca`` before is judged again when asked for.
        """
        for certificate in certificates:
            fingerprint = certificate.fingerprint_sha256
            if fingerprint in self._seen:
                self._seen.move_to_end(fingerprint)
                continue
            is_ca = _may_be_ca(certificate)
            self._seen[fingerprint] = certificate if is_ca else None
            if is_ca:
                self._known.add(certificate)
                self._learned_count += 1
            if len(self._seen) > _KNOWN_LIMIT:
                _, oldest = self._seen.popitem(last=False)
                if oldest is not None:
                    self._known.discard(oldest)

    def _holds(self, verdict: Verdict, learned_count: int, at: datetime) -> bool:
        if at < verdict.judged_at:
            return False  # our clock went back
        if verdict.steady_until is not None and at >= verdict.steady_until:
            return False
        return learned_count == self._learned_count or Reason.UNKNOWN_CA not in verdict.reasons


def _may_be_ca(certificate: Certificate) -> bool:
    return ca_flag_of(certificate.parsed()) is not False  # one of version 1 has no extensions
