"""What is wanted of the devices' trust stores: the ``trust_sync`` section."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from exporter.durations import Duration

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)

LEAST_STALE_S = 900.0
UNKNOWN_CONTACT_STALE_S = 86_400.0


def _some(stores: tuple[str, ...]) -> tuple[str, ...]:
    if not stores:
        raise ValueError("this is empty; name at least one of trust_stores")
    return stores


class Desired(BaseModel):
    """What some devices are to trust, whatever they hold now."""

    model_config = _STRICT

    trust_stores: Annotated[tuple[str, ...], AfterValidator(_some)] = Field(
        description="All anchors of these together; names of `trust_stores`."
    )
    device_class: str = Field("", description="Only devices of this class; default: of any.")
    rollout_group: str = Field("", description="Only devices of this group; default: of any.")


class Options(BaseModel):
    """What is wanted of the devices' trust stores, and when a report is too old."""

    model_config = _STRICT

    stale_after: Duration | None = Field(
        None,
        gt=0,
        description="A report that was received, or by the device's own clock written, longer ago"
        " says nothing any more. Default: three contact intervals of the device's class, at least"
        " 15m; 1d where none is known.",
    )
    expiring_within: Duration = Field(
        30 * 86_400.0,
        ge=0,
        le=3_650 * 86_400.0,
        description="Anchors that end within this are counted as expiring.",
    )
    desired: tuple[Desired, ...] = Field(
        (),
        description="What devices are to trust. The first entry that fits a device counts, all"
        " others are to trust what they `hold`.",
    )

    def stale_s(self, contact_interval_s: float | None) -> float:
        """Return the age in seconds beyond which a report is stale."""
        if self.stale_after is not None:
            return self.stale_after
        if contact_interval_s is None:
            return UNKNOWN_CONTACT_STALE_S
        return max(LEAST_STALE_S, 3 * contact_interval_s)
