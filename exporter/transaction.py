"""A transaction on the store whose steps end even when the one who asked is cancelled.

SQLAlchemy and its SQLite driver are not made for a cancel in the middle of a step: the connection
(a file and a thread) then stays behind, or waits for an answer that nobody reads. A step lasts as
long as SQLite's busy time at most, so a cancel waits for its end and is raised then.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import CursorResult, Executable, ScalarResult
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")


class Transaction:
    """What may be asked within one transaction of the store."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def execute(
        self,
        statement: Executable,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> CursorResult[*tuple[Any, ...]]:
        """Execute the statement and return its rows, all of them read."""
        return await to_the_end(self._connection.execute(statement, parameters))

    async def scalar(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the first column of the first row, ``None`` where there is none."""
        return await to_the_end(self._connection.scalar(statement, parameters))

    async def scalars(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> ScalarResult[Any]:
        """Return the first column of each row."""
        return await to_the_end(self._connection.scalars(statement, parameters))


async def to_the_end(step: Coroutine[Any, Any, T]) -> T:
    """Await the step, which goes on to its end however often its caller is cancelled meanwhile.

    Raises:
        CancelledError: the caller was cancelled; the step has ended, whatever came of it.
    """
    task = asyncio.get_running_loop().create_task(step)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is None:
        return task.result()
    task.exception()  # seen: it is the cancel that is told
    raise cancelled
