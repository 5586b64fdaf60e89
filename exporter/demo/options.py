"""What the demo can be asked for, and which wishes have to wait for a later version."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from exporter.errors import ConfigError, Fault

MAX_DEVICES = 200


class Terminator(StrEnum):
    """What ends the devices' TLS connections."""

    EMBEDDED = "embedded"
    NGINX = "nginx"
    HAPROXY = "haproxy"
    MOSQUITTO = "mosquitto"


class Break(StrEnum):
    """What is made wrong with the gateway's certificate."""

    UNKNOWN_CA = "unknown-ca"
    EXPIRED = "expired"
    MISSING_INTERMEDIATE = "missing-intermediate"
    HOSTNAME = "hostname"


class Remediation(StrEnum):
    """Whether the demo's service may change the gateway by itself."""

    OFF = "off"
    DRY_RUN = "dry_run"
    ACT = "act"


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationTimes:
    """How long a rotation takes at least, where days would be due.

    Attributes:
        interval_s: Between two looks at what can be done next.
        soak_s: A gateway that was rotated is watched so long.
        overlap_s: Both CAs stay trusted so long.
    """

    interval_s: float = 0.5
    soak_s: float = 6.0
    overlap_s: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """One run of the demo.

    Attributes:
        host: Where the service's HTTP listens; the fleet itself stays on loopback.
        port: Of the service's HTTP; 0: any free one.
        token_file: Holds the credential; None: a fresh one is made.
        break_: None: everything stays healthy.
        rotate: Start a phased rotation and play the approving person; ``times`` are its times.
        json: Print one JSON object when ready, and nothing else.
    """

    devices: int = 18
    host: str = "127.0.0.1"
    port: int = 9883
    token_file: Path | None = None
    terminator: Terminator = Terminator.EMBEDDED
    break_: Break | None = None
    rotate: bool = False
    times: RotationTimes = field(default_factory=RotationTimes)
    remediation: Remediation = Remediation.DRY_RUN
    json: bool = False


def check_options(options: DemoOptions) -> None:
    """Return when the demo can do what ``options`` ask for.

    Raises:
        ConfigError: with one fault per option that cannot be followed.
    """
    faults = []
    if not 1 <= options.devices <= MAX_DEVICES:
        faults.append(
            Fault(
                place="--devices",
                message=f"{options.devices} is not possible; 1 to {MAX_DEVICES} are, "
                "each with a loopback address of its own (127.0.1.N)",
            )
        )
    if not 0 <= options.port <= 65_535:
        faults.append(
            Fault(place="--port", message=f"{options.port} is not a port; 0 to 65535 are")
        )
    if options.rotate and options.break_ is not None:
        faults.append(
            Fault(
                place="--rotate",
                message=f"a rotation begins with a healthy fleet; leave --break {options.break_}"
                " out, or --rotate",
            )
        )
    if faults:
        raise ConfigError(faults)
