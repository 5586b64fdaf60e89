"""The dashboard *Rotation and remediation*: what is changed on purpose, and what was not."""

from exporter.remediation.intents import Ending
from tools.dashboards.model import (
    NONE_IS_BETTER,
    Annotation,
    Board,
    Column,
    Kind,
    Panel,
    Row,
    Says,
    Variable,
)
from tools.dashboards.terms import (
    CHANGES,
    JOB,
    TO_GATEWAY,
    YES,
    drawn,
    lines,
    listed,
    of_job,
    one,
)

_R = 'rotation=~"$rotation"'
_NO_ROTATION = "No rotation is planned or under way"
_OFF = "Remediation is not configured, so nothing is decided or changed"
_DECISIONS = of_job("fleet_tls_remediation_decisions_total")
_REFUSALS = of_job("fleet_tls_remediation_refusals_total")
_ACTIONS = of_job("fleet_tls_remediation_actions_total")
_REFUSED = of_job("fleet_tls_remediation_refused")
_BINARY = ((None, "red"), (1, "green"))
_UNDER_WAY = "under way"
_ENDINGS: Says = {
    Ending.RECOVERED: ("recovered", "green"),
    Ending.NOT_BACK: ("not_back: devices are out still", "red"),
    Ending.NOT_SERVED: ("not_served: it was not put back", "red"),
    Ending.UNPROVEN: ("unproven: nobody can tell what it serves", "red"),
    Ending.OVERTAKEN: ("overtaken: somebody else changed it", "orange"),
    Ending.STOPPED: ("stopped: nothing was sent", "orange"),
    _UNDER_WAY: (_UNDER_WAY, "blue"),
}
# No green: in mode dry_run nothing is refused, and nothing done either
_IS_REFUSED: Says = {0: ("no", "blue"), 1: ("REFUSED", "red")}
_NOBODY_ASKED = "remediation is off, or no alert has asked since the exporter started"


def _rotation() -> tuple[Panel, ...]:
    overlap = of_job("fleet_tls_rotation_overlap_end_timestamp_seconds", _R)
    return (
        listed(
            "Where each rotation stands",
            "The phase, as the facts say; whether the gate to the next is open; whether facts and"
            " journal agree; who was left out; how long both CAs still have to be trusted.",
            f"max by (rotation, phase) ({of_job('fleet_tls_rotation_phase', _R)} == 1)",
            f"min by (rotation) ({of_job('fleet_tls_rotation_gate_open', _R)})",
            f"max by (rotation) ({of_job('fleet_tls_rotation_drift', _R)})",
            f"max by (rotation) ({of_job('fleet_tls_rotation_excluded_devices', _R)})",
            f"max by (rotation) ({overlap}) - time()",
            columns=(
                Column(name="rotation", title="Rotation"),
                Column(name="phase", title="Phase"),
                Column(name="Value #B", title="Gate open", says=YES),
                Column(name="Value #C", title="Drift",
                       says={0: ("none", "green"), 1: ("changed by hand", "red")}),
                Column(name="Value #D", title="Devices left out", steps=NONE_IS_BETTER),
                Column(name="Value #E", title="Overlap ends in", unit="dtdurations"),
            ),
            empty=_NO_ROTATION,
            span=24,
            height=6,
        ),
        drawn(
            Kind.STATES,
            "Phase",
            "Over time. A rotation that has ended stays for a while.",
            (f"max by (rotation, phase) ({of_job('fleet_tls_rotation_phase', _R)}) == 1",
             "{{rotation}}: {{phase}}"),
            empty=_NO_ROTATION,
            words={1: ("here", "blue")},
        ),
        drawn(
            Kind.STATES,
            "Gate",
            "Whether the next step may be taken. A gap: it cannot be told, which opens nothing.",
            (f"min by (rotation) ({of_job('fleet_tls_rotation_gate_open', _R)})", "{{rotation}}"),
            empty=_NO_ROTATION,
            words={0: ("shut", "orange"), 1: ("open", "green")},
        ),
        lines(
            "Devices that keep a gate shut",
            "By why. `rotation status` names each of them and what would unblock it.",
            ("max by (rotation, reason)"
             f" ({of_job('fleet_tls_rotation_blocking_devices', _R)}) > 0",
             "{{rotation}}: {{reason}}"),
            empty="No rotation is under way, or no device is in the way of one",
            span=24,
        ),
    )  # fmt: skip


