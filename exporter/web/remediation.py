"""``/api/v1/remediation``: what it did, would do and why; and what persons may tell it."""

import json
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exporter.clock import Clock
from exporter.errors import StoreError
from exporter.journal import ChainCheck, Entry, Kind
from exporter.remediation.codec import from_json
from exporter.remediation.decide import Question
from exporter.remediation.intents import Hold, Intent, TakenError
from exporter.remediation.model import NEVER_OVERRIDDEN, AlertState, Approval, Asker, Refusal
from exporter.remediation.records import Records
from exporter.remediation.respond import BusyError, Decided, Responder
from exporter.report import Json, rfc3339
from exporter.web.bodies import read_body
from exporter.web.server import Opened
from exporter.wording import shown

BASE = "/api/v1/remediation"
_MOST_BYTES = 64 << 10
_MOST_ENTRIES = 1_000
_MOST_FAULTS = 100

_T = TypeVar("_T", bound=BaseModel)
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field("", max_length=100)
    reason: str = Field("", max_length=1_000)


class _Gateway(_Asked):
    gateway: str = Field(min_length=1, max_length=200)


class RollbackBody(_Gateway):
    """``POST …/rollback``; without ``act`` it is only shown what would be done."""

    act: bool = False
    overrides: tuple[Refusal, ...] = ()


class HoldBody(_Gateway):
    """``POST …/hold``."""

    seconds: float = Field(86_400.0, gt=0, le=30 * 86_400)


class ApproveBody(_Gateway):
    """``POST …/approve``: a yes to the plan that was shown."""

    plan_hash: str = Field(pattern=r"^[0-9a-f]{64}$")


class SwitchBody(_Asked):
    """``POST …/kill-switch``."""

    on: bool


class RemediationApi:
    """The endpoints; what changes something needs the ``web`` section's credential."""

    def __init__(self, responder: Responder, records: Records, clock: Clock) -> None:
        self._responder = responder
        self._records = records
        self._clock = clock

    def endpoints(self) -> Iterable[Opened]:
        """Return them all."""
        reading = {
            "": self.status,
            "/journal": self.journal,
            "/journal/verify": self.verify,
            "/decisions/{number}": self.explain,
        }
        changing = {
            "/rollback": self.rollback,
            "/hold": self.hold,
            "/release": self.release,
            "/approve": self.approve,
            "/kill-switch": self.kill,
        }
        for method, handlers in (("GET", reading), ("POST", changing)):
            for path, handler in handlers.items():
                yield Opened(
                    method=method, path=BASE + path, handler=_told(handler), opens=_nobody_else
                )

    # What is asked

    async def status(self, _request: web.Request) -> web.Response:
        """Answer with the mode, the switch, and each gateway that something is known of."""
        stats = self._responder.stats
        latest = await self._records.latest()
        names = sorted({*self._responder.last, *stats.ready, *stats.holds, *latest})
        return web.json_response(
            {
                "mode": stats.mode.value,
                "kill_switch": await self._responder.switch.is_killed(),
                "budget_remaining": stats.budget_remaining,
                "gateways": [self._gateway_json(name, latest.get(name)) for name in names],
            }
        )

    def _gateway_json(self, name: str, intent: Intent | None) -> Json:
        stats, last = self._responder.stats, self._responder.last.get(name)
        until = stats.holds.get(name)
        return {
            "gateway": name,
            "rollback_ready": stats.ready.get(name),
            "hold_until": rfc3339(until) if until else None,
            "decision": decision_json(last) if last else None,
            "action": _intent_json(intent) if intent else None,
        }

    async def journal(self, request: web.Request) -> web.Response:
        """Answer with entries in order: ``?gateway=&after=&limit=``."""
        after, limit = _number(request, "after", 0), _number(request, "limit", 100)
        found = await self._records.journal(
            gateway=request.query.get("gateway"),
            after=after,
            limit=max(1, min(limit, _MOST_ENTRIES)),
        )
        return web.json_response({"items": [entry_json(entry) for entry in found]})

    async def verify(self, _request: web.Request) -> web.Response:
        """Answer whether an entry was changed or is missing."""
        checked = ChainCheck()
        faults: list[str] = []
        after = 0
        while found := await self._records.journal(after=after, limit=_MOST_ENTRIES):
            faults += [fault for entry in found for fault in checked.faults_of(entry)]
            after = found[-1].number
        faults += checked.faults_of_beginning()
        return web.json_response(
            {"entries": checked.count, "faults": faults[:_MOST_FAULTS], "head": checked.head}
        )

    async def explain(self, request: web.Request) -> web.Response:
        """Answer with a decision, its evidence, and what the function of today makes of it."""
        text = request.match_info["number"]
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0
        found = await self._records.journal(after=number - 1, limit=1)
        if not found or found[0].number != number or found[0].kind is not Kind.DECISION:
            raise web.HTTPNotFound(text=f"entry {shown(text)} of the journal is no decision\n")
        stored = found[0].facts()["case"]
        case = from_json(json.dumps(stored))
        return web.json_response(
            {
                **decision_json(Decided(case=case, number=number)),
                "is_replayed_alike": case.replayed() == case.decision,
                "evidence": stored,
            }
        )

    # What is told

    async def rollback(self, request: web.Request) -> web.Response:
        """Decide by hand; with ``act`` what is decided is begun."""
        asked = await _body(request, RollbackBody)
        _check_overrides(asked)
        question = Question(
            asker=Asker.PERSON,
            overrides=frozenset(asked.overrides),
            is_permitted_to_act=asked.act,
        )
        decided = await self._responder.ask(
            asked.gateway, AlertState.NONE, question, by=_who(asked)
        )
        return web.json_response(decision_json(decided))

    async def hold(self, request: web.Request) -> web.Response:
        """Hold a gateway."""
        asked = await _body(request, HoldBody)
        now = self._clock.now()
        until = now + timedelta(seconds=asked.seconds)
        hold = Hold(gateway=asked.gateway, until=until, reason=asked.reason)
        await self._records.hold(hold, at=now, by=_who(asked))
        self._responder.stats.held(asked.gateway, until)
        return web.json_response({"gateway": asked.gateway, "hold_until": rfc3339(until)})

    async def release(self, request: web.Request) -> web.Response:
        """Release a gateway."""
        asked = await _body(request, _Gateway)
        was_held = await self._records.release(asked.gateway, at=self._clock.now(), by=_who(asked))
        self._responder.stats.held(asked.gateway, None)
        return web.json_response({"gateway": asked.gateway, "was_held": was_held})

    async def approve(self, request: web.Request) -> web.Response:
        """Keep a person's yes to one plan; the next look acts on it."""
        asked = await _body(request, ApproveBody)
        last = self._responder.last.get(asked.gateway)
        if last is None or last.decision.plan_hash != asked.plan_hash:
            raise web.HTTPConflict(
                text="this is not the plan of the latest decision about it; look at it again\n"
            )
        approval = Approval(plan_hash=asked.plan_hash, by=_who(asked), at=self._clock.now())
        await self._records.approve(asked.gateway, approval)
        alert = self._responder.alert_about(asked.gateway)
        decided = await self._responder.ask(asked.gateway, alert, Question())
        return web.json_response(decision_json(decided))

    async def kill(self, request: web.Request) -> web.Response:
        """Turn the kill switch."""
        asked = await _body(request, SwitchBody)
        await self._records.kill(
            is_on=asked.on, at=self._clock.now(), by=_who(asked), reason=asked.reason
        )
        return web.json_response({"kill_switch": asked.on})


