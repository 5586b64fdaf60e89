"""How the process ends: with a code, or by a signal as every other Unix program would."""

import os
import signal
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process with ``code``; what was written is flushed first."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        die_by(signal.SIGPIPE)
    raise SystemExit(code)


def die_by(number: signal.Signals) -> NoReturn:
    """End quietly as the signal's own default does: the shell and ``make`` see what happened."""
    # Whatever is still buffered has no reader, or nobody who wants it
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.__stdout__.fileno() if sys.__stdout__ else 1)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(2)  # reached only where the signal is blocked
