"""A rotation that was started and not approved yet, and what real ones run with."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.rotation.forked import Forks
from tests.rotation.stand import Stand


class Started(Protocol):
    """Starts a rotation of so many gateways."""

    def __call__(
        self, *, gateways: int = 3, each: int = 2
    ) -> AbstractAsyncContextManager[Stand]: ...


@pytest.fixture
def started(tmp_path: Path) -> Started:
    @asynccontextmanager
    async def start(*, gateways: int = 3, each: int = 2) -> AsyncIterator[Stand]:
        made = Stand(tmp_path, gateways=gateways, each=each)
        await made.store.open()
        try:
            await made.rotator.start(made.fleet.rotation, by="ann")
            yield made
        finally:
            await made.store.close()

    return start


@pytest.fixture
async def stand(started: Started) -> AsyncIterator[Stand]:
    async with started() as made:
        yield made


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Starts our programs as processes of their own, without their imports each time."""
    with Forks() as made:
        yield made
