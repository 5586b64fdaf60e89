"""How one target's state follows from the one before; pure."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from exporter.fleet.model import Acceptance, TargetState
from exporter.observations import Observation, Reason
from exporter.targets.model import Target


def is_kept(states: Mapping[str, TargetState], target: Target) -> bool:
    """Return whether ``target`` is known already, at the same endpoint."""
    old = states.get(target.name)
    if old is None:
        return False
    return old.target is target or _endpoint(old.target) == _endpoint(target)


def _endpoint(target: Target) -> tuple[object, ...]:
    return target.host, target.port, target.protocol, target.server_name


def taken_over(
    old: TargetState, target: Target, steady: Collection[str], told: Acceptance | None
) -> TargetState:
    """Return the state to go on with after a reload; ``steady`` stores are as they were.

    The very same state when nothing is different: others tell by that what to do again.
    """
    # Every refresh of the inventory makes all targets anew
    target = old.target if target == old.target else target
    verdicts = old.verdicts
    if any(name not in steady or name not in target.trust_stores for name in verdicts):
        verdicts = {
            name: verdict
            for name, verdict in old.verdicts.items()
            if name in steady and name in target.trust_stores
        }
    if target is old.target and told is old.acceptance and verdicts is old.verdicts:
        return old
    return replace(old, target=target, acceptance=told, verdicts=verdicts)


def after_look(state: TargetState, observation: Observation, at_s: float) -> TargetState:
    """Return the state after a look; verdicts are still those of before."""
    at = observation.observed_at
    chain, chain_observed_at = state.chain, state.chain_observed_at
    if observation.chain:
        # the same object while it is the same chain: others tell by that whether it changed
        chain = chain if observation.chain == chain else observation.chain
        chain_observed_at = at
    failures, failing_since = state.failure_counts, None
    if not observation.handshake:
        reason = observation.reason or Reason.OTHER
        failures = MappingProxyType({**failures, reason: failures.get(reason, 0) + 1})
        failing_since = state.failing_since or at
    return TargetState(
        target=state.target,
        observation=observation,
        chain=chain,
        chain_observed_at=chain_observed_at,
        last_handshake_at=at if observation.handshake else state.last_handshake_at,
        attempt_count=state.attempt_count + 1,
        failure_counts=failures,
        failing_since=failing_since,
        missed_looks=0 if observation.chain else state.missed_looks + 1,
        looked_at_s=at_s,
        is_overdue=False,
        verdicts=state.verdicts,
        acceptance=state.acceptance,
    )
