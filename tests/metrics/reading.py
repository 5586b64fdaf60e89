"""Reads an exposition with prometheus-client's own parsers."""

from collections.abc import Iterable, Mapping

from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

Labels = tuple[tuple[str, str], ...]


def series_of(text: bytes, *, openmetrics: bool = False) -> dict[str, dict[Labels, float]]:
    """Samples by name and labels; fails where a series is there twice."""
    parse = parse_openmetrics if openmetrics else parse_text
    found: dict[str, dict[Labels, float]] = {}
    for family in parse(text.decode()):
        for sample in family.samples:
            by_labels = found.setdefault(sample.name, {})
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in by_labels, f"{sample.name}{dict(labels)} is there twice"
            by_labels[labels] = sample.value
    return found


def values(
    series: Mapping[str, Mapping[Labels, float]], name: str, *keys: str
) -> dict[tuple[str, ...] | str, float]:
    """The values of one metric by the labels ``keys``; by one label, its bare value."""
    picked: dict[tuple[str, ...] | str, float] = {}
    for labels, value in series.get(f"fleet_tls_{name}", {}).items():
        shown = tuple(dict(labels)[key] for key in keys)
        picked[shown[0] if len(shown) == 1 else shown] = value
    return picked


def joined(chunks: Iterable[bytes]) -> bytes:
    return b"".join(chunks)
