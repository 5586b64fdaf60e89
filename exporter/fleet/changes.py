"""How one target's state follows from the one before; pure."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from exporter.fleet.model import Acceptance, TargetState
from exporter.observations import Observation, Reason
from exporter.targets.model import Target
from exporter.verdicts.model import Verdict


def is_kept(states: Mapping[str, TargetState], target: Target) -> bool:
    """Return whether ``target`` is known already, at the same endpoint."""
    old = states.get(target.name)
    return old is not None and _endpoint(old.target) == _endpoint(target)


def _endpoint(target: Target) -> tuple[object, ...]:
    return target.host, target.port, target.protocol, target.server_name


def taken_over(
    old: TargetState, target: Target, steady: Collection[str], told: Acceptance | None
) -> TargetState:
    """Return the state to go on with after a reload; ``steady`` stores are as they were."""
    kept: Mapping[str, Verdict] = {
        name: verdict
        for name, verdict in old.verdicts.items()
        if name in steady and name in target.trust_stores
    }
    if len(kept) == len(old.verdicts):
        if old.target is target and old.acceptance is told:
            return old
        kept = old.verdicts
    return replace(old, target=target, acceptance=told, verdicts=kept)


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
