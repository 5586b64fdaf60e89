"""The metrics that the phased rotation fills."""

from functools import partial

from exporter.metrics.catalogue.model import PREFIX, Filler, Kind, Metric

_metric = partial(Metric, filler=Filler.ROTATION)
_R = f"{PREFIX}rotation_"

ROTATION = (
    _metric(
        name=f"{_R}phase",
        kind=Kind.GAUGE,
        labels=("rotation", "phase"),
        help="1 for the phase that the rotation is in, as the facts say; 0 for the others.",
        notes="A rotation that has ended stays for a while, with 1 at `done`, `rolled_back` or"
        " `aborted`.",
        examples=(("rotations by phase", "count by (phase) (fleet_tls_rotation_phase == 1)"),),
    ),
    _metric(
        name=f"{_R}gate_open",
        kind=Kind.GAUGE,
        labels=("rotation",),
        help="1: the next step may be taken; 0: something that was measured is in its way.",
        notes="Absent where it cannot be told, which opens no gate either.",
    ),
    _metric(
        name=f"{_R}blocking_devices",
        kind=Kind.GAUGE,
        labels=("rotation", "reason"),
        help="Devices that keep the gate shut, by why.",
        examples=(("blockers", "sum by (rotation) (fleet_tls_rotation_blocking_devices)"),),
    ),
    _metric(
        name=f"{_R}excluded_devices",
        kind=Kind.GAUGE,
        labels=("rotation",),
        help="Devices that a person has left out of the rotation.",
    ),
    _metric(
        name=f"{_R}drift",
        kind=Kind.GAUGE,
        labels=("rotation",),
        help="1: the facts and the journal disagree on the position, and the rotation stands.",
    ),
    _metric(
        name=f"{_R}overlap_end_timestamp_seconds",
        kind=Kind.GAUGE,
        labels=("rotation",),
        unit="seconds",
        help="When the time is over in which both CAs have to stay trusted.",
        notes="Time alone removes nothing: the step after it has an approval of its own.",
    ),
)
