"""Real terminators that serve version 1, by the old CA."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.gateway.agent.real.stand import Authority, Versions
from tests.gateway.agent.real.terminators import TERMINATORS, Real, Start

Run = Callable[[Start], Real]


@pytest.fixture
def old() -> Authority:
    return Authority("old CA")


@pytest.fixture
def new() -> Authority:
    return Authority("new CA")


@pytest.fixture
def run(tmp_path: Path, old: Authority) -> Iterator[Run]:
    """Starts a terminator for the length of the test."""
    with ExitStack() as stack:

        def start(which: Start) -> Real:
            versions = Versions(tmp_path / "agent")
            versions.switch(versions.add(old.leaf()))
            return stack.enter_context(which(tmp_path / "terminator", versions))

        yield start


@pytest.fixture(params=list(TERMINATORS))
def real(request: pytest.FixtureRequest, run: Run) -> Real:
    return run(TERMINATORS[request.param])
