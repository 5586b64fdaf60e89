"""How one thing that software says about TLS is written down in the tables of this package."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from exporter.observations import Reason, ToldBy


class Kind(StrEnum):
    """What a phrase is worth when it stands in a line.

    ``FAILS`` tells by itself that a handshake failed. ``HINTS`` gives the reason, but only where
    the line says otherwise that TLS failed ("connection reset by peer" alone is everybody's).
    ``FRAME`` says that a handshake failed and not why. ``SIDE`` says who refused. ``NOT`` says
    that the line is no failed handshake whatever else stands in it. ``LATE`` speaks of a session
    that is already set up. ``TOPIC`` is about TLS, ``TROUBLE`` is about something going wrong:
    both together without a failure make a line suspicious.
    """

    FAILS = "fails"
    HINTS = "hints"
    FRAME = "frame"
    SIDE = "side"
    NOT = "not"
    LATE = "late"
    TOPIC = "topic"
    TROUBLE = "trouble"


# Which of several reasons in one line is the cause: the more a reason says, the earlier it comes.
# "unexpected EOF with reason: certificate verify failed" is verify_failed; "CERTIFICATE_VERIFY_
# FAILED: certificate has expired" is expired.
_BY_WORTH = (
    Reason.REVOKED,
    Reason.NOT_YET_VALID,
    Reason.EXPIRED,
    Reason.HOSTNAME_MISMATCH,
    Reason.WRONG_USAGE,
    Reason.WEAK_CRYPTO,
    Reason.UNKNOWN_CA,
    Reason.CHAIN_INCOMPLETE,
    Reason.SELF_SIGNED,
    Reason.CLIENT_CERT_REQUIRED,
    Reason.BAD_SIGNATURE,
    Reason.NO_SHARED_CIPHER,
    Reason.NOT_TLS,
    Reason.PROTOCOL_VERSION,
    Reason.VERIFY_FAILED,
    Reason.HANDSHAKE_TIMEOUT,
    Reason.CONNECTION_RESET,
    Reason.OTHER,
)
WORTH = {reason: 10 * (len(_BY_WORTH) - place) for place, reason in enumerate(_BY_WORTH)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """One phrase and what it means.

    Attributes:
        words: An RE2 pattern, matched without regard to case. A blank in it stands for a blank,
            an underscore, a hyphen or nothing, so that ``unknown ca`` is also ``UNKNOWN_CA`` and
            ``UnknownCA``. It matches whole words; ``*`` at an end lifts that there.
        reason: None for kinds that give none.
        told_by: Who refused; None where the phrase does not tell.
        library: Who says so, used as the writer when no format knows the line.
        worth: Which of several wins; by default from the reason.
    """

    words: str
    kind: Kind
    reason: Reason | None = None
    told_by: ToldBy | None = None
    library: str | None = None
    worth: int = 0

    def pattern(self) -> str:
        """Return the RE2 pattern for ``words``."""
        words, left, right = self.words, r"(?:^|[^A-Za-z0-9])", r"(?:[^A-Za-z0-9]|$)"
        if words.startswith(("*", "^")):
            words, left = words.removeprefix("*"), ""
        if words.endswith("*"):
            words, right = words[:-1], ""
        return f"(?i){left}(?:{spread(words)}){right}"


def spread(words: str) -> str:
    """Return ``words`` with each blank standing for blank, underscore, hyphen or nothing.

    A blank inside brackets is left alone: there it is already one of several.
    """
    return re.sub(r" (?![^\[]*\])", "[ _-]?", words)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A reason and who refused."""

    reason: Reason
    told_by: ToldBy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number that a library prints in place of words.

    Attributes:
        pattern: A Python pattern whose group 1 is the number as printed.
        base: Base of the number.
        mark: The line must hold this (lower case) for the pattern to be tried.
        meaning: What a number means; None where it tells nothing.
    """

    pattern: re.Pattern[str]
    base: int
    mark: str
    meaning: Callable[[int], Meaning | None]
    library: str


def sayings(
    kind: Kind,
    reason: Reason | None,
    told_by: ToldBy | None,
    library: str | None,
    *words: str,
    worth: int = 0,
) -> Iterator[Saying]:
    """Yield one saying for each of ``words``, all meaning the same."""
    default = 0 if reason is None else WORTH[reason] + (1 if kind is Kind.FAILS else 0)
    for phrase in words:
        yield Saying(
            words=phrase,
            kind=kind,
            reason=reason,
            told_by=told_by,
            library=library,
            worth=worth or default,
        )
