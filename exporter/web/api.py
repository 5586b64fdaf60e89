"""``/api/v1``: the fleet's state as JSON, page by page, with its OpenAPI document."""

import base64
import binascii
from collections.abc import Callable, Mapping
from importlib.resources import files
from itertools import islice

from aiohttp import web

from exporter.fleet import Acceptance, TargetState
from exporter.observations import Reason
from exporter.report import Json, chain_json, outcome_of, rfc3339, verdict_json
from exporter.targets.model import Target
from exporter.web.service import SERVICE
from exporter.wording import listed, shown

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000

_Filter = Callable[[TargetState], bool]


async def targets(request: web.Request) -> web.Response:
    """Answer with a page of targets, by name: ``?limit=&cursor=&problem=``."""
    try:
        limit = _limit_in(request.query)
        after = _cursor_in(request.query)
        wanted = _filter_in(request.query)
    except ValueError as exc:
        return _refused(str(exc))
    states = request.app[SERVICE].snapshot().targets
    names = (name for name in sorted(states) if name > after and wanted(states[name]))
    page = list(islice(names, limit + 1))
    more = len(page) > limit
    return web.json_response(
        {
            "items": [target_json(states[name]) for name in page[:limit]],
            "nextCursor": _cursor_after(page[limit - 1]) if more else None,
        }
    )


async def openapi(_request: web.Request) -> web.Response:
    """Answer with the OpenAPI document of this API."""
    return web.json_response(text=openapi_document())


def openapi_document() -> str:
    """Return the OpenAPI 3.1 document, JSON."""
    return (files("exporter.web") / "openapi.json").read_text("utf-8")


def _refused(sentence: str) -> web.Response:
    body = {"error": {"code": "bad_request", "message": sentence}}
    return web.json_response(body, status=400)


def _limit_in(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(DEFAULT_LIMIT))
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise ValueError(f"limit {shown(text)} is not possible; 1 to {MAX_LIMIT} are")


def _cursor_after(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _cursor_in(query: Mapping[str, str]) -> str:
    """Return the name after which the page begins; empty: from the start."""
    text = query.get("cursor", "")
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ValueError(
            f"cursor {shown(text)} is not one of ours; take it from nextCursor"
        ) from None


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
    if state.acceptance is not None:
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
        "accepts_gateway": _acceptance_json(state.acceptance),
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


def _acceptance_json(told: Acceptance | None) -> Json | None:
    if told is None:
        return None
    return {
        "gateway": told.gateway,
        "basis": told.basis.value,
        "accepts": told.verdict.verified,
        "reasons": [reason.value for reason in told.verdict.reasons],
        "detail": told.verdict.detail,
    }
