"""A decision and all it rests on as JSON, and back; pure.

What is written is what ``explain`` replays: the same facts, options and question through the
same function must give the same decision.
"""

from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from exporter.errors import StoreError
from exporter.remediation.decide import Question, decide_rollback
from exporter.remediation.model import Decision, Evidence
from exporter.remediation.options import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One decision with everything that it was made of."""

    evidence: Evidence
    options: Options
    question: Question
    now: datetime
    decision: Decision

    def replayed(self) -> Decision:
        """Return what the same facts are decided to by the function as it is today."""
        return decide_rollback(self.evidence, self.options, now=self.now, question=self.question)


_CASE = TypeAdapter(Case)


def decided(evidence: Evidence, options: Options, *, now: datetime, question: Question) -> Case:
    """Decide, and return it with what it was made of."""
    decision = decide_rollback(evidence, options, now=now, question=question)
    return Case(evidence=evidence, options=options, question=question, now=now, decision=decision)


def to_json(case: Case) -> str:
    """Return ``case`` as JSON."""
    return _CASE.dump_json(case).decode()


def from_json(text: str) -> Case:
    """Return what ``to_json`` wrote.

    Raises:
        StoreError: it is something else; a version of this program that knew it may read it.
    """
    try:
        return _CASE.validate_json(text)
    except ValidationError as exc:
        raise StoreError(
            f"a stored decision cannot be read by this version: {exc.error_count()} faults,"
            f" the first at {'.'.join(map(str, exc.errors()[0]['loc']))}",
            retryable=False,
        ) from exc
