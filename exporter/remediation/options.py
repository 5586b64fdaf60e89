"""What may be set about the guarded rollback: its mode and its limits."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from exporter.durations import Duration
from exporter.modes import Mode, ModeField
from exporter.wording import shown


def _fingerprint(text: str) -> str:
    lower = text.replace(":", "").lower()
    if len(lower) != 64 or set(lower) - set("0123456789abcdef"):
        raise ValueError(
            f"{shown(text)} is not a SHA-256 fingerprint; write 64 hexadecimal digits, as"
            " openssl x509 -fingerprint -sha256 prints them"
        )
    return lower


class Options(BaseModel):
    """Guarded rollback."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mode: ModeField = Field(
        Mode.DRY_RUN, description="`dry_run` decides and only says so; `off` means `disabled`."
    )
    kill_switch_file: Path | None = Field(
        None, description="While this file exists nothing is changed, by nobody."
    )
    look_back: Duration = Field(
        86_400.0, gt=0, le=30 * 86_400, description="A change older than this is not undone."
    )
    evidence_max_age: Duration = Field(
        120.0, gt=0, le=3_600, description="A fact older than this is not known any more."
    )
    window: Duration = Field(
        900.0, gt=0, le=86_400, description="Refusals that count as witnesses are no older."
    )
    min_witnesses: int = Field(
        2, ge=1, le=1_000, description="So many devices must refuse, whatever their share."
    )
    min_witness_ratio: float = Field(
        0.2,
        ge=0.01,
        le=1,
        description="And this share of the devices that connected before the change.",
    )
    previous_min_validity: Duration = Field(
        86_400.0, ge=0, le=365 * 86_400, description="The previous certificate must last so long."
    )
    compromised: tuple[Annotated[str, AfterValidator(_fingerprint)], ...] = Field(
        (), description="SHA-256 of leaves that must never be served again; in hex."
    )
    rehearsal_interval: Duration = Field(
        86_400.0,
        ge=0,
        le=90 * 86_400,
        description="How often the previous certificate is served on the agent's second port and"
        " shaken hands with; `0s`: only when a person asks.",
    )
    max_actions_per_hour: int = Field(
        3, ge=1, le=100, description="Automatic actions in the whole fleet."
    )
    hold: Duration = Field(
        86_400.0, ge=0, le=30 * 86_400, description="No automatic change of a gateway after one."
    )
    flip_flop: Duration = Field(
        7 * 86_400.0,
        ge=0,
        le=90 * 86_400,
        description="What was rolled away from is not gone back to for so long.",
    )
    approval_from_devices: int | None = Field(
        None, ge=1, description="From so many affected devices on, a person must approve."
    )
    approval_valid: Duration = Field(
        1_800.0, gt=0, le=86_400, description="An approval lapses after this time."
    )
    max_clock_offset: Duration = Field(
        60.0, gt=0, le=3_600, description="Our clock may be off by so much from the others'."
    )
    proof_within: Duration = Field(
        30.0, gt=0, le=600, description="Every look must show the intended chain within this time."
    )
    first_back_within: Duration = Field(
        600.0, gt=0, le=86_400, description="The first full handshake after the rollback."
    )
    back_within: Duration = Field(
        3_600.0,
        gt=0,
        le=30 * 86_400,
        description="`back_ratio` of the devices, where their class has no `reconnect`.",
    )
    back_ratio: float = Field(
        0.9, gt=0, le=1, description="Of the devices that connected before, so many must be back."
    )
