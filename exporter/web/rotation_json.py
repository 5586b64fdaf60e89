"""What is told of a rotation, as plain data for JSON; pure.

The shape is what scripts rely on: a change here is a breaking change.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from exporter.certificates import Certificate
from exporter.modes import Mode
from exporter.report import Json, rfc3339
from exporter.rotation.blockers import Blocker, BlockReason
from exporter.rotation.forecast import forecast_of
from exporter.rotation.gateway_facts import authorities
from exporter.rotation.model import DeviceFacts, Marks, Plan
from exporter.rotation.phases import consent_needed, trusts_new
from exporter.rotation.renewal import Renewed
from exporter.rotation.seen import Seen
from exporter.rotation.steps import Action
from exporter.rotation.story import steps_of
from exporter.rotation.view import View, gateway_state
from exporter.rotation.what_if import Fate, Fated, WhatIf


def _moment(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def status_json(seen: Seen, *, mode: Mode) -> Json:
    """Return one rotation as it was last looked at."""
    rotation, view, gate = seen.rotation, seen.view, seen.gate
    marks = rotation.marks
    forecast = forecast_of(view)
    return {
        "id": rotation.plan.id,
        "phase": seen.phase.value,
        "since": _moment(marks.phase_at or rotation.started_at),
        "mode": mode.value,
        "plan_hash": approvable_hash(rotation.plan, marks, view),
        "kind": "renewal" if rotation.plan.is_renewal else "rotation",
        "gate": {
            "open": gate.is_open,
            "blockers": [blocker_json(one) for one in gate.blockers],
        },
        "awaiting": "approve" if is_awaiting_approval(gate.blockers) else None,
        "next": action_json(seen.would),
        "paused": marks.is_paused,
        "aborting": marks.is_aborting,
        "drift": list(view.position.drift),
        "devices": counts_json(view),
        "gateways": gateways_json(view),
        "excluded": [
            {"device": name, "reason": reason} for name, reason in sorted(marks.excluded.items())
        ],
        "overlap_end": _moment(view.position.overlap_end),
        "forecast": {
            "last_device_synced_at": _moment(forecast.last_synced_at),
            "certificate_expires_at": _moment(forecast.expires_at),
            "sentence": forecast.sentence,
        },
        "observed_at": _moment(view.facts.gathered_at),
    }


def plan_json(seen: Seen, *, mode: Mode) -> Json:
    """Return a plan, as it would be seen were it started."""
    plan = seen.rotation.plan
    old, new = authorities(seen.rotation)
    return {
        **status_json(seen, mode=mode),
        "old_ca": _authority_json(old),
        "new_ca": _authority_json(new),
        "overlap_s": plan.overlap_s,
        "steps": list(steps_of(seen.view)),
    }


def _authority_json(found: Certificate) -> Json:
    return {
        "subject": found.subject,
        "fingerprint_sha256": found.fingerprint_sha256,
        "not_after": rfc3339(found.not_after),
    }


def renewed_json(renewed: Renewed, *, mode: Mode) -> Json:
    """Return where renewals are, and the devices' own certificates that end soon."""
    return {
        "mode": mode.value,
        "renewals": [
            {
                "gateway": one.gateway,
                "state": one.state.value,
                "due_at": rfc3339(one.due_at),
                "expires_at": rfc3339(one.expires_at),
                "fault": renewed.faults.get(one.gateway),
            }
            for one in renewed.renewals
        ],
        "device_certificates": [
            {"device": name, "expires_at": rfc3339(datetime.fromtimestamp(end_s, UTC))}
            for name, end_s in renewed.device_ends_s.items()
        ],
    }


def what_if_json(asked: WhatIf) -> Json:
    """Return who goes dark, by name; those who stay are counted only."""
    removed, found = asked.question.removed, asked.fates
    return {
        "at": rfc3339(asked.question.at),
        "removed": None if removed is None else _authority_json(removed),
        "devices": len(found),
        "stay": sum(one.fate is Fate.STAYS for one in found),
        **{
            fate.value: [_fated_json(one) for one in found if one.fate is fate]
            for fate in (Fate.DARK, Fate.UNKNOWN, Fate.ALREADY)
        },
    }


def _fated_json(one: Fated) -> Json:
    return {
        "device": one.device,
        "gateway": one.gateway,
        "device_class": one.device_class or None,
        "why": one.why,
    }


def approvable_hash(plan: Plan, marks: Marks, view: View) -> str:
    """Return what ``approve`` is to name now; while nothing waits for it, the plan's own hash."""
    consent = consent_needed(view.phase)
    return plan.hash if consent is None else plan.consent_hash(consent, marks.excluded)


def is_awaiting_approval(blockers: Sequence[Blocker]) -> bool:
    """Return whether a person is waited for, whatever else is in the way."""
    return any(one.reason is BlockReason.AWAITING_APPROVAL for one in blockers)


def blocker_json(one: Blocker) -> Json:
    """Return one thing in the way."""
    return {
        "name": one.name,
        "subject": one.subject.value,
        "reason": one.reason.value,
        "since": _moment(one.since),
        "unblocks": one.unblocks,
        "expected_at": _moment(one.expected_at),
    }


def action_json(action: Action | None) -> Json | None:
    """Return what is done next; None: nothing, something is waited for."""
    if action is None:
        return None
    return {
        "step": action.step.value,
        "why": action.why,
        "gateways": list(action.gateways),
        "devices": list(action.devices),
    }


def counts_json(view: View) -> Mapping[str, int]:
    """Return how many devices there are, and how far they are."""
    devices = view.devices
    return {
        "total": len(devices),
        "synced": sum(_is_synced(one, view) for one in devices),
        "on_new_chain": sum(one.full_at is not None and one.failing is None for one in devices),
    }


def _is_synced(device: DeviceFacts, view: View) -> bool:
    return trusts_new(device, view.now)


def gateways_json(view: View) -> list[Json]:
    """Return each gateway of the plan with where it is, in the plan's order."""
    return [
        {
            "gateway": one.name,
            "canary": one.is_canary,
            "state": gateway_state(view, one.name),
            "rotated_at": _moment(view.marks.gateway(one.name).rotated_at),
            "confirmed": view.marks.gateway(one.name).is_confirmed,
        }
        for one in view.plan.gateways
    ]
