"""The clock that ends the process whatever hangs; test_service.py shows it with real processes."""

import asyncio
import os
import signal
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest

from exporter.cli.service import _Stopped, _until_stopped


@dataclass(slots=True)
class Timer:
    """A ``threading.Timer`` that remembers what it was told."""

    after_s: float
    leave: Any
    daemon: bool = False
    is_running: bool = False

    def start(self) -> None:
        self.is_running = True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_four_seconds_after_a_signal_the_process_is_left_whatever_hangs(
    number: signal.Signals,
) -> None:
    timers: list[Timer] = []

    def timer(after_s: float, leave: Any) -> Timer:
        timers.append(Timer(after_s, leave))
        return timers[-1]

    async def work() -> None:
        assert timers == []  # nothing ends a service that nobody has told to end
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()

    with patch("threading.Timer", timer), patch("os._exit") as left:
        with pytest.raises(BaseExceptionGroup) as ended:
            asyncio.run(_until_stopped(work))
        (one,) = timers
        one.leave()

    assert ended.group_contains(_Stopped)
    assert (one.after_s, one.daemon, one.is_running) == (4.0, True, True)
    left.assert_called_once_with(1)
