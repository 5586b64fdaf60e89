"""What the expressions have in common."""

from textwrap import indent

from exporter.observations import Reason

TARGETS = "target:fleet_tls_target_info:unique"
DEVICES = "device:fleet_tls_target_info:unique"

MISMATCH = (
    Reason.BAD_SIGNATURE,
    Reason.UNKNOWN_CA,
    Reason.SELF_SIGNED,
    Reason.CHAIN_INCOMPLETE,
    Reason.VERIFY_FAILED,
)
"""Why a device refuses when what it trusts and what it is shown do not go together."""
OTHER_FAULTS = (
    Reason.REVOKED,
    Reason.NOT_YET_VALID,
    Reason.EXPIRED,
    Reason.WRONG_USAGE,
    Reason.WEAK_CRYPTO,
    Reason.HOSTNAME_MISMATCH,
)
"""Why it refuses a certificate that is wrong for everybody."""
OWN_FAULTS = (*MISMATCH, *OTHER_FAULTS, Reason.CLIENT_CERT_REQUIRED)
"""Why a gateway refuses a device's certificate."""


def one_of(reasons: tuple[Reason, ...]) -> str:
    """Return the matcher of the label ``reason`` for ``reasons``."""
    return f'reason=~"{"|".join(reasons)}"'


def of_role(expr: str, role: str) -> str:
    """Return ``expr``, by job and target, for targets of ``role``, with gateway and role."""
    return f'({expr})\n* on (job, target) group_left (gateway, role) {TARGETS}{{role="{role}"}}'


def of_targets(expr: str) -> str:
    """Return ``expr``, by job and target, with gateway and role."""
    return f"({expr})\n* on (job, target) group_left (gateway, role) {TARGETS}"


def of_devices(expr: str) -> str:
    """Return ``expr``, by job and device, with the gateway."""
    return f"({expr})\n* on (job, device) group_left (gateway) {DEVICES}"


def inside(expr: str) -> str:
    """Return ``expr`` in brackets of its own lines."""
    return f"(\n{indent(expr, '  ')}\n)"