def decision_json(decided: Decided) -> Json:
    """Return a decision with its forecast."""
    decision = decided.decision
    forecast = decision.forecast
    return {
        "id": decided.number,
        "gateway": decision.gateway,
        "at": rfc3339(decision.decided_at),
        "outcome": decision.outcome.value,
        "refusals": {refusal.value: said for refusal, said in decision.refusals.items()},
        "passed": {refusal.value: said for refusal, said in decision.passed.items()},
        "sentence": decision.sentence,
        "plan_hash": decision.plan_hash,
        "witnesses": list(decision.witnesses),
        "forecast": {
            "gain": list(forecast.gain),
            "loss": list(forecast.loss),
            "stay": list(forecast.stay),
            "unknown": list(forecast.unknown),
        },
    }


def entry_json(entry: Entry) -> Json:
    """Return an entry of the journal; a decision's evidence is left to its explanation."""
    facts = {key: value for key, value in entry.facts().items() if key != "case"}
    return {
        "number": entry.number,
        "at": rfc3339(entry.at),
        "gateway": entry.gateway or None,
        "kind": entry.kind.value,
        "facts": facts,
        "hash": entry.hash,
    }


def _intent_json(intent: Intent) -> Json:
    return {
        "key": intent.key,
        "to_version": intent.identity.target_version,
        "stage": intent.stage.value,
        "ending": intent.ending.value if intent.ending else None,
        "intended_at": rfc3339(intent.intended_at),
        "stage_at": rfc3339(intent.stage_at),
        "by": intent.by or None,
    }


def _told(handler: Handle) -> Handle:
    """Answer what persons can act on: 409 for what is under way, 503 for the store."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (BusyError, TakenError) as exc:
            raise web.HTTPConflict(text=f"{exc}\n") from exc
        except StoreError as exc:
            raise web.HTTPServiceUnavailable(text=f"{exc}\n") from exc

    return answer


async def _nobody_else(_request: web.Request) -> bool:
    return False


async def _body(request: web.Request, kind: type[_T]) -> _T:
    data = await read_body(request, most_bytes=_MOST_BYTES, what="a request")
    try:
        return kind.model_validate_json(data)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise web.HTTPBadRequest(text=f"{place}: {first['msg']}\n") from exc


def _check_overrides(asked: RollbackBody) -> None:
    never = NEVER_OVERRIDDEN.intersection(asked.overrides)
    if never:
        names = ", ".join(sorted(never))
        raise web.HTTPBadRequest(text=f"no override passes {names}\n")
    if asked.overrides and not asked.reason.strip():
        raise web.HTTPBadRequest(text="an override needs a reason, for the journal\n")


def _number(request: web.Request, key: str, default: int) -> int:
    text = request.query.get(key, str(default))
    if text.isascii() and text.isdigit() and len(text) < 18:
        return int(text)
    raise web.HTTPBadRequest(text=f"{key} {shown(text)} is not a number\n")


def _who(asked: _Asked) -> str:
    reason = f": {asked.reason}" if asked.reason else ""
    return f"{asked.by or 'somebody with the credential'}{reason}"
