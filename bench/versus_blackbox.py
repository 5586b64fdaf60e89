"""Exporter beside blackbox_exporter on the same endpoints: CPU of each, alone and with Prometheus.

Both systems watch the same nginx listeners (EC P-256 leaf) at the same time, each target once
a minute, ours with verdicts against two trust stores. CPU seconds come from ``/proc`` of the
measured processes, so the listeners, which share the cores, do not count. Ratios are ours over
theirs, each by the looks that were made: where the machine is too busy, both make fewer.

    python -m bench.versus_blackbox --targets 4000 --seconds 300
"""

import argparse
import json
import re
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Child, cpu_s, free_port, rss_bytes, start, wait_http
from exporter.demo.pki import Wishes, issue

HOSTS = 500
NAME = "gw.bench.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a figure must not exceed, and what it should reach."""

    limit: float
    aim: float


LIMITS = {
    "exporter / blackbox_exporter": Limit(limit=0.7, aim=0.4),
    "exporter + Prometheus / blackbox_exporter + Prometheus": Limit(limit=0.5, aim=0.3),
    "Prometheus / Prometheus": Limit(limit=0.2, aim=0.2),
}


def write_certificates(folder: Path) -> None:
    """Write two CAs and a leaf of the first, as files nginx and both exporters read."""
    old = issue(Wishes(common_name="bench old CA", is_ca=True))
    new = issue(Wishes(common_name="bench new CA", is_ca=True))
    middle = issue(Wishes(common_name="bench intermediate", is_ca=True), issuer=old)
    leaf = issue(Wishes(common_name=NAME, names=[NAME]), issuer=middle)
    (folder / "old-ca.pem").write_bytes(old.pem)
    (folder / "new-ca.pem").write_bytes(new.pem)
    (folder / "chain.pem").write_bytes(leaf.pem + middle.pem)
    (folder / "key.pem").write_bytes(leaf.key_pem)


def addresses(port: int) -> list[str]:
    """Return the listeners' addresses, all on loopback."""
    return [f"127.1.{n // 250}.{n % 250 + 1}:{port}" for n in range(HOSTS)]


def nginx_config(folder: Path, port: int) -> str:
    """Return the configuration of the listeners."""
    listens = "\n".join(f"    listen {address} ssl;" for address in addresses(port))
    return f"""
worker_processes 2; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
{listens}
    ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off; ssl_session_cache off; return 204;
  }}
}}
"""


def write_targets(folder: Path, count: int, port: int) -> None:
    """Write the same targets for both: our labels are ignored by the other side."""
    where = addresses(port)
    entries = [
        {
            "targets": [where[n % HOSTS]],
            "labels": {
                "name": f"dev-{n:05}",
                "role": "device",
                "server_name": NAME,
                "trust_stores": "old,new",
            },
        }
        for n in range(count)
    ]
    (folder / "targets.json").write_text(json.dumps(entries))


def exporter_config(folder: Path, port: int) -> str:
    """Return our configuration: two trust stores, a minute between looks."""
    return f"""
listen: 127.0.0.1:{port}
trust_stores:
  - {{name: old, file: old-ca.pem}}
  - {{name: new, file: new-ca.pem}}
targets: {{files: [{folder}/targets.json]}}
probe: {{interval: 60s, failing_interval: 60s, dead_interval: 60s, host_concurrency: 100}}
"""


def blackbox_config(folder: Path) -> str:
    """Return the peer's module: a TLS connection, verified, with the name sent."""
    return f"""
modules:
  tls:
    prober: tcp
    timeout: 5s
    tcp:
      tls: true
      tls_config: {{ca_file: {folder}/old-ca.pem, server_name: {NAME}}}
"""


def prometheus_config(job: str) -> str:
    """Return a Prometheus configuration with one job, scraped every minute."""
    return f"global: {{scrape_interval: 60s, scrape_timeout: 30s}}\nscrape_configs:\n{job}\n"


