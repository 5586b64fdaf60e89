"""Hears in a line's text what it says about TLS: did a handshake fail, why, and who refused.

All phrases of ``words`` run in one pass of an RE2 set, whose time grows with the text only.
"""

from dataclasses import dataclass
from functools import lru_cache

import re2

from exporter.handshake_log.words import NUMBERS, SAYINGS
from exporter.handshake_log.words.saying import WORTH, Kind, Meaning, Saying
from exporter.observations import Reason, ToldBy

_MEMORY_BYTES = 48 << 20  # of the automaton; it drops its states and goes on when they are full


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the words of one line tell.

    Attributes:
        failure: A handshake failed.
        reason: The best reason in the words, also where ``failure`` is not said: a format that
            knows its line to be a failure takes it from here. None: no reason at all.
        told_by: Who refused; None where the words do not tell.
        library: Whose words they are; None for everybody's.
        denied: The line says that it is no failed handshake.
        suspicious: About TLS and about trouble, and yet neither a failure nor denied.
    """

    failure: bool = False
    reason: Reason | None = None
    told_by: ToldBy | None = None
    library: str | None = None
    denied: bool = False
    suspicious: bool = False


NOTHING = Heard()


def _compiled(patterns: tuple[str, ...]) -> "re2.Set":
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes as they are, invalid UTF-8 too
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    found = re2.Set.SearchSet(options)
    for pattern in patterns:
        found.Add(pattern.encode("latin-1"))
    found.Compile()
    return found


_SET = _compiled(tuple(saying.pattern() for saying in SAYINGS))
# In an outage the same words come by the thousand: two megabytes hold what was said last.
_SHORT, _REMEMBERED = 512, 1024
_CERTIFICATE_REASONS = frozenset(
    reason for reason in WORTH if WORTH[reason] >= WORTH[Reason.VERIFY_FAILED]
) - {Reason.NOT_TLS, Reason.NO_SHARED_CIPHER, Reason.PROTOCOL_VERSION}


def hear(text: str) -> Heard:
    """Return what ``text``, one line without its wrappers, says about TLS."""
    return _remembered(text) if len(text) <= _SHORT else _hear(text)


def _hear(text: str) -> Heard:
    matched = _SET.Match(text.encode("utf-8", "replace"))
    if matched is None:
        return NOTHING
    said: dict[Kind, list[Saying]] = {}
    for index in matched:
        saying = SAYINGS[index]
        said.setdefault(saying.kind, []).append(saying)
    return _weigh(text, said)


@lru_cache(maxsize=_REMEMBERED)
def _remembered(text: str) -> Heard:
    return _hear(text)


def _weigh(text: str, said: dict[Kind, list[Saying]]) -> Heard:
    best, library, numbered = _best(text, said)
    told_by = _side(said, best)
    reason = best.reason if best is not None else None
    denied = Kind.NOT in said
    troubled = Kind.TOPIC in said and Kind.TROUBLE in said
    # Everyday words and bare numbers count beside a word of TLS and a word of trouble.
    hinted = troubled and (Kind.HINTS in said or numbered)
    failing = Kind.FAILS in said or Kind.FRAME in said or hinted
    if Kind.LATE in said and not _refused_late(reason, told_by):
        failing = False
    failure = failing and not denied and reason is not None
    return Heard(
        failure=failure,
        reason=reason,
        told_by=told_by,
        library=library,
        denied=denied,
        suspicious=not failure and not denied and troubled and Kind.LATE not in said,
    )


def _refused_late(reason: Reason | None, told_by: ToldBy | None) -> bool:
    """In TLS 1.3 the peer judges our certificate after our own handshake is done."""
    return told_by is ToldBy.PEER and reason in _CERTIFICATE_REASONS


def _best(text: str, said: dict[Kind, list[Saying]]) -> tuple[Meaning | None, str | None, bool]:
    """Return what is worth most of words and numbers, whose words, and whether a number told."""
    spoken = [
        saying for kind in (Kind.FAILS, Kind.FRAME, Kind.HINTS) for saying in said.get(kind, ())
    ]
    spoken.sort(key=lambda saying: saying.worth, reverse=True)
    library = next((saying.library for saying in spoken if saying.library), None)
    best = _of_words(spoken)
    if best is None or best.reason in _VAGUE:
        framed = best is not None and spoken[0].kind is Kind.FRAME
        # A frame's side is only the usual one: a number with the same reason knows better.
        found = _by_number(text, Meaning(best.reason) if framed and best else best)
        if found is not None:
            return *found, True
    return best, library, False


def _of_words(spoken: list[Saying]) -> Meaning | None:
    """Return the best saying's meaning; the side may come from another of the same reason.

    Not from a frame: that the library's queue says so tells nothing of "ssl handshake failure".
    """
    if not spoken or spoken[0].reason is None:
        return None
    reason = spoken[0].reason
    told_by = (
        saying.told_by
        for saying in spoken
        if saying.reason is reason
        and (saying.kind is not Kind.FRAME or spoken[0].kind is Kind.FRAME)
    )
    return Meaning(reason, next((side for side in told_by if side is not None), None))


_VAGUE = frozenset({Reason.OTHER, Reason.VERIFY_FAILED, Reason.CONNECTION_RESET})


def _by_number(text: str, words: Meaning | None) -> tuple[Meaning, str] | None:
    """Return what a number in the text means, when that says more than the words."""
    lowered = text.lower()
    best, found = words, None
    for number in NUMBERS:
        if number.mark not in lowered:
            continue
        for match in number.pattern.finditer(text):
            meaning = number.meaning(int(match[1], number.base))
            if meaning is not None and _says_more(meaning, best):
                best, found = meaning, (meaning, number.library)
    return found


def _says_more(meaning: Meaning, than: Meaning | None) -> bool:
    if than is None or WORTH[meaning.reason] > WORTH[than.reason]:
        return True
    return meaning.reason is than.reason and than.told_by is None


def _side(said: dict[Kind, list[Saying]], best: Meaning | None) -> ToldBy | None:
    """Return who refused: words for the side win over what a reason usually means."""
    sides = said.get(Kind.SIDE)
    if sides:
        return max(sides, key=lambda saying: saying.worth).told_by
    return None if best is None else best.told_by
