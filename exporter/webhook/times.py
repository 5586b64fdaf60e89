"""How far our clock may be ahead of the alerts' clock, by the moments in deliveries; pure."""

from datetime import datetime

_WINDOW_S = 900.0
_BUCKET_S = 60.0


class SenderTimes:
    """The newest moments that were delivered within a quarter of an hour.

    A moment in a delivery is past for its sender, so the sender's clock shows at least that. How
    much more it shows nobody tells: an alert may have begun hours ago. So what follows is a limit
    on one side, ``our clock minus theirs is at most so much``: below zero ours is behind.

    Kept against the monotonic clock, so that a clock that is put right is right at once.
    """

    def __init__(self) -> None:
        self._shown_s: dict[int, float] = {}

    def note(self, newest: datetime, monotonic_s: float) -> None:
        """Take note of the newest moment of a delivery that came at ``monotonic_s``."""
        bucket = int(monotonic_s // _BUCKET_S)
        shows_s = newest.timestamp() - monotonic_s
        self._shown_s[bucket] = max(shows_s, self._shown_s.get(bucket, shows_s))
        self._forget(monotonic_s)

    def offset_at_most_s(self, now: datetime, monotonic_s: float) -> float | None:
        """Return the limit; None: nothing was delivered lately."""
        self._forget(monotonic_s)
        if not self._shown_s:
            return None
        return now.timestamp() - (max(self._shown_s.values()) + monotonic_s)

    def _forget(self, monotonic_s: float) -> None:
        oldest = int((monotonic_s - _WINDOW_S) // _BUCKET_S)
        self._shown_s = {key: one for key, one in self._shown_s.items() if key > oldest}
