"""What holds for all tests."""

import pytest
from hypothesis import HealthCheck, settings

# Two shared cores: how long an example takes says nothing about the code
settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared machine")

# Each waits a minute or more for daemons and clocks: begun first, the others run meanwhile
_LONG = (
    "tests/drill/test_drill.py",
    "tests/drill/test_rollback.py",
    "tests/test_dead_fleet.py",
    "tests/alerts/test_ten_thousand.py",
    "tests/response/test_kill.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))
