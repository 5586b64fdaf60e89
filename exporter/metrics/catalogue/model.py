"""What a metric is, and how both exposition formats announce it."""

from dataclasses import dataclass
from enum import StrEnum

PREFIX = "fleet_tls_"


class Kind(StrEnum):
    """The type of a metric, in OpenMetrics' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


class Filler(StrEnum):
    """Which part gives the values."""

    FLEET = "fleet"
    HANDSHAKE_LOG = "handshake_log"
    REMEDIATION = "remediation"
    ROTATION = "rotation"
    TRUST = "trust"
    WEBHOOK = "webhook"
    OWN = "own"


HANDING = frozenset(Filler) - {Filler.FLEET, Filler.OWN}
"""The parts that hand over whole lines, family by family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: As in the text format and in PromQL; counters end in ``_total``, infos in ``_info``.
        help: One line; plain ASCII without quotes and backslashes, so that it needs no escaping.
        unit: Base unit that the name ends in (before ``_total``); empty: a plain number.
        filler: The part that gives the values.
        examples: PromQL, each with a word on what it answers.
        notes: What the page of the metrics says beyond ``help``; Markdown.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...] = ()
    help: str
    unit: str = ""
    filler: Filler
    examples: tuple[tuple[str, str], ...] = ()
    notes: str = ""

    @property
    def family(self) -> str:
        """The name of the metric family in OpenMetrics."""
        match self.kind:
            case Kind.COUNTER:
                return self.name.removesuffix("_total")
            case Kind.INFO:
                return self.name.removesuffix("_info")
            case _:
                return self.name

    def head(self, *, openmetrics: bool) -> bytes:
        """Return the lines that stand before the samples."""
        if not openmetrics:
            # the text format knows no info; a gauge that is always 1 is what everybody writes
            kind = Kind.GAUGE if self.kind is Kind.INFO else self.kind
            return f"# HELP {self.name} {self.help}\n# TYPE {self.name} {kind}\n".encode()
        unit = f"# UNIT {self.family} {self.unit}\n" if self.unit else ""
        return (
            f"# TYPE {self.family} {self.kind}\n{unit}# HELP {self.family} {self.help}\n".encode()
        )


def cached(text: str, age: str) -> str:
    """Return the help of a value that is as old as the moment in the metric ``age`` says."""
    return f"{text} Cached; see {PREFIX}{age}."
