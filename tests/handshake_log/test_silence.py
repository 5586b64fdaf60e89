"""What docs/logging.md and the doctor say of silence is what the real programs do.

``test_producers.py`` holds the tables of expectations that these texts are compared with.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.handshake_log import silence
from exporter.handshake_log.silence import Failing, listed
from tests.handshake_log.producers import PRODUCERS
from tests.handshake_log.test_producers import AT_DEFAULTS, CASES, PATIENT, RECOMMENDED, Case, Told

PAGE = Path(__file__).parents[2] / "docs" / "logging.md"
Table = Mapping[str, Mapping[str, Told]]


def cell(case: Case, producer: str, table: Table) -> str:
    if case.failing is Failing.TIMEOUT and producer in PATIENT:
        return "waits"
    told = table.get(producer, {}).get(case.name, case.told)
    if told is None:
        return "**nothing**"
    return "reason" if told == case.told else f"`{told[0]}`"


def page_table(table: Table) -> str:
    head = ("", *PRODUCERS)
    rows = [(case.name, *(cell(case, name, table) for name in PRODUCERS)) for case in CASES]
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


@pytest.mark.parametrize(
    ("name", "table"), [("at their defaults", AT_DEFAULTS), ("set up", RECOMMENDED)]
)
def test_the_page_says_failure_by_failure_what_each_program_tells(name: str, table: Table) -> None:
    found = re.search(
        f"<!-- told {name}: begin -->\n(.*?)<!-- told: end -->", PAGE.read_text(), re.DOTALL
    )

    assert found
    assert found[1] == page_table(table)


@pytest.mark.parametrize(
    ("said", "table"), [(silence.AT_DEFAULTS, AT_DEFAULTS), (silence.SET_UP, RECOMMENDED)]
)
def test_the_doctor_knows_what_each_program_is_silent_about(
    said: Mapping[str, frozenset[Failing]], table: Table
) -> None:
    silent: dict[str, set[Failing]] = {}
    for producer in PRODUCERS:
        of_program = silent.setdefault(producer.partition("-")[0], set())
        of_program |= {case.failing for case in CASES if cell(case, producer, table) in NOTHING}

    assert said == silent


NOTHING = {"**nothing**"}


@pytest.mark.parametrize(
    ("failings", "words"),
    [
        (set(), ""),
        ({Failing.TIMEOUT}, "a timeout"),
        ({Failing.TIMEOUT, Failing.RESET}, "a reset connection and a timeout"),
        (
            {Failing.CIPHER, Failing.TIMEOUT, Failing.RESET},
            "no common cipher, a reset connection and a timeout",
        ),
    ],
)
def test_failures_are_listed_in_one_order(failings: set[Failing], words: str) -> None:
    assert listed(failings) == words
