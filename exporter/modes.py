"""What automation may do: the mode of remediation and of rotation."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator


class Mode(StrEnum):
    """What automation may do."""

    DISABLED = "disabled"
    DRY_RUN = "dry_run"
    ACT = "act"


def _off_is_disabled(value: object) -> object:
    # An unquoted off is False to YAML 1.1; whoever writes it means it
    return Mode.DISABLED if value is False or value == "off" else value


ModeField = Annotated[Mode, BeforeValidator(_off_is_disabled)]
"""A mode in the configuration; ``off``, also unquoted, is ``disabled``."""
