"""The parser on lines with labels: the project's own, and the shared ones where they are."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.handshake_log.classify import READER, classify_line
from exporter.observations import HandshakeRecord

OWN = Path(__file__).parents[1] / "samples" / "handshake_log"
SHARED = Path(__file__).parents[3] / "shared" / "handshake-logs" / "samples.jsonl"


def told(record: HandshakeRecord | None) -> dict[str, object]:
    if record is None:
        empty = dict.fromkeys(("reason", "rejected_by", "peer"))
        return {"failure": False, "success": False, **empty}
    return {
        "failure": record.failure,
        "success": record.success,
        "reason": record.reason,
        "rejected_by": record.rejected_by,
        "peer": record.peer,
    }


@pytest.mark.parametrize("name", sorted(path.stem for path in OWN.glob("*.log")))
def test_each_line_from_a_producers_source_is_read_as_it_is_meant(name: str) -> None:
    lines = (OWN / f"{name}.log").read_bytes().split(b"\n")[:-1]
    expected = [
        json.loads(line) for line in (OWN / f"{name}.expected.jsonl").read_text().splitlines()
    ]

    wrong = [
        (line, told(classify_line(line)), wanted)
        for line, wanted in zip(lines, expected, strict=True)
        if told(classify_line(line)) != wanted
    ]

    assert not wrong


def test_an_ordinary_line_is_not_even_suspicious_without_trouble_in_it() -> None:
    lines = (OWN / "ordinary.log").read_bytes().split(b"\n")[:-1]

    suspicious = [line for line in lines if (found := READER.read(line)) and found.suspicious]

    # These name TLS and trouble, and mean something else.
    assert len(suspicious) <= 3, suspicious


@dataclass(frozen=True, slots=True, kw_only=True)
class AlsoOk:
    """What the note of a sample accepts beside its label."""

    reasons: set[str] = field(default_factory=set)
    sides: set[str] = field(default_factory=set)
    peers: set[str] = field(default_factory=set)
    not_a_failure: bool = False


def also_ok(note: str) -> AlsoOk:
    peers = {match[1].strip() for match in re.finditer(r"ALSO OK peer: ([^;]*)", note)}
    items = [
        item.strip()
        for match in re.finditer(r"ALSO OK: ([^;]*)", note)
        for item in match[1].split(",")
    ]
    return AlsoOk(
        reasons={item.removeprefix("failure ") for item in items},
        sides={item.removeprefix("rejected_by ") for item in items if "rejected_by" in item},
        peers=peers,
        not_a_failure="not a failure" in items,
    )


@dataclass(slots=True)
class Score:
    """Right answers by question, and what was taken for what."""

    right: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    confused: Counter[tuple[str, str]] = field(default_factory=Counter)
    false_alarms: list[str] = field(default_factory=list)

    def ask(self, question: str, *, right: bool) -> None:
        self.asked[question] += 1
        self.right[question] += right

    def table(self) -> str:
        rows = [
            f"  {label:22} {got:22} {count:4}{'' if label == got else '   <'}"
            for (label, got), count in sorted(self.confused.items())
        ]
        return "\n".join([*rows, *(f"  {asked}: {self.ratio(asked):.1%}" for asked in self.asked)])

    def ratio(self, question: str) -> float:
        return self.right[question] / self.asked[question]


def scored(samples: Iterator[dict[str, str]]) -> Score:
    score = Score()
    for sample in samples:
        ok, record = also_ok(sample["note"]), classify_line(sample["line"].encode())
        failed = record is not None and record.failure
        reason = record.reason if record is not None and failed else None
        accepted = failed == bool(sample["failure"]) or (
            reason in ok.reasons if failed else ok.not_a_failure
        )
        score.ask("failure", right=accepted)
        score.confused[sample["reason"] or "-", reason or "-"] += 1
        if failed and not accepted:
            score.false_alarms.append(sample["line"])
        if record is None or not (failed and sample["failure"]):
            continue
        score.ask("reason", right=reason in {sample["reason"], *ok.reasons})
        score.ask("side", right=record.rejected_by in {sample["rejected_by"], *ok.sides})
        score.ask("peer", right=record.peer in {sample["peer"], *ok.peers})
    return score


@pytest.mark.skipif(not SHARED.exists(), reason="the shared samples are not here")
def test_the_shared_samples_are_read_right(capsys: pytest.CaptureFixture[str]) -> None:
    score = scored(json.loads(line) for line in SHARED.read_text().splitlines())

    with capsys.disabled():
        sys.stdout.write(f"\n{score.table()}\n")
    assert score.ratio("failure") >= 0.99
    assert score.ratio("reason") >= 0.97
    assert score.ratio("side") >= 0.95
    assert score.ratio("peer") >= 0.95
    assert not score.false_alarms
