"""Each alert's expression once over a real scrape of 10,000 devices, by a real Prometheus."""

import sys
from pathlib import Path

import pytest

from bench.rules import lines, measure
from exporter.alerts.book import groups_of
from exporter.alerts.values import Values
from tests.daemons import need


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_ten_thousand_healthy_devices_raise_nothing_and_no_rule_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("prometheus")

    result = await measure(10_000, tmp_path)

    with capsys.disabled():
        sys.stdout.write("\n".join(["", *lines(10_000, result), ""]))
    assert result.faults == ()
    assert result.alerts == ()
    assert result.series > 250_000
    assert result.rules == sum(len(group.rules) for group in groups_of(Values()))
