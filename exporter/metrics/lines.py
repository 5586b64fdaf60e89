"""One target's sample lines, family by family; pure text, alike in both exposition formats.

These functions run for every look, which is why they are f-strings and nothing cleverer. The
caller has escaped ``name``; other labels of the inventory are escaped here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from exporter.anchors import TrustStore
from exporter.fleet.model import TargetState
from exporter.labels import certificate_text, label_value
from exporter.metrics.dependents import DEPENDENTS

Render = Callable[[str, TargetState], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Families that change together.

    Attributes:
        is_same: The lines of the second state are those of the first. Never wrong when True.
    """

    is_same: Callable[[TargetState, TargetState], bool]
    families: tuple[tuple[str, Render], ...]


def _flag(value: bool | None, series: str) -> str:  # noqa: FBT001 - the value of the sample
    return "" if value is None else f"{series} {int(value)}\n"


def _moment(at: datetime | None, series: str) -> str:
    return "" if at is None else f"{series} {at.timestamp():.3f}\n"


# What the inventory says


def _target_info(name: str, state: TargetState) -> str:
    target = state.target
    return (
        f'fleet_tls_target_info{{target="{name}",role="{target.role}",'
        f'address="{label_value(target.address or "")}",protocol="{label_value(target.protocol)}",'
        f'server_name="{label_value(target.checked_name or "")}",'
        f'device_class="{label_value(target.device_class)}",'
        f'rollout_group="{label_value(target.rollout_group)}",'
        f'gateway="{label_value(target.gateway or "")}"}} 1\n'
    )


def _contact_interval(name: str, state: TargetState) -> str:
    interval_s = state.target.contact_interval_s
    if interval_s is None:
        return ""
    return f'fleet_tls_device_contact_interval_seconds{{device="{name}"}} {interval_s!r}\n'


def _expiry_warning(name: str, state: TargetState) -> str:
    warning_s = state.target.expiry_warning_s
    if warning_s is None:
        return ""
    return f'fleet_tls_target_expiry_warning_seconds{{target="{name}"}} {warning_s!r}\n'


def _accepts(name: str, state: TargetState) -> str:
    told = state.acceptance
    if told is None or told.accepts is None:
        return ""
    return (
        f'fleet_tls_device_accepts_gateway{{device="{name}",'
        f'gateway="{label_value(told.gateway)}",basis="{told.basis}"}}'
        f" {int(told.accepts)}\n"
    )


# What the last look said


def _success(name: str, state: TargetState) -> str:
    return _flag(state.is_success, f'fleet_tls_probe_success{{target="{name}"}}')


def _handshake(name: str, state: TargetState) -> str:
    series = f'fleet_tls_probe_handshake_success{{target="{name}"}}'
    return _flag(state.is_handshake_done, series)


def _attempts(name: str, state: TargetState) -> str:
    if state.target.host is None:
        return ""
    return f'fleet_tls_probe_attempts_total{{target="{name}"}} {state.attempt_count}\n'


def _failures(name: str, state: TargetState) -> str:
    return "".join(
        f'fleet_tls_probe_failures_total{{target="{name}",reason="{reason}"}} {count}\n'
        for reason, count in state.failure_counts.items()
    )


def _last_attempt(name: str, state: TargetState) -> str:
    at = state.observation.observed_at if state.observation else None
    return _moment(at, f'fleet_tls_probe_last_attempt_timestamp_seconds{{target="{name}"}}')


def _last_handshake(name: str, state: TargetState) -> str:
    series = f'fleet_tls_probe_last_handshake_timestamp_seconds{{target="{name}"}}'
    return _moment(state.last_handshake_at, series)


def _observed(name: str, state: TargetState) -> str:
    series = f'fleet_tls_certificate_observed_timestamp_seconds{{target="{name}"}}'
    return _moment(state.chain_observed_at, series)


def _durations(name: str, state: TargetState) -> str:
    if state.observation is None or state.is_overdue:
        return ""
    took = state.observation.durations_s
    phases = (("resolve", took.resolve), ("connect", took.connect), ("handshake", took.handshake))
    # microseconds: more digits would be noise, and nothing else weighs as much in the scrape
    return "".join(
        f'fleet_tls_probe_duration_seconds{{target="{name}",phase="{phase}"}} {seconds:.6f}\n'
        for phase, seconds in phases
        if seconds is not None
    )


def _session(name: str, state: TargetState) -> str:
    look = state.observation
    if look is None or not state.is_handshake_done:
        return ""
    return (
        f'fleet_tls_session_info{{target="{name}",'
        f'tls_version="{certificate_text(look.tls_version or "")}",'
        f'cipher="{certificate_text(look.cipher or "")}"}} 1\n'
    )


# What the chain says


def _not_after(name: str, state: TargetState) -> str:
    return "".join(
        f'fleet_tls_certificate_not_after_timestamp_seconds{{target="{name}",'
        f'position="{position}"}} {certificate.not_after.timestamp():.0f}\n'
        for position, certificate in enumerate(state.chain)
    )


def _not_before(name: str, state: TargetState) -> str:
    return "".join(
        f'fleet_tls_certificate_not_before_timestamp_seconds{{target="{name}",'
        f'position="{position}"}} {certificate.not_before.timestamp():.0f}\n'
        for position, certificate in enumerate(state.chain)
    )


