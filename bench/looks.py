"""CPU seconds of one look, in this process alone: TLS 1.3, EC P-256 leaf, a real nginx.

Looks are made side by side in groups, as the schedule starts them. The listener's own work does
not count, but it shares the cores: let nothing else run.

    python -m bench.looks --looks 3000
"""

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path

import uvloop

from bench.processes import free_port, start, wait_port
from bench.versus_blackbox import NAME, write_certificates
from exporter.certificates import CertificateCache
from exporter.clock import SystemClock
from exporter.probe.model import Endpoint, Limits, Tools
from exporter.probe.tls import TlsProber

PAUSE_S = 0.1


def write_config(folder: Path, port: int) -> Path:
    """Write an nginx configuration with one TLS listener and return its path."""
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; server {{ listen 127.0.0.1:{port} ssl;\n"
        f"ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem; }} }}\n"
    )
    return config


async def measure(port: int, look_count: int, group: int) -> list[float]:
    """Return the CPU seconds per look of each group of looks."""
    prober = TlsProber(Tools(clock=SystemClock(), certificates=CertificateCache()))
    endpoint = Endpoint(target="bench", host="127.0.0.1", port=port, server_name=NAME)
    limits = Limits()
    await prober(endpoint, limits)
    costs = []
    for _ in range(max(1, look_count // group)):
        before = time.process_time()
        seen = await asyncio.gather(*(prober(endpoint, limits) for _ in range(group)))
        costs.append((time.process_time() - before) / group)
        if not all(observation.handshake for observation in seen):
            raise RuntimeError("a look failed")
        await asyncio.sleep(PAUSE_S)
    return costs


def show(name: str, looks: Coroutine[object, object, list[float]]) -> None:
    """Run in uvloop and print mean, median and minimum in milliseconds."""
    costs = [cost * 1000 for cost in uvloop.run(looks)]
    print(
        f"{name:<24} mean {statistics.fmean(costs):.3f} ms   "
        f"median {statistics.median(costs):.3f} ms   least {min(costs):.3f} ms"
    )


def main() -> None:
    """Start nginx, look, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--looks", type=int, default=3000)
    arguments = parser.parse_args()
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        write_certificates(folder)
        command = [nginx, "-e", str(folder / "error.log"), "-c", str(write_config(folder, port))]
        wait_port(port, start(stack, command, folder / "nginx.out"))
        for group in (1, 4, 17):  # 17: what falls due in 100 ms at 167 looks a second
            show(f"groups of {group}", measure(port, arguments.looks // 3, group))


if __name__ == "__main__":
    main()
