"""A fake gateway at which no request may come that its document forbids."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.fake_gateway import FakeGateway


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    made = FakeGateway()
    yield made
    assert made.problems == []


@pytest.fixture
async def url(gateway: FakeGateway) -> AsyncIterator[str]:
    async with gateway.serving() as base:
        yield base
