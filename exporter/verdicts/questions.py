"""Asks OpenSSL again with one rule less, until nothing is hidden behind its first error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from exporter.certificates import Certificate
from exporter.verdicts.errors import TIME_ERRORS
from exporter.verdicts.openssl import Anchors, Answer, Chain, Rules, verify

# What is left out of the next question after an error. No rule can be left out for the others.
_LEFT_OUT: Mapping[int, Rules] = {
    **dict.fromkeys(TIME_ERRORS, Rules.ANY_TIME),
    26: Rules.ANY_PURPOSE,  # INVALID_PURPOSE
    34: Rules.ANY_EXTENSION,  # UNHANDLED_CRITICAL_EXTENSION
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """All that OpenSSL finds wrong with one path.

    Attributes:
        faults: What the normal profile refuses, as found.
        strict_fault: The first that only the strict profile refuses.
        is_whole: Nothing is hidden behind the last of ``faults``.
    """

    faults: tuple[Answer, ...]
    strict_fault: Answer | None
    is_whole: bool


def examine(path: Sequence[Certificate], at: datetime) -> Examination:
    """Return what is wrong with ``path`` (leaf first), its last certificate taken as trusted.

    The path is fixed: with the whole chain and store, leaving out a rule could lead OpenSSL to
    another path than the one in question.
    """
    chain, anchors = Chain(path), Anchors(path[-1:])
    if not verify(chain, anchors, Rules.STRICT, at).error:
        return Examination(faults=(), strict_fault=None, is_whole=True)
    faults: list[Answer] = []
    rules = Rules.NORMAL
    while (answer := verify(chain, anchors, rules, at)).error:
        faults.append(answer)
        less = _LEFT_OUT.get(answer.error, Rules.NORMAL)
        if less in rules:  # also when there is nothing to leave out
            break
        rules |= less
    strict = verify(chain, anchors, rules | Rules.STRICT, at)
    seen = {(fault.error, fault.depth) for fault in faults}
    is_strict_only = strict.error != 0 and (strict.error, strict.depth) not in seen
    return Examination(
        faults=tuple(faults),
        strict_fault=strict if is_strict_only else None,
        is_whole=answer.error == 0,
    )
