"""What each device still lacks, as a blocker with its name; pure."""

from collections.abc import Iterator

from exporter.gateway.messages import DeviceUpdateStatus
from exporter.rotation.blockers import Blocker, BlockReason, of_device
from exporter.rotation.model import DeviceFacts
from exporter.rotation.phases import is_validated
from exporter.rotation.view import View

_LEAVE_OUT = "or leave it out: rotation exclude"


def unreported(view: View, device: DeviceFacts) -> Blocker | None:
    """Return why nothing is known of what the device trusts; None: a fresh report tells."""
    if device.reported_at is None:
        since = view.marks.device(device.name).added_at
        said = f"it must report what it trusts; look after it, {_LEAVE_OUT} {device.name}"
        reason = BlockReason.NEVER_REPORTED
    elif not device.is_fresh(view.now):
        since = device.fresh_until
        said = (
            f"its report of {device.reported_at:%Y-%m-%d %H:%M} is too old; it must report again"
        )
        reason = BlockReason.STALE
    else:
        return None
    return of_device(device, reason, said, now=view.now, since=since)


def untrusting(view: View, device: DeviceFacts) -> Blocker | None:
    """Return why the device is not known to trust the new CA; None: it is, by a fresh report."""
    silent = unreported(view, device)
    if silent is not None:
        return silent
    mark = view.marks.device(device.name)
    now, asked_at = view.now, mark.added_at
    is_newer = asked_at is None or device.reported_at is None or device.reported_at >= asked_at
    is_word_good = device.word in {None, DeviceUpdateStatus.COMPLETE}
    if device.trusts_new and is_newer and is_word_good:
        return None
    if asked_at is None and not device.trusts_new:
        said = "it is asked to add the new CA once the groups before it have it"
        return of_device(device, BlockReason.PENDING, said, now=now)
    if device.word is DeviceUpdateStatus.FAILED:
        said = f"the update failed ({device.error or 'nobody says why'}); it is tried three times"
        return of_device(device, BlockReason.FAILED, said, now=now, since=asked_at)
    if device.word is DeviceUpdateStatus.COMPLETE and is_newer:
        said = "the platform says COMPLETE, and its report does not list the new CA"
        return of_device(device, BlockReason.ANCHOR_MISSING, said, now=now, since=asked_at)
    said = "it must report the new CA after it was asked to add it"
    return of_device(device, BlockReason.PENDING, said, now=now, since=asked_at)


def lost(view: View, device: DeviceFacts) -> Blocker | None:
    """Return why the device may not hold the new CA any more; None: a fresh report lists it."""
    silent = unreported(view, device)
    if silent is not None or device.trusts_new:
        return silent
    said = "its report does not list the new CA, on which it depends by now"
    return of_device(
        device, BlockReason.ANCHOR_MISSING, said, now=view.now, since=device.reported_at
    )


def unwilling(view: View, device: DeviceFacts) -> Blocker | None:
    """Return why it is not certain that the device accepts the candidate; None: it is."""
    if is_validated(device, view.marks):
        return None
    mark = view.marks.device(device.name)
    candidate = view.marks.gateway(device.gateway).candidate
    is_asked = candidate is not None and mark.validated == candidate
    if not is_asked or device.accepts_candidate is None:
        said = "it must be known, by the platform and by us, whether it accepts the new chain"
        return of_device(device, BlockReason.NOT_VALIDATED, said, now=view.now)
    if mark.is_valid != device.accepts_candidate:
        yes, no = ("the platform", "we") if mark.is_valid else ("we", "the platform")
        said = f"{yes} say that it accepts the new chain, {no} say not; find out who is wrong"
        return of_device(device, BlockReason.DISAGREEMENT, said, now=view.now)
    said = f"it would refuse the new chain ({mark.refusal or 'nobody says why'})"
    return of_device(device, BlockReason.REFUSES, said, now=view.now)


def unproven(view: View, device: DeviceFacts) -> Blocker | None:
    """Return why the device is not proven to shake hands in full on the new chain; None: it is."""
    now = view.now
    since = view.marks.gateway(device.gateway).rotated_at
    if device.failing is not None:
        said = f"it refuses the new chain ({device.failing}); its gateway is put back"
        return of_device(device, BlockReason.TRUST_FAILURE, said, now=now, since=device.failing_at)
    if device.full_at is not None:
        return None
    if device.is_by_ticket:
        said = (
            "it came back by a session ticket, which proves nothing; a full handshake must follow"
        )
        return of_device(device, BlockReason.TICKETS_ONLY, said, now=now, since=since)
    said = "it must shake hands in full with the new chain; is it switched off?"
    return of_device(device, BlockReason.NOT_SEEN, said, now=now, since=since)


def still_trusting(view: View, device: DeviceFacts) -> Blocker | None:
    """Return why the device is not known to have let the old CA go; None: it has."""
    silent = unreported(view, device)
    if silent is not None:
        return silent
    asked_at = view.marks.device(device.name).removed_at
    is_newer = asked_at is not None and device.reported_at is not None
    if is_newer and device.trusts_old is False and device.reported_at >= asked_at:  # type: ignore[operator] # both are there
        return None
    is_failed = device.word is DeviceUpdateStatus.FAILED
    reason = BlockReason.FAILED if is_failed else BlockReason.STILL_TRUSTED
    said = f"its report must no longer list the old CA ({device.error or 'it was asked'})"
    return of_device(device, reason, said, now=view.now, since=asked_at)


def needing_the_old(view: View) -> Iterator[Blocker]:
    """Yield the devices whose own certificate may be by the old CA."""
    if view.plan.has_other_client_ca:
        return
    for device in view.devices:
        if device.is_client:
            said = (
                "it shows a certificate of its own, and nobody tells by which CA; if another one,"
                " start the rotation with --client-ca-is-another"
            )
            yield of_device(device, BlockReason.CLIENT_CERTIFICATE, said, now=view.now)
