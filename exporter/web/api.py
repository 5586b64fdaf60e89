"""``/api/v1``: the fleet's state as JSON, page by page, with its OpenAPI document."""

from collections.abc import Callable, Mapping
from importlib.resources import files

from aiohttp import web

from exporter.fleet import Acceptance, TargetState
from exporter.observations import Reason
from exporter.report import Json, chain_json, outcome_of, rfc3339, verdict_json
from exporter.targets.model import Target
from exporter.web.paging import page_of
from exporter.web.service import SERVICE
from exporter.wording import listed, shown

_Filter = Callable[[TargetState], bool]


async def targets(request: web.Request) -> web.Response:
    """Answer with a page of targets, by name: ``?limit=&cursor=&problem=``."""
    states = request.app[SERVICE].snapshot().targets
    try:
        wanted = _filter_in(request.query)
        names = (name for name, state in states.items() if wanted(state))
        page = page_of(names, request.query, lambda name: target_json(states[name]))
    except ValueError as exc:
        return refused(str(exc))
    return web.json_response(page)


async def openapi(_request: web.Request) -> web.Response:
    """Answer with the OpenAPI document of this API."""
    return web.json_response(text=openapi_document())


def openapi_document() -> str:
    """Return the OpenAPI 3.1 document, JSON."""
    return (files("exporter.web") / "openapi.json").read_text("utf-8")


def refused(sentence: str) -> web.Response:
    """Return the answer to a question that cannot be asked."""
    body = {"error": {"code": "bad_request", "message": sentence}}
    return web.json_response(body, status=400)


def _filter_in(query: Mapping[str, str]) -> _Filter:
    text = query.get("problem")
    match text:
        case None | "":
            return lambda _state: True
        case "any":
            return lambda state: bool(problems_of(state))
        case "none":
            return lambda state: not problems_of(state)
        case "unknown":
            return lambda state: state.target.host is not None and state.observation is None
        case _:
            return _reason_filter(text)


def _reason_filter(text: str) -> _Filter:
    if text not in set(Reason):
        known = listed(["any", "none", "unknown", *Reason], limit=len(Reason) + 3)
        raise ValueError(f"problem {shown(text)} is not known; there are: {known}")
    return lambda state: text in problems_of(state)


def problems_of(state: TargetState) -> tuple[Reason, ...]:
    """Return every reason why the target is not healthy, as far as it is known."""
    look = state.observation
    verdicts = [*state.verdicts.values()]
    if state.acceptance is not None and state.acceptance.accepts is not None:
        verdicts.append(state.acceptance.verdict)
    return outcome_of(verdicts, failure=look.reason if look else None).reasons


def target_json(state: TargetState) -> Json:
    """Return one target with all that is known of it; what is not known is null."""
    look = state.observation
    return {
        **_inventory_json(state.target),
        "success": state.is_success,
        "handshake": state.is_handshake_done,
        "verified": state.is_verified,
        "problems": [reason.value for reason in problems_of(state)],
        "detail": look.detail if look else None,
        "tls_version": look.tls_version if look else None,
        "cipher": look.cipher if look else None,
        "client_certificate_requested": look.client_certificate_requested if look else None,
        "attempts": state.attempt_count,
        "failures": {reason.value: count for reason, count in state.failure_counts.items()},
        "last_attempt_at": rfc3339(look.observed_at) if look else None,
        "last_handshake_at": rfc3339(state.last_handshake_at) if state.last_handshake_at else None,
        "chain": chain_json(state.chain),
        "chain_observed_at": rfc3339(state.chain_observed_at) if state.chain_observed_at else None,
        "chain_is_current": state.is_chain_current,
        "trust_stores": [verdict_json(verdict) for verdict in state.verdicts.values()],
        "accepts_gateway": acceptance_json(state.acceptance),
    }


def _inventory_json(target: Target) -> Json:
    return {
        "name": target.name,
        "role": target.role.value,
        "address": target.address,
        "protocol": target.protocol,
        "server_name": target.checked_name,
        "device_class": target.device_class or None,
        "rollout_group": target.rollout_group or None,
        "gateway": target.gateway,
        "holds": list(target.holds),
    }


def acceptance_json(told: Acceptance | None) -> Json | None:
    """Return what a device is predicted to say to its gateway; null: nothing can be said."""
    if told is None:
        return None
    return {
        "gateway": told.gateway,
        "basis": told.basis.value,
        "accepts": told.accepts,
        "reasons": [reason.value for reason in told.verdict.reasons],
        "detail": told.verdict.detail,
    }