def _certificates(name: str, state: TargetState) -> str:
    if not state.is_chain_current:
        return ""
    return "".join(
        f'fleet_tls_certificate_info{{target="{name}",position="{position}",'
        f'subject_cn="{certificate_text(certificate.subject_cn)}",'
        f'issuer_cn="{certificate_text(certificate.issuer_cn)}",'
        f'serial_number="{certificate_text(certificate.serial_number)}",'
        f'fingerprint_sha256="{certificate.fingerprint_sha256}",'
        f'public_key="{certificate_text(certificate.public_key)}"}} 1\n'
        for position, certificate in enumerate(state.chain)
    )


# What the judge says


def _verified(name: str, state: TargetState) -> str:
    return "".join(
        f'fleet_tls_chain_verified{{target="{name}",trust_store="{label_value(store)}"}}'
        f" {int(verdict.verified)}\n"
        for store, verdict in state.verdicts.items()
    )


def _problems(name: str, state: TargetState) -> str:
    return "".join(
        f'fleet_tls_chain_problem{{target="{name}",trust_store="{label_value(store)}",'
        f'reason="{reason}"}} 1\n'
        for store, verdict in state.verdicts.items()
        for reason in dict.fromkeys(verdict.reasons)
    )


def _chain_not_after(name: str, state: TargetState) -> str:
    return "".join(
        f'fleet_tls_chain_not_after_timestamp_seconds{{target="{name}",'
        f'trust_store="{label_value(store)}"}} {verdict.not_after.timestamp():.0f}\n'
        for store, verdict in state.verdicts.items()
        if verdict.not_after is not None
    )


def anchor_lines(stores: Mapping[str, TrustStore]) -> str:
    """Return the lines of all anchors; ``stores`` by name."""
    return "".join(
        f'fleet_tls_trust_anchor_not_after_timestamp_seconds{{trust_store="{label_value(name)}",'
        f'anchor="{anchor.fingerprint_sha256}"}} {anchor.not_after.timestamp():.0f}\n'
        for name, store in stores.items()
        for anchor in store.anchors
    )


def _is_same_outcome(old: TargetState, new: TargetState) -> bool:
    was, look = old.observation, new.observation
    if was is None or look is None:
        return was is look and old.target is new.target
    return (
        was.handshake == look.handshake
        and was.cipher == look.cipher
        and was.tls_version == look.tls_version
        and old.missed_looks == new.missed_looks
        and old.is_overdue == new.is_overdue
        and old.verdicts is new.verdicts
        and old.target is new.target
    )


GROUPS = (
    Group(
        is_same=lambda old, new: old.target is new.target,
        families=(
            ("fleet_tls_target_info", _target_info),
            ("fleet_tls_device_contact_interval_seconds", _contact_interval),
            ("fleet_tls_target_expiry_warning_seconds", _expiry_warning),
        ),
    ),
    Group(
        is_same=lambda old, new: old.acceptance is new.acceptance,
        families=(("fleet_tls_device_accepts_gateway", _accepts),),
    ),
    Group(
        is_same=lambda old, new: (
            old.observation is new.observation
            and old.is_overdue == new.is_overdue
            and old.target is new.target
        ),
        families=(
            ("fleet_tls_certificate_observed_timestamp_seconds", _observed),
            ("fleet_tls_probe_last_attempt_timestamp_seconds", _last_attempt),
            ("fleet_tls_probe_last_handshake_timestamp_seconds", _last_handshake),
            ("fleet_tls_probe_attempts_total", _attempts),
            ("fleet_tls_probe_duration_seconds", _durations),
        ),
    ),
    Group(
        is_same=_is_same_outcome,
        families=(
            ("fleet_tls_probe_success", _success),
            ("fleet_tls_probe_handshake_success", _handshake),
            ("fleet_tls_session_info", _session),
        ),
    ),
    Group(
        is_same=lambda old, new: old.failure_counts is new.failure_counts,
        families=(("fleet_tls_probe_failures_total", _failures),),
    ),
    Group(
        is_same=lambda old, new: old.chain is new.chain,
        families=(
            ("fleet_tls_certificate_not_after_timestamp_seconds", _not_after),
            ("fleet_tls_certificate_not_before_timestamp_seconds", _not_before),
        ),
    ),
    Group(
        is_same=lambda old, new: (
            old.chain is new.chain and old.is_chain_current == new.is_chain_current
        ),
        families=(("fleet_tls_certificate_info", _certificates),),
    ),
    Group(
        is_same=lambda old, new: old.verdicts is new.verdicts,
        families=(
            ("fleet_tls_chain_verified", _verified),
            ("fleet_tls_chain_problem", _problems),
            ("fleet_tls_chain_not_after_timestamp_seconds", _chain_not_after),
        ),
    ),
)
ANCHORS = "fleet_tls_trust_anchor_not_after_timestamp_seconds"
OF_NO_TARGET = (ANCHORS, DEPENDENTS)
"""Families that belong to no single target; they have one cell."""
VOLATILE = frozenset(
    {
        "fleet_tls_certificate_observed_timestamp_seconds",
        "fleet_tls_probe_last_attempt_timestamp_seconds",
        "fleet_tls_probe_last_handshake_timestamp_seconds",
        "fleet_tls_probe_attempts_total",
        "fleet_tls_probe_duration_seconds",
    }
)
"""Families whose lines differ after every look."""
FAMILIES = (*(name for group in GROUPS for name, _ in group.families), *OF_NO_TARGET)
