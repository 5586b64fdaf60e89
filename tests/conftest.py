"""What holds for all tests."""

import coverage
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


def pytest_collection_finish() -> None:
    """Have coverage ask for the greenlet in the main thread only: elsewhere there are none.

    Asked in a thread, greenlet keeps a state of it, which is let go of in a pending call when the
    thread ends; if coverage's own code runs there while a second thread ends, CPython 3.11 loops
    for ever (``RESUME`` under a tracer, with the pending call that cannot be made yet).
    """
    measuring = coverage.Coverage.current()
    if measuring is not None and measuring._collector is not None:
        measuring._collector.concur_id_func = None
