"""A connection to the first of several addresses that takes one."""

from collections.abc import Sequence

from exporter.clock import Clock
from exporter.observations import Reason
from exporter.probe.failure import Failure, LookFailed, explain_connect
from exporter.probe.resolve import Address
from exporter.probe.wire import TooLate, Wire

_MAX_TRIED = 4


async def connect(addresses: Sequence[Address], phase_s: float, clock: Clock) -> Wire:
    """Return a connection to one of ``addresses``, tried in order, all within ``phase_s``.

    Each gets an equal share of the time that is left, so that one which swallows packets does not
    use up what the next would need.

    Raises:
        LookFailed: none takes one; the reason is the first one's.
    """
    end = clock.monotonic() + phase_s
    tried = addresses[:_MAX_TRIED]
    failures = []
    for position, address in enumerate(tried):
        share_s = (end - clock.monotonic()) / (len(tried) - position)
        try:
            return await _connect_one(address, share_s)
        except LookFailed as failed:
            failures.append(failed.failure)
    raise LookFailed(_sum_up(failures, len(addresses)))


async def _connect_one(address: Address, share_s: float) -> Wire:
    try:
        wire = Wire(address)
    except OSError as exc:
        raise LookFailed(explain_connect(exc)) from exc
    is_connected = False
    try:
        wire.allow(share_s)
        await wire.connect()
        is_connected = True
    except (TooLate, TimeoutError) as exc:  # our limit or the kernel's
        failure = Failure(
            reason=Reason.CONNECT_TIMEOUT,
            rejected_by=None,
            detail=f"no answer to the connection request within {share_s:.3g} s",
        )
        raise LookFailed(failure) from exc
    except OSError as exc:
        raise LookFailed(explain_connect(exc)) from exc
    finally:
        if not is_connected:
            wire.close()
    return wire


def _sum_up(failures: Sequence[Failure], address_count: int) -> Failure:
    first = failures[0]
    if address_count == 1:
        return first
    others = sorted({failure.reason.value for failure in failures[1:]})
    return Failure(
        reason=first.reason,
        rejected_by=first.rejected_by,
        detail=f"{first.detail}; {len(failures)} of {address_count} addresses were tried, "
        f"the others: {', '.join(others) or 'none'}",
    )
