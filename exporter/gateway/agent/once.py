"""Does what is asked with one key once, and gives the same answer to all who ask with it."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text

from exporter.clock import Clock
from exporter.gateway.agent.answers import RefusedError, Reply
from exporter.gateway.agent.journal import keep_operation_number, last_operation_number
from exporter.gateway.messages import ErrorCode, Request
from exporter.store import Store
from exporter.transaction import Transaction

log = logging.getLogger(__name__)

REMEMBERED = timedelta(days=30)
# Whoever asks again waits so long for the first one's answer; then it is told to come again
_JOIN_S = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What makes two requests the same.

    Attributes:
        call: Its name.
        body: Digest of what is asked.
        operation_number: None: none was said.
    """

    key: str
    call: str
    body: str
    operation_number: int | None = None


def digest_of(request: Request) -> str:
    """Return what two requests have in common that ask for the same."""
    return hashlib.sha256(request.model_dump_json(by_alias=True).encode()).hexdigest()


class Ticket:
    """One request that is being carried out; writes into the transactions of its work."""

    def __init__(self, asked: Asked, clock: Clock) -> None:
        self.asked = asked
        self._clock = clock

    async def begin(self, connection: Transaction, operation: str | None = None) -> None:
        """Write that it is being done; from then on its key is taken.

        Raises:
            RefusedError: its operation number is too low.
        """
        await self._check_number(connection)
        await connection.execute(
            text(
                "INSERT INTO request (key, call, body, started_at, operation)"
                " VALUES (:key, :call, :body, :at, :operation)"
            ),
            {
                "key": self.asked.key,
                "call": self.asked.call,
                "body": self.asked.body,
                "at": self._clock.now().timestamp(),
                "operation": operation,
            },
        )

    async def _check_number(self, connection: Transaction) -> None:
        number = self.asked.operation_number
        if number is None:
            return
        last = await last_operation_number(connection)
        if number < last:
            raise RefusedError(
                ErrorCode.OPERATION_NUMBER_TOO_LOW,
                f"the operation number {number} is lower than the last one, {last}:"
                " somebody else holds the lease",
            )
        await keep_operation_number(connection, number)

    async def keep(self, connection: Transaction, reply: Reply) -> None:
        """Write the answer."""
        await connection.execute(
            text("UPDATE request SET status = :status, answer = :answer WHERE key = :key"),
            {"status": reply.status, "answer": reply.body, "key": self.asked.key},
        )


async def keep_answer_of(connection: Transaction, operation: str, reply: Reply) -> None:
    """Write the answer to the request that began ``operation``, if it has none."""
    await connection.execute(
        text(
            "UPDATE request SET status = :status, answer = :answer"
            " WHERE operation = :operation AND answer IS NULL"
        ),
        {"status": reply.status, "answer": reply.body, "operation": operation},
    )


@dataclass(frozen=True, slots=True)
class _Running:
    asked: Asked
    reply: asyncio.Future[Reply]


Work = Callable[[Ticket], Awaitable[Reply]]


class Once:
    """All requests that are being carried out, and those that were in the last 30 days."""

    def __init__(self, store: Store, clock: Clock, tasks: asyncio.TaskGroup) -> None:
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._running: dict[str, _Running] = {}

    async def answer(self, asked: Asked, work: Work) -> Reply:
        """Return the answer to what is asked; ``work`` gives it where there is none yet.

        The work goes on also when the one who asked has gone. A refusal of ``work`` is not
        remembered: nothing was done, so it may be asked for again.

        Raises:
            RefusedError: the key belongs to something else, or is being carried out for too long.
            StoreError: nobody can say whether it was done.
        """
        running = self._running.get(asked.key)
        if running is None:
            reply = asyncio.get_running_loop().create_future()
            running = self._running[asked.key] = _Running(asked, reply)
            self._tasks.create_task(self._carry_out(running, work))
            return await asyncio.shield(reply)
        if not _is_same(asked, running.asked):
            kept = await self._kept(asked)
            if kept is None:
                raise _reused()
            return kept
        try:
            async with asyncio.timeout(_JOIN_S):
                return await asyncio.shield(running.reply)
        except TimeoutError:
            raise _in_progress(asked) from None

    async def _carry_out(self, running: _Running, work: Work) -> None:
        try:
            reply = await self._kept(running.asked)
            if reply is None:
                reply = await work(Ticket(running.asked, self._clock))
        except asyncio.CancelledError:
            running.reply.cancel()
            raise
        except Exception as exc:  # noqa: BLE001 - it is told to all who wait; the server logs it
            running.reply.set_exception(exc)
            running.reply.exception()  # nobody may be waiting any more
        else:
            running.reply.set_result(reply)
        finally:
            del self._running[running.asked.key]

    async def _kept(self, asked: Asked) -> Reply | None:
        async with self._store.reading() as connection:
            rows = await connection.execute(
                text("SELECT call, body, status, answer FROM request WHERE key = :key"),
                {"key": asked.key},
            )
            row = rows.first()
        if row is None:
            return None
        if not _is_same(asked, Asked(key=asked.key, call=row.call, body=row.body)):
            raise _reused()
        if row.answer is None:
            raise _in_progress(asked)
        return Reply(status=row.status, body=row.answer)

    async def forget(self) -> None:
        """Forget answers that are older than 30 days."""
        async with self._store.writing() as connection:
            await connection.execute(
                text("DELETE FROM request WHERE answer IS NOT NULL AND started_at < :since"),
                {"since": (self._clock.now() - REMEMBERED).timestamp()},
            )

    async def forget_interrupted(self) -> None:
        """Give free the keys of what a crash interrupted and that may simply be done again."""
        async with self._store.writing() as connection:
            await connection.execute(
                text("DELETE FROM request WHERE answer IS NULL AND operation IS NULL")
            )


def _is_same(asked: Asked, before: Asked) -> bool:
    return (asked.call, asked.body) == (before.call, before.body)


def _reused() -> RefusedError:
    return RefusedError(
        ErrorCode.KEY_REUSED,
        "this Idempotency-Key came before, with another call or body; a new request needs a"
        " new key",
    )


def _in_progress(asked: Asked) -> RefusedError:
    return RefusedError(
        ErrorCode.IN_PROGRESS,
        f"the {asked.call} with this Idempotency-Key is still being carried out; ask again with"
        " the same key",
    )
