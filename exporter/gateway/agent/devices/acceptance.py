"""Which devices would accept a chain, by the trust stores they reported."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from exporter.anchors import trust_store
from exporter.certificates import Certificate
from exporter.verdicts.cache import Judge
from exporter.verdicts.model import Verdict

NEVER_REPORTED = "never_reported"
UNKNOWN_ANCHOR = "unknown_anchor"
_STORE = "what the device reported"
_MAX_SHOWN = 10

Store = frozenset[str]
"""Fingerprints of the anchors that a device reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What one device says to a chain.

    Attributes:
        accepts: None: nobody can tell; it never reported, or trusts what nobody has shown us.
        reasons: Why not, or why it is not known.
        anchor: The one it leads to.
    """

    device: str
    accepts: bool | None
    reasons: tuple[str, ...] = ()
    anchor: str | None = None


class Jury:
    """Judges each distinct store once, however many devices hold it."""

    def __init__(self) -> None:
        self._judge = Judge(limit=20_000)

    def ask(
        self,
        chain: Sequence[Certificate],
        stores: Mapping[str, Store | None],
        known: Mapping[str, Certificate],
        *,
        name: str | None,
        at: datetime,
    ) -> list[Acceptance]:
        """Return what each device says, in the order of ``stores``.

        Args:
            chain: Leaf first.
            stores: By device; None: it never reported.
            known: Certificates by fingerprint, so that a reported hash means something.
            name: The name under which devices know the gateway; None: not checked.
            at: Now, or a moment to come.
        """
        verdicts: dict[Store, tuple[bool | None, tuple[str, ...], str | None]] = {}
        self._judge.learn(known.values())
        answers = []
        for device, store in stores.items():
            if store is None:
                answers.append(Acceptance(device=device, accepts=None, reasons=(NEVER_REPORTED,)))
                continue
            if store not in verdicts:
                anchors = [known[one] for one in sorted(store) if one in known]
                verdict = self._judge.judge(chain, trust_store(_STORE, anchors), name=name, at=at)
                verdicts[store] = _answer(verdict, is_whole=len(anchors) == len(store))
            accepts, reasons, anchor = verdicts[store]
            answers.append(
                Acceptance(device=device, accepts=accepts, reasons=reasons, anchor=anchor)
            )
        return answers


def _answer(
    verdict: Verdict, *, is_whole: bool
) -> tuple[bool | None, tuple[str, ...], str | None]:
    if verdict.verified:
        return True, (), verdict.path[-1]
    reasons = tuple(str(reason) for reason in verdict.reasons)
    # An anchor whose certificate we do not have could be the one that it leads to
    return (False, reasons, None) if is_whole else (None, (*reasons, UNKNOWN_ANCHOR), None)


def objections(answers: Iterable[Acceptance]) -> tuple[str, Sequence[str]] | None:
    """Return why a chain must not be served, and by whom; None: every device accepts it."""
    asked = list(answers)
    against = [one for one in asked if one.accepts is not True]
    if not asked:
        return "no device is known behind this gateway: nobody can be asked", ()
    if not against:
        return None
    shown = [f"{one.device} ({', '.join(one.reasons)})" for one in against[:_MAX_SHOWN]]
    more = f" and {len(against) - _MAX_SHOWN} more" if len(against) > _MAX_SHOWN else ""
    sentence = (
        f"{len(against)} of {len(asked)} devices would not accept it, as far as is known:"
        f" {', '.join(shown)}{more}"
    )
    return sentence, [one.device for one in against]
