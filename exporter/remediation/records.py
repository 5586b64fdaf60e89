"""What remediation must not forget: intents, holds, approvals, the switch; all in the journal."""

import json
import logging
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import text

from exporter.clock import Clock
from exporter.errors import StoreError
from exporter.journal import Entry, Kind, append, entries
from exporter.operations import last_operation, next_operation
from exporter.remediation import codec, trial_rows
from exporter.remediation import rows as rows_of
from exporter.remediation.hindsight import Judgement, Score, Trial
from exporter.remediation.intents import LEFT_AS_IT_WAS, Ending, Hold, Intent, Stage
from exporter.remediation.leases import Leases
from exporter.remediation.model import Approval, Asker, Forecast, Identity, Outcome, RolledAway
from exporter.remediation.readiness import Rehearsed
from exporter.store import Store

log = logging.getLogger(__name__)

_HOUR = timedelta(hours=1)
_LONGEST_FLIP_FLOP = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What earlier actions and persons left behind, as far as a decision needs it."""

    is_in_progress: bool
    is_fleet_busy: bool
    held_until: datetime | None
    rolled_away: tuple[RolledAway, ...]
    automatic_actions: tuple[datetime, ...]
    approval: Approval | None
    is_killed: bool
    own_operation_number: int


class Records:
    """Reads and writes them; every method is one transaction.

    Attributes:
        owner: What the store calls this process.

    Raises:
        StoreError: from each method, when the store cannot be used; nothing was written.
        TakenUpError: from each that tells of an action, when another process carries it out now.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    def leases(self, clock: Clock) -> Leases:
        """Return the leases of this process on what is under way in the same store."""
        return Leases(self._store, self.owner, clock)

    # Decisions and intents

    async def note_decision(self, case: codec.Case) -> Entry:
        """Keep a decision with its evidence; return its entry.

        A rollback that automation only says is to be judged afterwards.
        """
        is_said = case.decision.outcome is Outcome.WOULD_ROLLBACK
        async with self._store.writing() as connection:
            entry = await rows_of.decision(connection, case)
            if is_said and case.question.asker is Asker.AUTOMATION:
                await trial_rows.put(connection, case, entry.number)
            return entry

    async def intend(self, case: codec.Case, *, hold: timedelta, by: str = "") -> Intent:
        """Make an action durable before anything of it is sent, together with its decision.

        The gateway is held from then on.

        Raises:
            TakenError: it is intended already, or an action on that gateway is under way.
        """
        identity = case.decision.identity
        versions = case.evidence.versions
        previous = versions.previous if versions is not None else None
        if identity is None or versions is None or previous is None:
            raise ValueError("a decision without an identity intends nothing")
        async with self._store.writing() as connection:
            decision = await rows_of.decision(connection, case)
            intent = Intent(
                identity=identity,
                round=await rows_of.next_round(connection, identity),
                # Above the agent's last also where our own were lost, and a person said so
                operation_number=await next_operation(
                    connection, identity.gateway, above=versions.last_operation_number
                ),
                decision_number=decision.number,
                fingerprint=previous.fingerprint,
                rolled_away=identity.fingerprint,
                devices=tuple(one.device for one in case.evidence.devices if one.connected_before),
                asker=case.question.asker,
                by=by,
                intended_at=case.now,
                stage=Stage.INTENDED,
                stage_at=case.now,
            )
            await rows_of.put_intent(connection, intent, self.owner)
            reason = f"a rollback to version {identity.target_version} was begun"
            until = case.now + hold
            await rows_of.put_hold(
                connection, Hold(gateway=identity.gateway, until=until, reason=reason), case.now
            )
            return intent

    async def advance(
        self, intent: Intent, stage: Stage, *, at: datetime, since: datetime | None = None,
        ending: Ending | None = None, facts: Mapping[str, object] | None = None,
    ) -> Intent:  # fmt: skip
        """Note at ``at`` that ``intent`` is at ``stage`` ``since`` then; return it as it is then.

        What another process on this store brought as far or further stays as that one left it:
        one that was stopped for a while must not take an end back.
        """
        kind = Kind.OUTCOME if stage is Stage.ENDED else Kind.ATTEMPT
        body = {"key": intent.key, "stage": stage, "ending": ending, **(facts or {})}
        advanced = replace(intent, stage=stage, stage_at=since or at, ending=ending)
        async with self._store.writing() as connection:
            kept = await rows_of.kept(connection, intent)
            if not kept.stage.is_before(stage):
                return kept
            await append(connection, kind, body, at=at, gateway=intent.identity.gateway)
            await rows_of.put_stage(connection, advanced)
        return advanced

    async def sends(self, intent: Intent, *, at: datetime) -> bool:
        """Note that its request is about to be sent; False: it has an end, nothing may be sent."""
        async with self._store.writing() as connection:
            kept = await rows_of.kept(connection, intent)
            if kept.stage is Stage.ENDED:
                return False
            body = {"key": intent.key, "sends": "rollback"}
            await append(connection, Kind.ATTEMPT, body, at=at, gateway=intent.identity.gateway)
            return True

    async def was_sent(self, intent: Intent) -> bool:
        """Return whether its request was ever about to be sent, by whichever process."""
        gateway, after = intent.identity.gateway, intent.decision_number
        async with self._store.reading() as connection:
            tried = await entries(connection, gateway=gateway, kinds=[Kind.ATTEMPT], after=after)
        told = [one.facts() for one in tried]
        return any((one.get("key"), one.get("sends")) == (intent.key, "rollback") for one in told)

    async def attempt(self, intent: Intent, *, at: datetime, facts: Mapping[str, object]) -> Entry:
        """Note something that was tried, seen or answered on the way."""
        body = {"key": intent.key, **facts}
        async with self._store.writing() as connection:
            await rows_of.kept(connection, intent)
            return await append(
                connection, Kind.ATTEMPT, body, at=at, gateway=intent.identity.gateway
            )

    async def unfinished(self) -> list[Intent]:
        """Return the intents without an end, the oldest first: to look at, not to repeat."""
        async with self._store.reading() as connection:
            rows = await connection.execute(
                text(
                    "SELECT * FROM remediation_intent WHERE stage <> 'ended' ORDER BY intended_at"
                )
            )
            return [rows_of.intent(row) for row in rows.mappings()]

    async def latest(self) -> Mapping[str, Intent]:
        """Return the latest intent of each gateway."""
        async with self._store.reading() as connection:
            rows = await connection.execute(
                text("SELECT * FROM remediation_intent ORDER BY intended_at")
            )
            return {str(row["gateway"]): rows_of.intent(row) for row in rows.mappings()}

    # Rehearsals

    async def note_rehearsal(self, rehearsed: Rehearsed, *, by: str = "") -> None:
        """Keep what came of a rehearsal; ``by``: the person who asked for it."""
        async with self._store.writing() as connection:
            await rows_of.put_rehearsal(connection, rehearsed, by)

    async def rehearsed(self, gateway: str) -> Rehearsed | None:
        """Return the latest rehearsal on ``gateway``; None: there was none."""
        async with self._store.reading() as connection:
            return await rows_of.rehearsal(connection, gateway)

    # Would-be rollbacks

    async def pending_trials(self) -> list[Trial]:
        """Return the would-be rollbacks that are not judged yet, the oldest first."""
        async with self._store.reading() as connection:
            return await trial_rows.pending(connection)

    async def judge(
        self, trial: Trial, judgement: Judgement, forecast: Forecast | None, *, at: datetime
    ) -> None:
        """Keep what became of a would-be rollback."""
        async with self._store.writing() as connection:
            await trial_rows.judge(connection, trial, judgement, forecast, at)

    async def score(self) -> Score:
        """Return how the would-be rollbacks turned out."""
        async with self._store.reading() as connection:
            return await trial_rows.score(connection)

    async def journal(
        self, *, gateway: str | None = None, after: int = 0, limit: int = 1_000
    ) -> list[Entry]:
        """Return entries of the journal, the oldest first."""
        async with self._store.reading() as connection:
            return await entries(connection, gateway=gateway, after=after, limit=limit)

    async def case(self, number: int) -> codec.Case | None:
        """Return the decision of that entry; None: there is none, or it cannot be read."""
        async with self._store.reading() as connection:
            found = await entries(connection, kinds=[Kind.DECISION], after=number - 1, limit=1)
        if not found or found[0].number != number:
            return None
        try:
            return codec.from_json(json.dumps(found[0].facts()["case"]))
        except StoreError as exc:
            log.warning("decision %d: %s", number, exc)
            return None

    async def judgement_of(self, identity: Identity) -> Entry | None:
        """Return how a would-be rollback was judged; None: there was none, or not yet."""
        async with self._store.reading() as connection:
            found = await entries(connection, gateway=identity.gateway, kinds=[Kind.JUDGEMENT])
        same = (one for one in found if one.facts()["identity"] == identity.key)
        return next(same, None)

    async def outcome_of(self, decision: int) -> Entry | None:
        """Return the end of the action that a decision began; None: none, or not yet."""
        async with self._store.reading() as connection:
            row = (
                (
                    await connection.execute(
                        text("SELECT * FROM remediation_intent WHERE decision_number = :number"),
                        {"number": decision},
                    )
                )
                .mappings()
                .first()
            )
            if row is None:
                return None
            intent = rows_of.intent(row)
            gateway = intent.identity.gateway
            ends = await entries(connection, gateway=gateway, kinds=[Kind.OUTCOME], after=decision)
        return next((one for one in ends if one.facts()["key"] == intent.key), None)

    # What persons do

    async def hold(self, hold: Hold, *, at: datetime, by: str) -> None:
        """Hold a gateway by hand."""
        async with self._store.writing() as connection:
            await rows_of.put_hold(connection, hold, at, by=by)

    async def release(self, gateway: str, *, at: datetime, by: str) -> bool:
        """Release a gateway; return whether it was held."""
        async with self._store.writing() as connection:
            gone = await connection.execute(
                text("DELETE FROM remediation_hold WHERE gateway = :gateway"), {"gateway": gateway}
            )
            if gone.rowcount:
                await append(connection, Kind.RELEASE, {"by": by}, at=at, gateway=gateway)
            return bool(gone.rowcount)

    async def holds(self) -> Mapping[str, Hold]:
        """Return the holds by gateway, also those that are over."""
        async with self._store.reading() as connection:
            rows = await connection.execute(text("SELECT * FROM remediation_hold"))
            return {
                str(row["gateway"]): Hold(
                    gateway=str(row["gateway"]),
                    until=datetime.fromisoformat(str(row["until"])),
                    reason=str(row["reason"]),
                )
                for row in rows.mappings()
            }

    async def approve(self, gateway: str, approval: Approval) -> None:
        """Keep a person's yes to one plan."""
        body = {"plan_hash": approval.plan_hash, "by": approval.by}
        async with self._store.writing() as connection:
            await append(connection, Kind.APPROVAL, body, at=approval.at, gateway=gateway)
            await connection.execute(
                text("DELETE FROM remediation_approval WHERE gateway = :gateway"),
                {"gateway": gateway},
            )
            await connection.execute(
                text(
                    "INSERT INTO remediation_approval (gateway, plan_hash, approved_by, at)"
                    " VALUES (:gateway, :plan_hash, :by, :at)"
                ),
                {**body, "gateway": gateway, "at": approval.at.isoformat()},
            )

    async def kill(self, *, is_on: bool, at: datetime, by: str, reason: str) -> None:
        """Turn the kill switch on or off."""
        body = {"is_on": is_on, "by": by, "reason": reason}
        async with self._store.writing() as connection:
            await append(connection, Kind.KILL_SWITCH, body, at=at)
            await connection.execute(text("DELETE FROM remediation_kill_switch"))
            if is_on:
                await connection.execute(
                    text(
                        "INSERT INTO remediation_kill_switch (at, turned_by, reason)"
                        " VALUES (:at, :by, :reason)"
                    ),
                    {"at": at.isoformat(), "by": by, "reason": reason},
                )

    async def is_killed(self) -> bool:
        """Return whether the kill switch is on."""
        async with self._store.reading() as connection:
            return await rows_of.is_killed(connection)

    async def past(self, gateway: str, *, now: datetime) -> Past:
        """Return what a decision about ``gateway`` needs to know of before."""
        async with self._store.reading() as connection:
            rows = await connection.execute(
                text(
                    "SELECT * FROM remediation_intent"
                    " WHERE stage <> 'ended' OR intended_at > :since"
                ),
                {"since": (now - _LONGEST_FLIP_FLOP).isoformat()},
            )
            intents = [rows_of.intent(row) for row in rows.mappings()]
            return Past(
                is_in_progress=any(
                    one.stage is not Stage.ENDED
                    for one in intents
                    if one.identity.gateway == gateway
                ),
                # Until it is seen to be served: waiting for sleepers holds up nobody else
                is_fleet_busy=any(
                    one.stage is Stage.INTENDED
                    for one in intents
                    if one.identity.gateway != gateway
                ),
                held_until=await rows_of.held_until(connection, gateway),
                rolled_away=tuple(
                    RolledAway(fingerprint=one.rolled_away, at=one.intended_at)
                    for one in intents
                    if one.identity.gateway == gateway and one.stage is not Stage.INTENDED
                    and one.ending not in LEFT_AS_IT_WAS
                ),
                automatic_actions=tuple(
                    one.intended_at
                    for one in intents
                    if one.asker is Asker.AUTOMATION and one.intended_at > now - _HOUR
                ),
                approval=await rows_of.approval(connection, gateway),
                is_killed=await rows_of.is_killed(connection),
                own_operation_number=await last_operation(connection, gateway),
            )  # fmt: skip
