"""The metrics that the guarded rollback fills."""

from functools import partial

from exporter.metrics.catalogue.model import PREFIX, Filler, Kind, Metric

_metric = partial(Metric, filler=Filler.REMEDIATION)
_R = f"{PREFIX}remediation_"

REMEDIATION = (
    _metric(
        name=f"{_R}mode",
        kind=Kind.GAUGE,
        labels=("mode",),
        help="1 for the mode that is in force, 0 for the others.",
        notes="`disabled`, `dry_run` and `act`, all three always.",
    ),
    _metric(
        name=f"{_R}rollback_ready",
        kind=Kind.GAUGE,
        labels=("gateway",),
        help="1: the certificate before was rehearsed and all devices accept it; 0: not so.",
        notes="1 only when the version before is there and valid, its key matches, every device"
        " behind the gateway accepts it, and it was served on the agent's second port and shaken"
        " hands with. What is not known is no; `remediation status` tells the reason. Absent for"
        " gateways without a management API, in mode `disabled`, and until the first look.",
        examples=(("no way back", "fleet_tls_remediation_rollback_ready == 0"),),
    ),
    _metric(
        name=f"{_R}served_version",
        kind=Kind.GAUGE,
        labels=("gateway",),
        help="Number of the version that a gateway serves, as its management API counts.",
        notes="1: nothing was changed yet, so nothing can be undone. Absent where the API does not"
        " tell, or what is served is none of its versions.",
        examples=(("gateways with their first one", "fleet_tls_remediation_served_version == 1"),),
    ),
    _metric(
        name=f"{_R}decisions_total",
        kind=Kind.COUNTER,
        labels=("outcome",),
        help="Decisions about a gateway, by what was decided.",
        notes="Zeros from the start for each outcome: a counter born at 1 has no increase.",
        examples=(
            (
                "decisions of the last day",
                "sum by (outcome) (increase(fleet_tls_remediation_decisions_total[1d]))",
            ),
        ),
    ),
    _metric(
        name=f"{_R}refusals_total",
        kind=Kind.COUNTER,
        labels=("reason",),
        help="Reasons for which a rollback was refused; a decision may have several.",
        notes="Zeros from the start for each reason.",
    ),
    _metric(
        name=f"{_R}actions_total",
        kind=Kind.COUNTER,
        labels=("outcome",),
        help="Rollbacks that were begun, by how they ended.",
        notes="Zeros from the start for each outcome. Only `recovered` is a good end.",
    ),
    _metric(
        name=f"{_R}hold_until_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("gateway",),
        unit="seconds",
        help="Until when nothing changes the gateway by itself, unless a person releases it.",
        examples=(("held now", "fleet_tls_remediation_hold_until_timestamp_seconds > time()"),),
    ),
    _metric(
        name=f"{_R}last_action_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("gateway",),
        unit="seconds",
        help="When the gateway was last changed by a rollback.",
    ),
    _metric(
        name=f"{_R}last_action_outcome",
        kind=Kind.GAUGE,
        labels=("gateway", "outcome"),
        help="1 for how the gateway's latest rollback ended, 0 for the other ends.",
        notes="All 0 while it is under way. From the store, so also after a restart; absent for"
        " gateways that were never rolled back. Only `recovered` is a good end; after `overtaken`"
        " and `stopped` nothing was changed.",
        examples=(
            (
                "not back, and no person has released the gateway yet",
                'fleet_tls_remediation_last_action_outcome{outcome="not_back"} == 1'
                " and on (gateway) fleet_tls_remediation_hold_until_timestamp_seconds > time()",
            ),
        ),
    ),
    _metric(
        name=f"{_R}refused",
        kind=Kind.GAUGE,
        labels=("gateway",),
        help="1: an alert asks for a rollback, which is refused while the fault lasts; 0: not so.",
        notes="0 as well when the fault is over, or an action is under way: nobody has to do"
        " anything then. Absent for gateways that no alert has asked about since the start.",
        examples=(("left to a person", "fleet_tls_remediation_refused == 1"),),
    ),
    _metric(
        name=f"{_R}budget_remaining",
        kind=Kind.GAUGE,
        help="How many automatic actions are still allowed in the present hour.",
    ),
    _metric(
        name=f"{_R}would_be_actions",
        kind=Kind.GAUGE,
        labels=("verdict",),
        help="Rollbacks that were only said in mode dry_run, by what became of them.",
        notes="`right`: the fault stayed and the forecast held; `needless`: it ended by itself;"
        " `wrong`: the forecast did not hold; `unclear`: it cannot be told; `pending`: not judged"
        " yet. From the store, all of its time.",
        examples=(
            (
                "how much of what was said was right",
                'fleet_tls_remediation_would_be_actions{verdict="right"}'
                " / ignoring (verdict) sum without (verdict)"
                ' (fleet_tls_remediation_would_be_actions{verdict!="pending"})',
            ),
        ),
    ),
)
