"""Whether the same request is sent again, and when; pure."""

from exporter.gateway.api import GatewayError, GatewayReason

MAX_ATTEMPTS = 3
LONGEST_PAUSE_S = 30.0
"""Whoever is asked to wait longer is told so, instead of being kept waiting."""
_FIRST_PAUSE_S = 0.5


def pause_s(error: GatewayError, attempt: int) -> float | None:
    """Return the seconds until the request is sent again after its ``attempt`` failed.

    None: never. What answers nonsense will not have changed its mind in a second. After an
    unknown outcome somebody has to look first, which is not ours to do: a platform may have
    forgotten the key, and "back to the previous version" done twice is forward again.
    """
    if attempt >= MAX_ATTEMPTS or not error.retryable or error.is_outcome_unknown:
        return None
    if error.reason in {GatewayReason.NONSENSE, GatewayReason.CREDENTIALS}:
        return None
    wanted_s = error.retry_after_s
    if wanted_s is None:
        return _FIRST_PAUSE_S * 4.0 ** (attempt - 1)
    return wanted_s if wanted_s <= LONGEST_PAUSE_S else None
