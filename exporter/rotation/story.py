"""What a plan does from its first step to its last, a sentence each; pure."""

from collections.abc import Iterator

from exporter.durations import format_duration
from exporter.rotation.view import View
from exporter.wording import listed

_SHOWN = 6


def steps_of(view: View) -> Iterator[str]:
    """Yield what will be done, in order, with whom it is about."""
    gateways = [one.name for one in view.plan.gateways]
    canaries = [one.name for one in view.plan.gateways if one.is_canary]
    others = [name for name in gateways if name not in canaries]
    yield f"order: each of {len(gateways)} gateways makes a key, and its chain is signed"
    if not view.plan.is_renewal:
        yield f"add: {_devices(view)} are given the new CA as secondary, canary group first"
    yield "validate: for each device it is asked whether it would accept the new chain"
    if len(gateways) == 1:
        yield "rehearse: the new chain is met on the agent's second port"
    yield f"canary: {listed(canaries, _SHOWN)}, watched, and kept only when confirmed"
    if others:
        yield f"rotate: {listed(others, _SHOWN)}, one, then up to {_batch(view)} at once"
    if view.plan.is_renewal:
        return
    overlap_s = max(view.plan.overlap_s, view.options.overlap, view.facts.longest_absence_s)
    yield f"overlap: both CAs stay trusted for {_days(overlap_s)} at least"
    yield "remove: the old CA, canary group first, after an approval of its own"


def _devices(view: View) -> str:
    missing = sum(one.trusts_new is not True for one in view.devices)
    return f"{missing} of {len(view.devices)} devices"


def _batch(view: View) -> int:
    return max(1, int(view.options.batch_ratio * len(view.plan.gateways)))


def _days(seconds: float) -> str:
    return format_duration(float(round(seconds)))
