"""What holds for all tests."""

import os

import coverage
import pytest
from hypothesis import HealthCheck, settings

# Two shared cores: how long an example takes says nothing about the code
settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared machine")

# Each takes half a minute or more, most of it waiting for daemons and clocks
_LONG = (
    "tests/test_dead_fleet.py",
    "tests/drill/test_drill.py",
    "tests/drill/test_rollback.py",
    "tests/alerts/test_ten_thousand.py",
    "tests/response/test_kill.py",
    "tests/gateway/agent/real/test_agent.py::test_a_kill_at_any_moment",
    "tests/response/test_two_processes.py",
    "tests/rotation/test_kill.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with some of the longest tests: the others run meanwhile.

    ``--dist worksteal`` gives each one a run of tests that follow on each other.
    """
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for start in _LONG for item in items if item.nodeid.startswith(start)]
    taken = set(long)
    rest = [item for item in items if item not in taken]
    ordered: list[pytest.Item] = []
    for worker in range(count):
        own = long[worker::count]
        share = max(0, (len(items) - len(ordered)) // (count - worker) - len(own))
        ordered += own + rest[:share]
        del rest[:share]
    items[:] = ordered + rest


def pytest_collection_finish() -> None:
    """Have coverage ask for the greenlet in the main thread only: elsewhere there are none.

    Asked in a thread, greenlet keeps a state of it, which is let go of in a pending call when the
    thread ends; if coverage's own code runs there while a second thread ends, CPython 3.11 loops
    for ever (``RESUME`` under a tracer, with the pending call that cannot be made yet).
    """
    measuring = coverage.Coverage.current()
    if measuring is not None and measuring._collector is not None:
        measuring._collector.concur_id_func = None
