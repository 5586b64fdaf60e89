"""What a person's word makes of a rotation: its marks, or a refusal with a sentence; pure.

Nothing is sent by any of it. What follows is found at the next look.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from exporter.errors import ExporterError
from exporter.rotation.model import Consent, GatewayMark, Phase, PlannedGateway
from exporter.rotation.phases import before_of, consent_needed
from exporter.rotation.reconcile import to_be_put_back
from exporter.rotation.records import Rotation, with_marks
from exporter.rotation.renewal import is_only_to_be_proven
from exporter.rotation.view import View


class RotationError(ExporterError):
    """What a person asked for cannot be done as it is."""


def with_gateway(rotation: Rotation, name: str, mark: GatewayMark) -> Rotation:
    """Return the same with other marks of one gateway."""
    return with_marks(rotation, gateways={**rotation.marks.gateways, name: mark})


def approved(rotation: Rotation, view: View, named: str) -> tuple[Rotation, Consent]:
    """Return it with the yes to what is next, which must be ``named`` by its hash.

    Raises:
        RotationError: nothing waits for it, or it is the hash of something else.
    """
    consent = consent_needed(view.phase)
    if consent is None or view.position.drift:
        raise RotationError(
            f"nothing waits for an approval while {rotation.plan.id} is {view.phase}"
        )
    if named != rotation.plan.consent_hash(consent, rotation.marks.excluded):
        raise RotationError("this is the hash of another plan; look at rotation status again")
    consents = {**rotation.marks.consents, consent: named}
    return with_marks(rotation, consents=consents), consent


def resumed(rotation: Rotation, now: datetime) -> Rotation:
    """Return it going on, with all to be tried again that was put back or had failed too often."""
    gateways = {one: _tried_anew(mark) for one, mark in rotation.marks.gateways.items()}
    devices = {
        one: replace(mark, added_tries=0, removed_tries=0, validated=None)
        for one, mark in rotation.marks.devices.items()
    }
    return with_marks(
        rotation,
        is_paused=False,
        gateways=gateways,
        devices=devices,
        resumed_at=now,
        resumed_count=rotation.marks.resumed_count + 1,
    )


def _tried_anew(mark: GatewayMark) -> GatewayMark:
    return replace(mark, tries=0, retry_at=None, rolled_back_at=None, rolled_back_why="")


def closed(rotation: Rotation, view: View) -> Rotation:
    """Return a renewal as done whose chain is kept for good, though not all devices met it.

    Raises:
        RotationError: it is no renewal, or its chain is not kept yet.
    """
    is_kept = is_only_to_be_proven(rotation.plan, rotation.marks)
    if not rotation.plan.is_renewal or not is_kept or view.position.drift:
        raise RotationError(f"{rotation.plan.id} is no renewal whose chain is kept for good")
    return with_marks(rotation, ended=Phase.DONE)


def left_out(rotation: Rotation, view: View, device: str, reason: str) -> Rotation:
    """Return it without a device; what was approved before is not approved without it.

    Raises:
        RotationError: there is no such device, or no reason.
    """
    if device not in view.facts.devices:
        raise RotationError(
            f"there is no device {device} behind the gateways of {rotation.plan.id}"
        )
    if not reason.strip():
        raise RotationError("say why it is left out: --reason TEXT")
    return with_marks(rotation, excluded={**rotation.marks.excluded, device: reason})


def undone(rotation: Rotation, view: View) -> tuple[Rotation, Sequence[str]]:
    """Return it with the gateways that were changed by hand to be put back, and their names.

    Raises:
        RotationError: there are none, or the old CA is being removed already.
    """
    if rotation.marks.removing_at is not None:
        raise RotationError("the old CA is being removed: nothing that needs it is put back")
    changed = [one.name for one in rotation.plan.gateways if _is_changed_by_hand(view, one)]
    if not changed:
        raise RotationError("no gateway serves anything that the journal does not know of")
    for name in changed:
        rotation = with_gateway(rotation, name, to_be_put_back(rotation.marks.gateway(name)))
    return rotation, changed


def _is_changed_by_hand(view: View, planned: PlannedGateway) -> bool:
    mark, found = view.marks.gateway(planned.name), view.facts.gateways.get(planned.name)
    served = found.served if found is not None else None
    if served is None or mark.intended is not None or mark.rotated_at is not None:
        return False
    return served != before_of(planned, view.marks)
