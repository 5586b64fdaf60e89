import re
import subprocess
from pathlib import Path

import pytest
import yaml

from exporter.metrics.catalogue import CATALOGUE, Kind, Metric
from exporter.metrics.catalogue.handshakes import HANDSHAKES
from exporter.metrics.catalogue.management import MANAGEMENT
from exporter.metrics.catalogue.own import OWN
from exporter.metrics.catalogue.remediation import REMEDIATION
from exporter.metrics.catalogue.rotation import ROTATION
from exporter.metrics.catalogue.targets import DETAILS, TARGETS
from exporter.metrics.catalogue.trust import TRUST, TRUST_DEVICES
from exporter.metrics.catalogue.webhook import WEBHOOK
from exporter.metrics.document import metrics_page

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ALL = list(CATALOGUE.values())


def test_no_metric_is_declared_twice() -> None:
    declared = (
        *OWN,
        *MANAGEMENT,
        *WEBHOOK,
        *REMEDIATION,
        *ROTATION,
        *TRUST,
        *TARGETS,
        *TRUST_DEVICES,
        *HANDSHAKES,
        *DETAILS,
    )
    assert len(CATALOGUE) == len(declared)
    assert len({metric.family for metric in ALL}) == len(ALL)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_names_follow_the_rules(metric: Metric) -> None:
    assert re.fullmatch(r"fleet_tls_[a-z0-9_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.name.endswith("_info") == (metric.kind is Kind.INFO)
    assert not metric.name.endswith(("_count", "_sum", "_bucket"))
    assert len(set(metric.labels)) == len(metric.labels)
    if metric.unit or metric.name.endswith("_seconds"):
        assert metric.family.endswith(f"_{metric.unit}")


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_help_is_one_plain_line_that_is_a_sentence(metric: Metric) -> None:
    assert metric.help.isascii()
    assert metric.help.isprintable()
    assert not set('"\\') & set(metric.help)
    assert metric.help.endswith(".")


@pytest.mark.parametrize(
    ("name", "text", "openmetrics"),
    [
        (
            "fleet_tls_probe_attempts_total",
            "# HELP fleet_tls_probe_attempts_total Looks at the target.\n"
            "# TYPE fleet_tls_probe_attempts_total counter\n",
            "# TYPE fleet_tls_probe_attempts counter\n"
            "# HELP fleet_tls_probe_attempts Looks at the target.\n",
        ),
        (
            "fleet_tls_exporter_build_info",
            "# HELP fleet_tls_exporter_build_info The versions that run.\n"
            "# TYPE fleet_tls_exporter_build_info gauge\n",
            "# TYPE fleet_tls_exporter_build info\n"
            "# HELP fleet_tls_exporter_build The versions that run.\n",
        ),
        (
            "fleet_tls_exporter_log_lag_seconds",
            "# HELP fleet_tls_exporter_log_lag_seconds How far reading is behind writing.\n"
            "# TYPE fleet_tls_exporter_log_lag_seconds gauge\n",
            "# TYPE fleet_tls_exporter_log_lag_seconds gauge\n"
            "# UNIT fleet_tls_exporter_log_lag_seconds seconds\n"
            "# HELP fleet_tls_exporter_log_lag_seconds How far reading is behind writing.\n",
        ),
    ],
)
def test_both_formats_announce_a_metric_in_their_own_words(
    name: str, text: str, openmetrics: str
) -> None:
    assert CATALOGUE[name].head(openmetrics=False).decode() == text
    assert CATALOGUE[name].head(openmetrics=True).decode() == openmetrics


def test_queries_on_the_page_use_only_names_and_labels_that_exist() -> None:
    queries = [query for metric in ALL for _, query in metric.examples]

    for query in queries:
        names = re.findall(r"fleet_tls_\w+", query)
        known = {name.removesuffix("_bucket") for name in names} & set(CATALOGUE)
        assert len(known) == len(set(names)), query
        labels = {label for name in known for label in CATALOGUE[name].labels} | {"le"}
        used = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", query)
        assert {one for group in used for one in group.split(", ")} <= labels, query
        assert set(re.findall(r"(\w+)=~?\"", query)) <= labels, query
    assert len(queries) >= 10


@pytest.mark.slow
def test_prometheus_can_read_the_queries_on_the_page(tmp_path: Path) -> None:
    queries = [query for metric in ALL for _, query in metric.examples]
    rules = [
        {"record": f"example:query_{number}:ratio", "expr": q} for number, q in enumerate(queries)
    ]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "examples", "rules": rules}]}))

    checked = subprocess.run(
        ["promtool", "check", "rules", str(path)], capture_output=True, check=False, timeout=30
    )

    assert checked.returncode == 0, checked.stderr
    assert f"{len(queries)} rules found" in checked.stdout.decode()


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == metrics_page(), (
        "run: python -m exporter.metrics.document > docs/metrics.md"
    )


def test_the_page_names_every_metric() -> None:
    page = metrics_page()

    assert all(f"| `{name}` |" in page for name in CATALOGUE)
