"""Following a log that grows by 50,000 lines a second: CPU, and delay until a line is counted.

A reader process follows the file as the service does (scan, attribute, one durable transaction,
then shown); this one writes lines of 200 bytes, 1 % of which speak of TLS and 0.1 % tell of a
failed handshake. Now and then a marked line is written; the delay is from before its write to when
the count of it could be scraped.

    python -m bench.tail                  # 20 s
    python -m bench.tail --seconds 5      # a quick look
"""

import argparse
import asyncio
import multiprocessing
import random
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from bench.logs import FAILURES, LINE_BYTES, ORDINARY, SPEAKING
from exporter.clock import SystemClock
from exporter.handshake_log.options import Options
from exporter.handshake_log.sources import HandshakeLogs
from exporter.store import Store
from exporter.targets.model import Inventory, Role, Target

LINES_PER_S = 50_000
MOST_CORES = 0.5
MOST_DELAY_S = 1.0
_STEP_S = 0.02
_MARK_EVERY_STEPS = 7  # not a multiple of the reader's own pace
_LOOK_S = 0.002
_DEVICE = "dev-marked"
_FAMILY = "fleet_tls_handshake_failures_total"
_MARK = (
    b"2026/11/24 03:58:49 [info] 29625#29625: *1 SSL_do_handshake() failed (SSL: error:0A000418:"
    b"SSL routines::tlsv1 alert unknown ca:SSL alert number 48) while SSL handshaking, client: "
    b"192.0.2.1, server: 0.0.0.0:8883\n"
)


def _shown_count(logs: HandshakeLogs) -> int:
    wanted = f'device="{_DEVICE}"'.encode()
    for line in logs.lines_of(_FAMILY):
        if wanted in line:
            return int(line.rpartition(b" ")[2])
    return 0


async def _follow(folder: Path, answer: Connection) -> None:
    """Follow the log; send (moment, count) at each change, and at the end the CPU used."""
    marked = Target(name=_DEVICE, role=Role.DEVICE, gateway="gw", peers=("192.0.2.1",))
    options = Options(file=folder / "gateway.log", gateway="gw")
    logs = HandshakeLogs([options], Store(f"sqlite:///{folder}/state.db"), SystemClock())
    logs.use(Inventory(targets={_DEVICE: marked}))
    clock, before = SystemClock(), 0
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(logs.run())
        await clock.sleep(1.0)
        answer.send((time.monotonic(), -1))
        cpu = time.process_time()
        while not answer.poll():
            if (count := _shown_count(logs)) != before:
                answer.send((time.monotonic(), count))
                before = count
            await clock.sleep(_LOOK_S)
        cpu = time.process_time() - cpu
        running.cancel()
    lines = next(iter(logs.stats.values())).line_count
    answer.send((cpu, lines))


def _reader(folder: Path, answer: Connection) -> None:
    asyncio.run(_follow(folder, answer))


def _block(chance: random.Random) -> bytes:
    lines = []
    for _ in range(int(LINES_PER_S * _STEP_S)):
        dice = chance.random()
        kinds = FAILURES if dice < 0.001 else SPEAKING if dice < 0.01 else ORDINARY
        text = chance.choice(kinds).replace("{n}", str(chance.randrange(250)))
        lines.append(text.ljust(LINE_BYTES - 1)[: LINE_BYTES - 1])
    return "\n".join([*lines, ""]).encode()


def _write(path: Path, seconds: float) -> tuple[list[float], int, float]:
    """Write at the wanted pace; return the marks' moments, the lines and the time it took."""
    chance = random.Random(20261124)  # noqa: S311 - the same lines in every run
    blocks = [_block(chance) for _ in range(50)]
    marks: list[float] = []
    lines, began, step = 0, time.monotonic(), 0
    with path.open("ab", buffering=0) as log:
        while time.monotonic() - began < seconds:
            log.write(blocks[step % len(blocks)])
            lines += int(LINES_PER_S * _STEP_S)
            if step % _MARK_EVERY_STEPS == 0:
                marks.append(time.monotonic())
                log.write(_MARK)
                lines += 1
            step += 1
            time.sleep(max(0.0, began + step * _STEP_S - time.monotonic()))
        marks.append(time.monotonic())  # the last line of all: once it is counted, all are read
        log.write(_MARK)
    return marks, lines + 1, time.monotonic() - began


def measure(folder: Path, seconds: float) -> bool:
    """Print the figures and return whether they are good enough."""
    path = folder / "gateway.log"
    path.touch()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_reader, args=(folder, there))
    process.start()
    there.close()
    here.recv()  # it follows
    marks, lines, took_s = _write(path, seconds)
    seen: list[tuple[float, int]] = []
    while not seen or seen[-1][1] < len(marks):
        if not here.poll(10):
            break
        seen.append(here.recv())
    here.send("end")
    cpu_s, read = here.recv()
    process.join()
    delays = sorted(
        next(moment for moment, count in seen if count > number) - mark
        for number, mark in enumerate(marks)
        if seen[-1][1] > number
    )
    p99_s = delays[int(0.99 * (len(delays) - 1))]
    cores = cpu_s / took_s
    print(f"{lines / took_s:,.0f} lines/s of {LINE_BYTES} bytes for {took_s:.0f} s")
    print(f"  CPU    {cores:5.2f} cores, {cores / MOST_CORES:.2f} of the limit of {MOST_CORES}")
    print(
        f"  delay  median {delays[len(delays) // 2]:.3f} s, 99th percentile {p99_s:.3f} s,"
        f" most {delays[-1]:.3f} s; {p99_s / MOST_DELAY_S:.2f} of the limit of {MOST_DELAY_S} s"
    )
    print(f"  lines  {read:,} read of {lines:,}; marks {seen[-1][1]} of {len(marks)}")
    return (
        cores <= MOST_CORES
        and p99_s <= MOST_DELAY_S
        and read == lines
        and seen[-1][1] == len(marks)
    )


def main() -> int:
    """Print the figures; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        return 0 if measure(Path(made), options.seconds) else 1


if __name__ == "__main__":
    raise SystemExit(main())