def blackbox_job(folder: Path, port: int) -> str:
    """Return the job that sends every target through blackbox_exporter."""
    return f"""
  - job_name: blackbox
    metrics_path: /probe
    params: {{module: [tls]}}
    file_sd_configs: [{{files: [{folder}/targets.json]}}]
    relabel_configs:
      - {{source_labels: [__address__], target_label: __param_target}}
      - {{source_labels: [name], target_label: instance}}
      - {{regex: role|server_name|trust_stores|name, action: labeldrop}}
      - {{target_label: __address__, replacement: "127.0.0.1:{port}"}}
"""


def exporter_job(port: int) -> str:
    """Return the job for our one endpoint."""
    return f"""
  - job_name: fleet
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def start_prometheus(stack: ExitStack, folder: Path, name: str, job: str) -> tuple[Child, int]:
    """Start a Prometheus of its own for ``job``; return it and its port."""
    home = folder / name
    home.mkdir()
    (home / "prometheus.yml").write_text(prometheus_config(job))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={home}/prometheus.yml",
        f"--storage.tsdb.path={home}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    child = start(stack, command, home / "log")
    wait_http(f"http://127.0.0.1:{port}/-/ready", child)
    return child, port


def looks_through(port: int, seconds: float) -> float:
    """Return how many looks of blackbox_exporter Prometheus has got within the last seconds."""
    query = urllib.parse.quote(f"sum(count_over_time(probe_success[{seconds:.0f}s]))")
    url = f"http://127.0.0.1:{port}/api/v1/query?query={query}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        return float(json.load(answer)["data"]["result"][0]["value"][1])


def sample(metrics: str, name: str) -> float:
    """Return the sum of a family's samples."""
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", metrics, re.MULTILINE)
    return sum(float(value) for value in found)


def scrape(port: int) -> str:
    """Return our /metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def run(count: int, seconds: int, warmup: int) -> int:
    """Measure, print, and return the exit status: 1 when a limit does not hold."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-tls-bench-")))
        folder.chmod(0o755)
        write_certificates(folder)
        tls_port, our_port, their_port = free_port(), free_port(), free_port()
        write_targets(folder, count, tls_port)
        (folder / "nginx.conf").write_text(nginx_config(folder, tls_port))
        (folder / "config.yml").write_text(exporter_config(folder, our_port))
        (folder / "blackbox.yml").write_text(blackbox_config(folder))
        start(stack, ["nginx", "-p", str(folder), "-c", f"{folder}/nginx.conf"], folder / "nginx")
        ours = start(
            stack,
            [sys.executable, "-m", "exporter", "run", "--config", f"{folder}/config.yml"],
            folder / "exporter.log",
        )
        theirs = start(
            stack,
            [
                "prometheus-blackbox-exporter",
                f"--config.file={folder}/blackbox.yml",
                f"--web.listen-address=127.0.0.1:{their_port}",
                "--log.level=error",
            ],
            folder / "blackbox.log",
        )
        wait_http(f"http://127.0.0.1:{our_port}/-/healthy", ours)
        wait_http(f"http://127.0.0.1:{their_port}/-/healthy", theirs)
        prom_ours, _ = start_prometheus(stack, folder, "prom-ours", exporter_job(our_port))
        prom_theirs, prom_port = start_prometheus(
            stack, folder, "prom-theirs", blackbox_job(folder, their_port)
        )
        children = {
            "exporter": ours,
            "blackbox_exporter": theirs,
            "Prometheus of the exporter": prom_ours,
            "Prometheus of blackbox_exporter": prom_theirs,
        }
        time.sleep(warmup)
        metrics_before = scrape(our_port)
        before = {name: cpu_s(child) for name, child in children.items()}
        started = time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - started
        used = {name: cpu_s(child) - before[name] for name, child in children.items()}
        memory = {name: rss_bytes(child) for name, child in children.items()}
        metrics_after = scrape(our_port)
        their_looks = looks_through(prom_port, elapsed)
    return report(count, elapsed, used, memory, (metrics_before, metrics_after), their_looks)


