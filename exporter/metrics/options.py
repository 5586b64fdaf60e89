"""What `/metrics` may hold: the ``metrics`` section of the configuration."""

from pydantic import BaseModel, ConfigDict, Field

SERIES_BUDGET = 1_000_000


class Options(BaseModel):
    """What a scrape may hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    series_budget: int = Field(
        SERIES_BUDGET,
        ge=1_000,
        description="Series of targets and handshakes exposed at most; what is over it is left"
        " out by a fixed order and counted.",
    )
