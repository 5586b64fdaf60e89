"""What is counted of the webhook."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from exporter.webhook.inbox import Receipt

_P = "fleet_tls_webhook_"


class Answer(StrEnum):
    """How a delivery was answered."""

    ACCEPTED = "accepted"
    """202: all of it is durable."""
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    INVALID = "invalid"
    """400, 413 or 422: it will never become valid."""
    UNAVAILABLE = "unavailable"
    """503 or 408: Alertmanager sends it again."""


class WebhookStats:
    """Counts since the start of this process; a ``LineSource`` of the exposition.

    Args:
        clock_offset_at_most_s: By how much our clock is at most ahead of the alerts'.
    """

    def __init__(self, clock_offset_at_most_s: Callable[[], float | None]) -> None:
        self._clock_offset_at_most_s = clock_offset_at_most_s
        self.answers = Counter(dict.fromkeys(Answer, 0))
        self._alerts = Counter({"accepted": 0, "duplicate": 0, "ignored": 0})

    def took(self, receipt: Receipt) -> None:
        """Count the alerts of a delivery."""
        self._alerts.update(
            accepted=receipt.accepted, duplicate=receipt.duplicate, ignored=receipt.ignored
        )

    def lines_of(self, family: str) -> Sequence[bytes]:
        """Return the sample lines of one family."""
        match family.removeprefix(_P):
            case "deliveries_total":
                counted: Iterable[tuple[str, int]] = self.answers.items()
                label = "answer"
            case "alerts_total":
                counted, label = self._alerts.items(), "outcome"
            case "clock_offset_at_most_seconds":
                limit_s = self._clock_offset_at_most_s()
                return [] if limit_s is None else [f"{family} {limit_s:.3f}\n".encode()]
            case _:
                return ()
        return [f'{family}{{{label}="{value}"}} {count}\n'.encode() for value, count in counted]