def steadiness(metrics: tuple[str, str]) -> list[str]:
    """Return how well the exporter kept its own schedule, in sentences; by its own metrics."""
    own = "fleet_tls_exporter_"

    def grown(name: str) -> float:
        return sample(metrics[1], own + name) - sample(metrics[0], own + name)

    return [
        f"missed intervals {grown('missed_intervals_total'):.0f} (aim 0)",
        f"schedule lag p99 below {lag_quantile(metrics, 0.99)} s (aim 1)",
        f"event loop stalls above 50 ms {grown('event_loop_stalls_total'):.0f} (aim 0), of them"
        f" by our own doing {grown('event_loop_busy_stalls_total'):.0f}; in the others we waited"
        " for a core",
    ]


def lag_quantile(metrics: tuple[str, str], quantile: float) -> float:
    """Return the bound of the histogram's bucket in which the quantile lies."""
    pattern = r'^fleet_tls_exporter_schedule_lag_seconds_bucket{.*le="([^"]+)"} (\S+)$'
    counts: dict[float, float] = {}
    for sign, text in ((-1, metrics[0]), (1, metrics[1])):
        for bound, value in re.findall(pattern, text, re.MULTILINE):
            counts[float(bound)] = counts.get(float(bound), 0.0) + sign * float(value)
    wanted = quantile * max(counts.values())
    return min(bound for bound, count in counts.items() if count >= wanted)


def report(
    count: int,
    elapsed: float,
    used: dict[str, float],
    memory: dict[str, int],
    metrics: tuple[str, str],
    their_looks: float,
) -> int:
    """Print the figures and return 1 when a limit does not hold, else 0."""
    looks = count * elapsed / 60
    print(f"{count} targets, one look a minute, {elapsed:.0f} s measured, both at the same time")
    attempts = [sample(text, "fleet_tls_probe_attempts_total") for text in metrics]
    our_looks = attempts[1] - attempts[0]
    each = {
        name: seconds / (their_looks if "blackbox" in name else our_looks)
        for name, seconds in used.items()
    }
    for name, seconds in used.items():
        print(
            f"  {name:<34} {seconds:8.2f} CPU s  {each[name] * 1000:6.3f} ms a look"
            f"  {memory[name] / 1e6:7.1f} MB resident"
        )
    handshakes = sample(metrics[1], "fleet_tls_probe_handshake_success")
    print(f"  looks due {looks:.0f}, made {our_looks:.0f}, by blackbox_exporter {their_looks:.0f}")
    print(f"  targets with a handshake {handshakes:.0f} of {count}")
    for line in steadiness(metrics):
        print(f"  {line}")
    theirs, ours = each["blackbox_exporter"], each["exporter"]
    prom_ours = each["Prometheus of the exporter"]
    prom_theirs = each["Prometheus of blackbox_exporter"]
    ratios = {
        "exporter / blackbox_exporter": ours / theirs,
        "exporter + Prometheus / blackbox_exporter + Prometheus": (ours + prom_ours)
        / (theirs + prom_theirs),
        "Prometheus / Prometheus": prom_ours / prom_theirs,
    }
    for name, ratio in ratios.items():
        bound = LIMITS[name]
        verdict = "over the limit" if ratio > bound.limit else "holds"
        print(f"  {name:<56} {ratio:.3f}  limit {bound.limit}, aim {bound.aim}: {verdict}")
    return int(any(ratio > LIMITS[name].limit for name, ratio in ratios.items()))


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=4000)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--warmup", type=int, default=75)
    options = parser.parse_args()
    raise SystemExit(run(options.targets, options.seconds, options.warmup))


if __name__ == "__main__":
    main()
