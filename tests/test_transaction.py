"""Cancelled at any moment, a transaction leaves no connection behind and no one waiting."""

import asyncio
import contextlib
import gc
import random
import warnings
from pathlib import Path

import pytest
from sqlalchemy import text

from exporter.store import Store
from exporter.transaction import to_the_end

TABLE = (("CREATE TABLE thing (name TEXT NOT NULL)",),)


async def use(store: Store) -> None:
    for _ in range(3):
        async with store.writing() as transaction:
            await transaction.execute(text("INSERT INTO thing VALUES ('x')"))
        async with store.reading() as transaction:
            await transaction.scalars(text("SELECT name FROM thing"))


async def turns(count: int) -> None:
    """Let everything else run, so often."""
    for _ in range(count):
        await asyncio.sleep(0)  # noqa: TID251 - the moment of the cancel is what is varied


@pytest.fixture(autouse=True, scope="module")
def _nothing_of_others() -> None:
    """What other tests may have left is gone before what is left here is looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.parametrize("seed", range(25))
async def test_users_that_are_cancelled_leave_no_connection_behind(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda told: left.append(str(told.exc_value)))
    rng = random.Random(seed)  # noqa: S311 - seeded, not secret
    store = Store(f"sqlite:///{tmp_path / 'state.db'}", migrations=TABLE)
    await store.open()
    users = [asyncio.ensure_future(use(store)) for _ in range(4)]  # noqa: TID251 - their end is the test
    await turns(rng.randrange(3000))
    for user in users:
        user.cancel()
        await turns(rng.randrange(3))
        user.cancel()
    async with asyncio.timeout(30):
        await store.close()
        await asyncio.gather(*users, return_exceptions=True)
        await store.open()
        await use(store)
        await store.close()

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        del users, store
        gc.collect()
    assert left == []


@pytest.mark.parametrize("seed", range(10))
async def test_an_opening_that_is_cancelled_can_be_done_again(seed: int, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'state.db'}", migrations=TABLE)
    opening = asyncio.ensure_future(store.open())  # noqa: TID251 - its cancel is the test
    await turns(random.Random(seed).randrange(1500))  # noqa: S311 - likewise
    opening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await opening

    async with asyncio.timeout(30):
        await store.open()
        await use(store)
        await store.close()


async def test_a_step_goes_on_to_its_end_and_the_cancel_is_raised_then() -> None:
    goes_on = asyncio.Event()
    ended: list[str] = []

    async def step() -> None:
        await goes_on.wait()
        ended.append("step")

    async def ask() -> None:
        try:
            await to_the_end(step())
        finally:
            ended.append("asker")

    asking = asyncio.ensure_future(ask())  # noqa: TID251 - its cancel is the test
    for _ in range(2):
        await turns(2)
        asking.cancel()
    await turns(2)
    assert ended == []
    goes_on.set()

    with pytest.raises(asyncio.CancelledError):
        await asking
    assert ended == ["step", "asker"]
