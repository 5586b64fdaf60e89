"""Whose turn it is at a rotation: the next step's, or a person's word.

Both write the marks as a whole: at once, the one would be lost.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from exporter.rotation.words import RotationError

_PATIENCE_S = 20.0


class BusyError(RotationError):
    """A step is being carried out at this moment; the same may be asked again."""


class Turn:
    """One at a time; whoever has a word to say is let in before the next part of a step."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._askers = 0
        self._asked = asyncio.Event()

    @property
    def is_wanted(self) -> bool:
        """Whether a person waits."""
        return self._askers > 0

    @asynccontextmanager
    async def of_a_step(self) -> AsyncIterator[None]:
        """Hold back persons for one step."""
        async with self._lock:
            yield

    @asynccontextmanager
    async def of_a_person(self) -> AsyncIterator[None]:
        """Hold what is being done for a person's word; it starts nothing more meanwhile.

        Raises:
            BusyError: it takes too long.
        """
        self._askers += 1
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._lock.acquire()
        except TimeoutError as exc:
            raise BusyError("a step is being carried out at this moment; try again") from exc
        finally:
            self._askers -= 1
        try:
            yield
        finally:
            self._lock.release()
            self._asked.set()

    def begin(self) -> None:
        """Look from now on: what was said before is known."""
        self._asked.clear()

    async def word(self) -> None:
        """Return once a person has said something since ``begin``."""
        await self._asked.wait()
