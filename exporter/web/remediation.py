"""``/api/v1/remediation``: what it did, would do and why; and what persons may tell it."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from aiohttp import web
from pydantic import Field

from exporter.clock import Clock
from exporter.journal import ChainCheck, Kind
from exporter.remediation.codec import from_json
from exporter.remediation.decide import Question
from exporter.remediation.hindsight import Score
from exporter.remediation.intents import Hold, Intent, TakenError
from exporter.remediation.measure import names_json
from exporter.remediation.model import NEVER_OVERRIDDEN, AlertState, Approval, Asker, Refusal
from exporter.remediation.readiness import Readiness
from exporter.remediation.records import Records
from exporter.remediation.respond import BusyError, Decided, Responder
from exporter.remediation.way_back import NotRehearsedError, WayBack
from exporter.report import Json, rfc3339
from exporter.web.persons import (
    Told,
    answered,
    body_of,
    entry_json,
    nobody_else,
    number_in,
    who,
)
from exporter.web.server import Opened
from exporter.wording import shown

BASE = "/api/v1/remediation"
_MOST_ENTRIES = 1_000
_MOST_FAULTS = 100

_CONFLICTS = (BusyError, NotRehearsedError, TakenError)


class _Gateway(Told):
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


class SwitchBody(Told):
    """``POST …/kill-switch``."""

    on: bool


class RemediationApi:
    """The endpoints; what changes something needs the ``web`` section's credential."""

    def __init__(
        self, responder: Responder, way_back: WayBack, records: Records, clock: Clock
    ) -> None:
        self._responder = responder
        self._way_back = way_back
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
            "/rehearse": self.rehearse,
        }
        for method, handlers in (("GET", reading), ("POST", changing)):
            for path, handler in handlers.items():
                yield Opened(
                    method=method,
                    path=BASE + path,
                    handler=answered(handler, conflicts=_CONFLICTS),
                    opens=nobody_else,
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
                "dry_run": score_json(await self._records.score()),
                "gateways": [self._gateway_json(name, latest.get(name)) for name in names],
            }
        )

    def _gateway_json(self, name: str, intent: Intent | None) -> Json:
        stats, last = self._responder.stats, self._responder.last.get(name)
        until = stats.holds.get(name)
        return {
            "gateway": name,
            **readiness_json(stats.ready.get(name)),
            "hold_until": rfc3339(until) if until else None,
            "decision": decision_json(last) if last else None,
            "action": _intent_json(intent) if intent else None,
        }

    async def journal(self, request: web.Request) -> web.Response:
        """Answer with entries in order: ``?gateway=&after=&limit=``."""
        after, limit = number_in(request, "after", 0), number_in(request, "limit", 100)
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
        again = case.replayed()
        outcome = await self._records.outcome_of(number)
        if outcome is None and case.decision.identity is not None:
            outcome = await self._records.judgement_of(case.decision.identity)
        return web.json_response(
            {
                **decision_json(Decided(case=case, number=number)),
                "is_replayed_alike": again.gist == case.decision.gist,
                "replayed": decision_json(
                    Decided(case=replace(case, decision=again), number=number)
                ),
                "afterwards": entry_json(outcome) if outcome else None,
                "evidence": stored,
            }
        )

    # What is told

    async def rollback(self, request: web.Request) -> web.Response:
        """Decide by hand; with ``act`` what is decided is begun."""
        asked = await body_of(request, RollbackBody)
        _check_overrides(asked)
        question = Question(
            asker=Asker.PERSON,
            overrides=frozenset(asked.overrides),
            is_permitted_to_act=asked.act,
        )
        decided = await self._responder.ask(
            asked.gateway, AlertState.NONE, question, by=who(asked)
        )
        return web.json_response(decision_json(decided))

    async def hold(self, request: web.Request) -> web.Response:
        """Hold a gateway."""
        asked = await body_of(request, HoldBody)
        now = self._clock.now()
        until = now + timedelta(seconds=asked.seconds)
        hold = Hold(gateway=asked.gateway, until=until, reason=asked.reason)
        await self._records.hold(hold, at=now, by=who(asked))
        self._responder.stats.held(asked.gateway, until)
        return web.json_response({"gateway": asked.gateway, "hold_until": rfc3339(until)})

    async def release(self, request: web.Request) -> web.Response:
        """Release a gateway."""
        asked = await body_of(request, _Gateway)
        was_held = await self._records.release(asked.gateway, at=self._clock.now(), by=who(asked))
        self._responder.stats.held(asked.gateway, None)
        return web.json_response({"gateway": asked.gateway, "was_held": was_held})

    async def approve(self, request: web.Request) -> web.Response:
        """Keep a person's yes to one plan; the next look acts on it."""
        asked = await body_of(request, ApproveBody)
        last = self._responder.last.get(asked.gateway)
        if last is None or last.decision.plan_hash != asked.plan_hash:
            raise web.HTTPConflict(
                text="this is not the plan of the latest decision about it; look at it again\n"
            )
        approval = Approval(plan_hash=asked.plan_hash, by=who(asked), at=self._clock.now())
        await self._records.approve(asked.gateway, approval)
        alert = self._responder.alert_about(asked.gateway)
        decided = await self._responder.ask(asked.gateway, alert, Question())
        return web.json_response(decision_json(decided))

    async def kill(self, request: web.Request) -> web.Response:
        """Turn the kill switch."""
        asked = await body_of(request, SwitchBody)
        await self._records.kill(
            is_on=asked.on, at=self._clock.now(), by=who(asked), reason=asked.reason
        )
        return web.json_response({"kill_switch": asked.on})

    async def rehearse(self, request: web.Request) -> web.Response:
        """Serve a gateway's previous version on its second port, and say whether it could be."""
        asked = await body_of(request, _Gateway)
        told = await self._way_back.rehearse(asked.gateway, by=who(asked))
        return web.json_response({"gateway": told.gateway, **readiness_json(told)})


def readiness_json(told: Readiness | None) -> Json:
    """Return whether a gateway could be rolled back; null: it is not known."""
    rehearsed_at = told.rehearsed_at if told else None
    return {
        "rollback_ready": told.is_ready if told else None,
        "way_back": None if told is None else {
            "version": told.version,
            "reason": told.reason,
            "accepting_devices": told.accepting_count,
            "devices": told.device_count,
            "checked_at": rfc3339(told.checked_at),
            "rehearsed_at": rfc3339(rehearsed_at) if rehearsed_at else None,
        },
    }  # fmt: skip


def score_json(score: Score) -> Json:
    """Return how the rollbacks turned out that were only said."""
    return {
        "pending": score.pending_count,
        **{verdict.value: count for verdict, count in score.counts.items()},
        "sentence": score.sentence,
        "latest": [
            {
                "decision": one.trial.decision_number,
                "gateway": one.trial.gateway,
                "decided_at": rfc3339(one.trial.decided_at),
                "judged_at": rfc3339(one.judged_at),
                "verdict": one.verdict.value,
                "detail": one.detail,
            }
            for one in score.latest
        ],
    }


def decision_json(decided: Decided) -> Json:
    """Return a decision with its forecast."""
    decision = decided.decision
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
        "forecast": names_json(decision.forecast),
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


def _check_overrides(asked: RollbackBody) -> None:
    never = NEVER_OVERRIDDEN.intersection(asked.overrides)
    if never:
        names = ", ".join(sorted(never))
        raise web.HTTPBadRequest(text=f"no override passes {names}\n")
    if asked.overrides and not asked.reason.strip():
        raise web.HTTPBadRequest(text="an override needs a reason, for the journal\n")