def _remediation() -> tuple[Panel, ...]:
    hold = of_job("fleet_tls_remediation_hold_until_timestamp_seconds")
    return (
        listed(
            "Mode",
            "`dry_run` decides and says what it would do; only `act` changes anything.",
            f"max by (job, mode) ({of_job('fleet_tls_remediation_mode')} == 1)",
            columns=(Column(name="job", title="Job"), Column(name="mode", title="Mode")),
            empty=_OFF,
            span=6,
            height=5,
        ),
        one("Budget left", "Automatic actions that are still allowed in the present hour.",
            f"min({of_job('fleet_tls_remediation_budget_remaining')})",
            empty=_OFF, steps=_BINARY, span=6, height=5),
        listed(
            "Gateways with a way back",
            "Whether the certificate before could be served again at once.",
            f"min by (gateway) ({of_job('fleet_tls_remediation_rollback_ready')}"
            f" unless on (job, gateway) {of_job('fleet_tls_remediation_served_version')} == 1)",
            columns=(Column(name="gateway", title="Gateway", links=(TO_GATEWAY,)),
                     Column(name="Value", title="Ready", says=YES)),
            empty="First certificates are served, or no management API tells of versions",
            span=6,
            height=5,
        ),
        listed(
            "Gateways that are held",
            "Nothing changes them by itself for so long, unless a person releases them.",
            f"max by (gateway) ({hold}) - time() > 0",
            columns=(Column(name="gateway", title="Gateway", links=(TO_GATEWAY,)),
                     Column(name="Value", title="Held for", unit="dtdurations")),
            empty="No gateway is held",
            span=6,
            height=5,
        ),
        *_by_gateway(),
        lines("Decisions", "About a gateway, by what was decided. `explain` tells each reason.",
              ("sum by (outcome) (max by (job, outcome)"
               f" (increase({_DECISIONS}[$__rate_interval])))", "{{outcome}}"),
              empty=_OFF, span=8),
        lines("Refusals", "Why a rollback was refused; a decision may have several reasons.",
              ("sum by (reason) (max by (job, reason)"
               f" (increase({_REFUSALS}[$__rate_interval]))) > 0", "{{reason}}"),
              empty="No rollback was refused in this time", span=8),
        lines("Rollbacks", "That were begun, by how they ended. Only `recovered` is a good end.",
              ("sum by (outcome) (max by (job, outcome)"
               f" (increase({_ACTIONS}[$__rate_interval])))", "{{outcome}}"),
              empty=_OFF, span=8),
        lines("What was only said", "In mode `dry_run`: what became of each rollback that would"
              " have been done. `right`: the fault stayed, and the forecast held. The sentence of"
              " each decision is on the exporter's fleet page, and in its journal.",
              (f"max by (verdict) ({of_job('fleet_tls_remediation_would_be_actions')})",
               "{{verdict}}"),
              empty=_OFF, span=24),
        *_webhook(),
    )  # fmt: skip


def _by_gateway() -> tuple[Panel, ...]:
    ends = of_job("fleet_tls_remediation_last_action_outcome")
    at = of_job("fleet_tls_remediation_last_action_timestamp_seconds")
    return (
        listed(
            "Rollback of each gateway",
            "`REFUSED`: an alert asks for a rollback, it is refused, and the fault lasts: a person"
            " has to decide; `remediation status` tells each reason. `no` says that nothing is"
            " refused, not that all is well. Beside it how the latest rollback ended, also one of"
            " a person: only `recovered` is a good end, and none is tried again by itself.",
            f"max by (gateway) ({_REFUSED})",
            f"max by (gateway, outcome) ({ends}) == 1 or label_replace("
            f'max by (gateway) ({ends}) == 0, "outcome", "{_UNDER_WAY}", "", "")',
            f"time() - max by (gateway) ({at})",
            columns=(
                Column(name="gateway", title="Gateway", links=(TO_GATEWAY,)),
                Column(name="Value #A", title="Refused now", empty="no alert asked",
                       says=_IS_REFUSED),
                Column(name="outcome", title="Latest rollback", says=_ENDINGS,
                       empty="there was none"),
                Column(name="Value #C", title="Begun ago", unit="dtdurations",
                       empty="there was none"),
            ),
            empty=f"Nothing is known: {_NOBODY_ASKED}, and no rollback was ever begun",
            span=14,
            height=7,
        ),
        drawn(
            Kind.STATES,
            "Rollback refused",
            "Over time, while an alert asks for it and the fault lasts. Not so any more: the fault"
            " is over, or something is done about it.",
            (f"max by (gateway) ({_REFUSED})", "{{gateway}}"),
            empty=f"Nothing is known: {_NOBODY_ASKED}",
            words=_IS_REFUSED,
            span=10,
            height=7,
        ),
    )  # fmt: skip


def _webhook() -> tuple[Panel, ...]:
    deliveries = of_job("fleet_tls_webhook_deliveries_total")
    alerts = of_job("fleet_tls_webhook_alerts_total")
    nothing = "No webhook is configured: Alertmanager cannot ask for a rollback"
    return (
        lines("Alertmanager's deliveries", "By how they were answered.",
              ("sum by (answer) (max by (job, answer)"
               f" (increase({deliveries}[$__rate_interval])))", "{{answer}}"),
              empty=nothing),
        lines("Alerts in deliveries", "Accepted, known already, or ignored.",
              ("sum by (outcome) (max by (job, outcome)"
               f" (increase({alerts}[$__rate_interval])))", "{{outcome}}"),
              empty=nothing),
    )  # fmt: skip


def _mark(name: str, counter: str, label: str, colour: str) -> Annotation:
    expr = f"sum by ({label}) (max by (job, {label}) (increase({counter}[3m]))) > 0"
    return Annotation(name=name, expr=expr, title=f"{name}: {{{{{label}}}}}", colour=colour)


def _phase_mark() -> Annotation:
    phase = of_job("fleet_tls_rotation_phase", _R)
    by = "max by (rotation, phase)"
    return Annotation(
        name="Phase",
        expr=f"{by} (changes({phase}[3m])) > 0 and {by} ({phase}) == 1",
        title="{{rotation}}: {{phase}}",
        colour="green",
    )


CHANGES_BOARD = Board(
    uid=CHANGES,
    title="Fleet TLS / Rotation and remediation",
    says="Phases, gates and blockers of rotations; what the guarded rollback decided and did.",
    variables=(
        Variable(
            name="rotation",
            label="Rotation",
            query=f"label_values(fleet_tls_rotation_phase{{{JOB}}}, rotation)",
            many=True,
        ),
    ),
    annotations=(
        _phase_mark(),
        _mark("Decision", _DECISIONS, "outcome", "blue"),
        _mark("Refusal", _REFUSALS, "reason", "orange"),
        _mark("Rollback", _ACTIONS, "outcome", "purple"),
    ),
    rows=(
        Row(title="Rotation", panels=_rotation()),
        Row(title="Remediation", panels=_remediation()),
    ),
)
