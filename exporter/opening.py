"""Opens a part's store when that is possible, and closes it at the end."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from exporter.clock import Clock
from exporter.errors import StoreError
from exporter.store import Store

log = logging.getLogger(__name__)

_AGAIN_S = 5.0


@asynccontextmanager
async def opened(store: Store, clock: Clock, *, what: str) -> AsyncIterator[None]:
    """Hold ``store`` open; what cannot be opened is tried again for as long as it takes.

    ``what`` is kept in it, for the log.
    """
    while True:
        try:
            await store.open()
        except StoreError as exc:
            log.error("%s cannot be kept: %s", what, exc)  # noqa: TRY400 - it says what is wrong
            await clock.sleep(_AGAIN_S)
        else:
            break
    try:
        yield
    finally:
        await store.close()
