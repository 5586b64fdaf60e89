"""What this exporter and blackbox_exporter say of the same crooked endpoints, as a table.

The endpoints are real ``openssl s_server`` listeners on loopback. blackbox_exporter is asked
twice: verifying (its default) and with ``insecure_skip_verify``, which is how people keep dates.

    python -m bench.comparison            # prints the table
    python -m bench.comparison --write    # and puts it into docs/comparison.md
"""

import argparse
import re
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.processes import Child, free_port, start, wait_http, wait_port
from exporter.demo.pki import Issued, Wishes, issue

NAME = "gw.example.test"
NOW = datetime.now(UTC)
PAGE = Path(__file__).parent.parent / "docs" / "comparison.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One endpoint: its name in the table and how ``openssl s_server`` is to serve it."""

    name: str
    leaf: Issued
    chain: Sequence[Issued] = ()
    extra: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one exporter said of one endpoint."""

    success: str
    dates: str
    said: str


def cases() -> tuple[Issued, list[Case]]:
    """Return the CA that everyone trusts, and the endpoints."""
    ca = issue(Wishes(common_name="bench CA", is_ca=True, lifetime=timedelta(days=3650)))
    other = issue(Wishes(common_name="bench new CA", is_ca=True))
    middle = issue(Wishes(common_name="bench intermediate", is_ca=True), issuer=ca)
    good = issue(Wishes(common_name=NAME, names=[NAME]), issuer=middle)
    begin, end = NOW - timedelta(days=30), NOW - timedelta(days=1)
    past = Wishes(common_name=NAME, names=[NAME], not_before=begin, not_after=end)
    expired = issue(past, issuer=middle)
    wrong = issue(Wishes(common_name="other", names=["other.example.test"]), issuer=middle)
    foreign = issue(Wishes(common_name=NAME, names=[NAME]), issuer=other)
    alone = issue(Wishes(common_name=NAME, names=[NAME]))
    stray = issue(replace(past, common_name="bench former intermediate", is_ca=True), issuer=ca)
    demand = ["-Verify", "1", "-verify_return_error"]
    return ca, [
        Case(name="good", leaf=good, chain=[middle]),
        Case(name="certificate expired", leaf=expired, chain=[middle]),
        Case(name="self-signed", leaf=alone),
        Case(name="signed by a CA that is not trusted", leaf=foreign),
        Case(name="wrong name", leaf=wrong, chain=[middle]),
        Case(name="intermediate not sent", leaf=good),
        Case(name="good, with an expired stray", leaf=good, chain=[middle, stray]),
        Case(
            name="demands a client certificate, TLS 1.2",
            leaf=good,
            chain=[middle],
            extra=[*demand, "-tls1_2"],
        ),
        Case(
            name="demands a client certificate, TLS 1.3",
            leaf=good,
            chain=[middle],
            extra=[*demand, "-tls1_3"],
        ),
        Case(
            name="only TLS 1.0",
            leaf=good,
            chain=[middle],
            extra=["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        ),
    ]


def serve(stack: ExitStack, folder: Path, case: Case) -> int:
    """Start the endpoint and return its port."""
    port = free_port()
    home = folder / str(port)
    home.mkdir()
    (home / "cert.pem").write_bytes(case.leaf.pem)
    (home / "key.pem").write_bytes(case.leaf.key_pem)
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", "-naccept", "50"]
    command += ["-cert", str(home / "cert.pem"), "-key", str(home / "key.pem"), *case.extra]
    if case.chain:
        (home / "chain.pem").write_bytes(b"".join(issued.pem for issued in case.chain))
        command += ["-cert_chain", str(home / "chain.pem")]
    wait_port(port, start(stack, command, home / "log"))
    return port


def ask(base: str, port: int, module: str) -> str:
    """Return what an exporter's /probe says of the endpoint."""
    words = {"target": f"127.0.0.1:{port}", "module": module}
    url = f"{base}/probe?{urllib.parse.urlencode(words)}"
    with urllib.request.urlopen(url, timeout=20) as answer:
        return str(answer.read().decode())


