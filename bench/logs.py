"""Throughput of the log scanner with all formats on, beside mtail on the same file in one run.

The file has lines of 200 bytes of nginx, HAProxy, mosquitto and an access log. Twice: 1 % of the
lines speak of TLS and 0.1 % tell of a failed handshake; then 20 % and 2 %. mtail runs a program of
five patterns that counts the same failures by reason, so it knows far less.

    python -m bench.logs                  # 200 MB each
    python -m bench.logs --megabytes 20   # a quick look
"""

import argparse
import multiprocessing
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

LINE_BYTES = 200
CHUNK_BYTES = 1 << 20
MOST_RESIDENT_MB = 100
LEAST_RATIO = 15.0  # where 1 % of the lines speak of TLS

MTAIL_PROGRAM = r"""
counter failures by reason
/alert unknown ca|unknown certificate authority/ {
  failures["unknown_ca"]++
}
/alert certificate expired|certificate has expired/ {
  failures["expired"]++
}
/certificate verify failed/ {
  failures["verify_failed"]++
}
/no shared cipher|unsupported protocol/ {
  failures["negotiation"]++
}
/SSL handshake failure|TLS handshake error/ {
  failures["other"]++
}
"""

# {n} differs from line to line. From the programs' own sources, as in tests/handshake_log.
FAILURES = (
    "2026/11/24 03:58:49 [info] 29625#29625: *{n} SSL_do_handshake() failed (SSL: error:0A000418:"
    "SSL routines::tlsv1 alert unknown ca:SSL alert number 48) while SSL handshaking, client: "
    "10.0.{n}.7, server: 0.0.0.0:8883",
    "10.1.{n}.9:46290 [24/Nov/2026:03:59:02.862] fe~ fleet_tls err={SSL handshake failure} "
    "ssl_err=000000000A000415 ssl_err_str={error:0A000415:SSL routines::sslv3 alert certificate "
    "expired} c_err=0 ca_err=0 resumed=0",
    "1795492802: OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed {n}",
)
SPEAKING = (
    "10.0.{n}.1 [24/Nov/2026:03:58:48 +0000] TLSv1.3 TLS_AES_256_GCM_SHA384 resumed=. status=200 "
    'sni="gw" client="CN=dev-{n}" client_end="Feb 22 02:58:48 2027 GMT"',
    "1795492801: New connection from 10.3.{n}.2:55148 on port 8883.",
    "Nov 24 03:58:48 gw sensord[812]: session {n} uses TLSv1.3 with cipher TLS_AES_128_GCM_SHA256",
    "2026/11/24 03:58:55 [info] 29630#29630: *{n} client 10.0.0.3:50256 connected to 0.0.0.0:8883",
)
ORDINARY = (
    '10.2.{n}.4 - - [24/Nov/2026:03:58:48 +0000] "GET /api/v1/items/{n} HTTP/1.1" 200 512 "-" '
    '"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/118.0 Safari/537.36"',
    "1795492801: Received PUBLISH from dev-{n} (d0, q1, r0, m{n}, 'dev/state', ... (48 bytes))",
    "Nov 24 03:58:48 gw kernel: [1234.{n}] eth0: renamed from veth{n}a",
    "1795492801: Sending PUBACK to dev-{n} (m{n}, rc0)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What one scan of a file cost and found."""

    seconds: float
    cpu_seconds: float
    resident_mb: float
    failures: int
    successes: int
    lines: int


def write_log(path: Path, megabytes: int, speaking: float, failing: float) -> int:
    """Write the log and return how many failed handshakes it tells of."""
    chance = random.Random(20261124)  # noqa: S311 - the same file in every run
    failures = 0
    with path.open("wb") as log:
        for _ in range(megabytes * 1_000_000 // LINE_BYTES // 5000):
            lines = []
            for number in range(5000):
                dice = chance.random()
                failures += dice < failing
                kinds = FAILURES if dice < failing else SPEAKING if dice < speaking else ORDINARY
                text = chance.choice(kinds).replace("{n}", str(number % 250))
                lines.append(text.ljust(LINE_BYTES - 1)[: LINE_BYTES - 1])
            log.write("\n".join([*lines, ""]).encode())
    return failures


def _scan(path: Path, answer: Connection) -> None:
    from exporter.handshake_log.scan import Scanner  # noqa: PLC0415 - measured in its own process

    scanner, failures, successes = Scanner(), 0, 0
    began, cpu = time.perf_counter(), time.process_time()
    with path.open("rb", buffering=0) as log:
        while chunk := log.read(CHUNK_BYTES):
            for found in scanner.feed(chunk):
                record = found.reading.record
                failures += record is not None and record.failure
                successes += record is not None and record.success
    answer.send(
        Scanned(
            seconds=time.perf_counter() - began,
            cpu_seconds=time.process_time() - cpu,
            resident_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            failures=failures,
            successes=successes,
            lines=scanner.stats.line_count,
        )
    )


def scan(path: Path) -> Scanned:
    """Scan ``path`` in a process of its own, so that its memory is its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_scan, args=(path, there))
    process.start()
    there.close()  # so that a process that dies ends the wait
    scanned: Scanned = here.recv()
    process.join()
    return scanned


class Spent(NamedTuple):
    """Seconds of the clock and of the processor."""

    wall: float
    cpu: float


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def mtail_seconds(path: Path, folder: Path) -> Spent:
    """Return how long mtail reads ``path``, less how long it takes for an empty file."""
    program = folder / "fleet.mtail"
    program.write_text(MTAIL_PROGRAM)
    empty = folder / "empty.log"
    empty.touch()

    def run(log: Path) -> Spent:
        began, cpu = time.perf_counter(), _children_cpu_s()
        subprocess.run(
            [
                "mtail", "--one_shot", "--progs", str(program), "--logs", str(log),
                "--logtostderr",
            ],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
        return Spent(time.perf_counter() - began, _children_cpu_s() - cpu)

    start, full = run(empty), run(path)
    return Spent(full.wall - start.wall, full.cpu - start.cpu)


def compare(
    folder: Path, megabytes: int, *, speaking: float, failing: float, least_ratio: float = 0.0
) -> bool:
    """Print one comparison and return whether it is good enough."""
    path = folder / "gateway.log"
    expected = write_log(path, megabytes, speaking, failing)
    size_mb = path.stat().st_size / 1e6
    peer = mtail_seconds(path, folder)
    runs = [scan(path) for _ in range(3)]
    best = min(runs, key=lambda run: run.seconds)
    ratio = peer.wall / best.seconds
    print(f"{size_mb:.0f} MB, {speaking:.0%} speak of TLS, {failing:.1%} failures")
    for name, wall, cpu in (
        ("mtail", peer.wall, peer.cpu),
        ("scanner", best.seconds, best.cpu_seconds),
    ):
        print(f"  {name:8} {wall:7.2f} s  {size_mb / wall:7.0f} MB/s  {cpu:7.2f} CPU s")
    print(
        f"  ratio    {ratio:7.1f} x mtail's throughput,"
        f" {peer.cpu / best.cpu_seconds:.1f} x for each CPU second"
    )
    print(f"  {best.lines / best.seconds:,.0f} lines/s, {best.resident_mb:.0f} MB resident")
    print(f"  failures {best.failures} of {expected}, good handshakes {best.successes}")
    is_quick = ratio >= least_ratio
    return is_quick and best.failures == expected and best.resident_mb < MOST_RESIDENT_MB


def main() -> int:
    """Print both comparisons; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200)
    options = parser.parse_args()
    if shutil.which("mtail") is None:
        print("mtail is not installed")
        return 2
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        good = [
            compare(
                folder, options.megabytes, speaking=0.01, failing=0.001, least_ratio=LEAST_RATIO
            ),
            compare(folder, options.megabytes, speaking=0.2, failing=0.02),
        ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
