"""Leaves no core file behind: tokens and keys would lie in it."""

import contextlib
import resource


def leave_no_core() -> None:
    """Set the limit of this process, and of what it starts, to none."""
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it, and has set its own
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