def wait_looked_at(base: str, count: int, within_s: float = 60.0) -> None:
    """Return when the service has had a look at ``count`` targets.

    Only then does it know the intermediate that one of them leaves out.

    Raises:
        RuntimeError: the time is over.
    """
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{base}/metrics", timeout=20) as answer:
            looked_at = answer.read().count(b"\nfleet_tls_probe_last_attempt_timestamp_seconds{")
        if looked_at == count:
            return
        time.sleep(0.1)
    raise RuntimeError(f"the service has not looked at all {count} targets within {within_s} s")


def read(metrics: str) -> Answer:
    """Return the gist of a /probe answer."""
    found = re.search(r"^probe_success (\S+)$", metrics, re.MULTILINE)
    earliest = re.search(r"^probe_ssl_earliest_cert_expiry (\S+)$", metrics, re.MULTILINE)
    reasons = sorted(
        set(re.findall(r'^probe_failure_reason\{.*reason="(\w+)".*\} 1$', metrics, re.MULTILINE))
    )
    return Answer(
        success=found.group(1) if found else "absent",
        dates=_dates(float(earliest.group(1)) if earliest else None),
        said=", ".join(reasons),
    )


def start_exporters(stack: ExitStack, folder: Path, ports: Sequence[int]) -> tuple[str, str]:
    """Start both for the endpoints at ``ports``; return our base URL and theirs."""
    ours, theirs = free_port(), free_port()
    targets = "\n".join(
        f'    - {{name: "{port}", address: "127.0.0.1:{port}", role: gateway, '
        f"server_name: {NAME}, trust_stores: [fleet]}}"
        for port in ports
    )
    (folder / "config.yml").write_text(
        f"listen: 127.0.0.1:{ours}\n"
        f"trust_stores: [{{name: fleet, file: {folder}/ca.pem}}]\n"
        f"targets:\n  static:\n{targets}\n"
    )
    tls = f"ca_file: {folder}/ca.pem, server_name: {NAME}"
    (folder / "blackbox.yml").write_text(
        "modules:\n"
        f"  verify: {{prober: tcp, tcp: {{tls: true, tls_config: {{{tls}}}}}}}\n"
        f"  skip: {{prober: tcp, tcp: {{tls: true, tls_config: {{{tls}, "
        "insecure_skip_verify: true}}}}\n".replace("}}}}", "}}}")
    )
    commands: dict[int, list[str]] = {
        ours: [sys.executable, "-m", "exporter", "run", "--config", f"{folder}/config.yml"],
        theirs: [
            "prometheus-blackbox-exporter",
            f"--config.file={folder}/blackbox.yml",
            f"--web.listen-address=127.0.0.1:{theirs}",
        ],
    }
    for port, command in commands.items():
        child: Child = start(stack, command, folder / f"{port}.log")
        wait_http(f"http://127.0.0.1:{port}/-/healthy", child)
    return f"http://127.0.0.1:{ours}", f"http://127.0.0.1:{theirs}"


def rows() -> Iterable[str]:
    """Yield the table's lines."""
    yield (
        "| endpoint | this exporter | its reason | blackbox_exporter | "
        "blackbox_exporter, `insecure_skip_verify` |"
    )
    yield "|---|---|---|---|---|"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-tls-bench-")))
        ca, endpoints = cases()
        (folder / "ca.pem").write_bytes(ca.pem)
        ports = [serve(stack, folder, case) for case in endpoints]
        ours, theirs = start_exporters(stack, folder, ports)
        wait_looked_at(ours, len(ports))
        for case, port in zip(endpoints, ports, strict=True):
            own = read(ask(ours, port, "tls"))
            verify = read(ask(theirs, port, "verify"))
            skip = read(ask(theirs, port, "skip"))
            yield (
                f"| {case.name} | {_cell(own)} | {own.said or '-'} "
                f"| {_cell(verify)} | {_cell(skip)} |"
            )


def _dates(earliest: float | None) -> str:
    if earliest is None or earliest < 0:  # -62135596800 is "none" in some versions
        return "**no dates**"
    return "dates" if earliest > NOW.timestamp() else "dates, one in the past"


def _cell(answer: Answer) -> str:
    return f"success {answer.success}, {answer.dates}"


def main() -> None:
    """Print the table, and write it into the page when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    table = "\n".join(rows())
    print(table)
    if options.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    main()
