"""Random SIGKILLs of a reader while a writer appends and rotates: nothing lost, nothing twice."""

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from tests.handshake_log.reader import ROTATIONS, Writer, counted, positions, start_reader

CLOCK = SystemClock()
SEEDS = range(20 if os.environ.get("FLEET_TLS_CAMPAIGN") else 1)
KILLS = 5  # of each seed


async def read_once(folder: Path) -> None:
    """Let the log be known: what was rotated away before nobody looks for."""
    reader = start_reader(folder)
    try:
        async with asyncio.timeout(40):
            while not await positions(folder):
                await CLOCK.sleep(0.05)
    finally:
        reader.kill()
        reader.join()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("seed", SEEDS)
async def test_counts_equal_what_was_written_whenever_the_reader_is_killed(
    tmp_path: Path, seed: int, rotation: str
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same in every run
    writer = Writer(tmp_path, chance)
    rotations = 0
    await read_once(tmp_path)
    for _ in range(KILLS):
        reader = start_reader(tmp_path)
        end_s = CLOCK.monotonic() + chance.uniform(0.05, 0.9)
        while CLOCK.monotonic() < end_s:
            writer.append()
            if chance.random() < 0.05:
                ROTATIONS[rotation](writer)
                rotations += 1
            await CLOCK.sleep(chance.uniform(0, 0.02))
        reader.kill()
        reader.join()
        if chance.random() < 0.5:  # also while nobody reads
            writer.append()
            ROTATIONS[rotation](writer)
            rotations += 1
            writer.append()
    writer.close()

    reader = start_reader(tmp_path)
    try:
        async with asyncio.timeout(40):
            while (await counted(tmp_path)).total() < writer.written.total():
                await CLOCK.sleep(0.1)
        await CLOCK.sleep(0.6)  # whatever is counted twice comes now
    finally:
        reader.kill()
        reader.join()

    sys.stdout.write(f"{writer.written.total()} lines, {rotations} rotations\n")  # with -rP
    assert await counted(tmp_path) == writer.written
