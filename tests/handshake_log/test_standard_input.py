"""Standard input as a source: a pipe, a file, or nothing."""

import asyncio
import os
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.handshake_log.classify import MAX_LINE_BYTES
from exporter.handshake_log.options import Options
from exporter.handshake_log.source import Batch
from exporter.handshake_log.standard_input import StandardInputSource

OPTIONS = Options(stdin=True, gateway="gw")


async def read_all(path: str | Path | int) -> list[Batch]:
    with open(path, "rb") as stream:  # noqa: ASYNC230, PTH123 - a descriptor too; it is there
        source = StandardInputSource(OPTIONS, SystemClock(), stream)
        async with asyncio.timeout(30):
            return [batch async for batch in source.batches(None)]


async def through_a_pipe(*parts: bytes) -> list[Batch]:
    """What comes of ``parts``, each written when all before was taken."""
    reading, writing = os.pipe()
    found: list[Batch] = []
    with open(reading, "rb") as stream:  # noqa: ASYNC230, PTH123 - a descriptor
        batches = StandardInputSource(OPTIONS, SystemClock(), stream).batches(None)
        for part in parts:
            await asyncio.to_thread(os.write, writing, part)
            if part.endswith(b"\n"):
                found.append(await anext(batches))
        os.close(writing)
        async with asyncio.timeout(30):
            found += [batch async for batch in batches]
    return found


async def test_whole_lines_come_as_they_are_written() -> None:
    found = await through_a_pipe(b"a\nb\n", b"c", b"d\n")

    assert [batch.data for batch in found] == [b"a\nb\n", b"cd\n"]
    assert not found[-1].is_final


async def test_the_last_line_may_lack_its_newline() -> None:
    found = await through_a_pipe(b"a\n", b"last")

    assert [(batch.data, batch.is_final) for batch in found] == [(b"a\n", False), (b"last", True)]


async def test_a_line_that_never_ends_is_judged_by_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    path.write_bytes(b"x" * (5 << 20) + b"\nnext\n")

    found = await read_all(path)

    assert max(len(batch.data) for batch in found) <= 3 << 20
    [long, last] = b"".join(batch.data for batch in found).splitlines()
    assert (len(long) > MAX_LINE_BYTES, last) == (True, b"next")


@pytest.mark.parametrize("body", [b"a\nb\n", b"a\nb"])
async def test_a_file_is_read_to_its_end(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "gateway.log"
    path.write_bytes(body)

    assert b"".join(batch.data for batch in await read_all(path)) == body


async def test_nothing_at_all_is_no_fault() -> None:
    assert await read_all(os.devnull) == []
