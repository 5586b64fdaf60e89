"""What reading handshake logs counts of itself."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class SourceStats:
    """One source; counted since the start of this process.

    Attributes:
        is_ok: Its latest reading did not fail; None: there was none yet.
        waiting_since_s: Monotonic moment since which something is read and not durable, or not
            read; None: nothing is.
    """

    line_count: int = 0
    matched_count: int = 0
    cut_count: int = 0
    suspicious_count: int = 0
    is_ok: bool | None = None
    fault: str = ""
    waiting_since_s: float | None = None

    def lag_s(self, now_s: float) -> float:
        """Return how far reading is behind writing; 0 when all is read and durable."""
        return 0.0 if self.waiting_since_s is None else max(0.0, now_s - self.waiting_since_s)
