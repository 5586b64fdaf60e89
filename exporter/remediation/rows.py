"""The rows that remediation keeps, within somebody else's transaction."""

import json
from datetime import datetime

from sqlalchemy import RowMapping, text

from exporter.journal import Entry, Kind, append
from exporter.remediation import codec
from exporter.remediation.intents import (
    LEFT_AS_IT_WAS,
    Ending,
    Hold,
    Intent,
    Stage,
    TakenError,
    TakenUpError,
)
from exporter.remediation.model import Approval, Asker, Identity
from exporter.remediation.readiness import Rehearsed
from exporter.transaction import Transaction


async def decision(connection: Transaction, case: codec.Case) -> Entry:
    """Write a decision with its evidence into the journal."""
    body = {
        "outcome": case.decision.outcome,
        "sentence": case.decision.sentence,
        "case": json.loads(codec.to_json(case)),
    }
    return await append(
        connection, Kind.DECISION, body, at=case.now, gateway=case.evidence.gateway
    )


async def next_round(connection: Transaction, identity: Identity) -> int:
    """Return the round in which ``identity`` may be intended.

    Raises:
        TakenError: it was done already, or an action on its gateway is under way.
    """
    rows = await connection.execute(
        text(
            "SELECT * FROM remediation_intent WHERE identity = :identity"
            " OR (gateway = :gateway AND stage <> 'ended')"
        ),
        {"identity": identity.key, "gateway": identity.gateway},
    )
    found = [intent(row) for row in rows.mappings()]
    for one in found:
        if one.stage is not Stage.ENDED:
            raise TakenError(f"an action on {identity.gateway} is under way: {one.key}")
        if one.ending not in LEFT_AS_IT_WAS:
            raise TakenError(f"this was done already: {one.key}, {one.ending}")
    return len(found) + 1


async def put_intent(connection: Transaction, intent: Intent, owner: str) -> None:
    """Write an intent that ``owner`` carries out, and its entry in the journal."""
    values = {
        "identity": intent.identity.key,
        "round": intent.round,
        "gateway": intent.identity.gateway,
        "served": intent.identity.fingerprint,
        "activation_number": intent.identity.activation_number,
        "target_version": intent.identity.target_version,
        "operation_number": intent.operation_number,
        "decision_number": intent.decision_number,
        "fingerprint": intent.fingerprint,
        "devices": json.dumps(intent.devices),
        "asker": intent.asker.value,
        "asked_by": intent.by,
        "intended_at": intent.intended_at.isoformat(),
        "stage": intent.stage.value,
        "stage_at": intent.stage_at.isoformat(),
        "owner": owner,
    }
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    await connection.execute(
        text(f"INSERT INTO remediation_intent ({names}) VALUES ({places})"),  # noqa: S608 - names of ours
        values,
    )
    body = {"key": intent.key, "to": intent.fingerprint, "devices": len(intent.devices)}
    await append(
        connection,
        Kind.INTENT,
        {**body, "operation_number": intent.operation_number, "by": intent.by},
        at=intent.intended_at,
        gateway=intent.identity.gateway,
    )


async def row_of(connection: Transaction, intended: Intent) -> RowMapping:
    """Return the row of an intent as it is now."""
    rows = await connection.execute(
        text("SELECT * FROM remediation_intent WHERE identity = :identity AND round = :round"),
        {"identity": intended.identity.key, "round": intended.round},
    )
    return rows.mappings().one()


async def kept(connection: Transaction, intended: Intent) -> Intent:
    """Return an intent as the store has it now.

    Raises:
        TakenUpError: another process carries it out now.
    """
    found = intent(await row_of(connection, intended))
    if found.operation_number != intended.operation_number:
        raise TakenUpError(
            f"{intended.key} was operation {intended.operation_number} here, and another process"
            f" has taken it up as operation {found.operation_number}"
        )
    return found


async def put_stage(connection: Transaction, advanced: Intent) -> None:
    """Write how far an intent has come."""
    await connection.execute(
        text(
            "UPDATE remediation_intent SET stage = :stage, stage_at = :at, ending = :ending"
            " WHERE identity = :identity AND round = :round"
        ),
        {
            "stage": advanced.stage.value,
            "at": advanced.stage_at.isoformat(),
            "ending": advanced.ending.value if advanced.ending else None,
            "identity": advanced.identity.key,
            "round": advanced.round,
        },
    )


def intent(row: RowMapping) -> Intent:
    """Return the intent of a row."""
    return Intent(
        identity=Identity(
            gateway=row["gateway"],
            fingerprint=row["served"],
            activation_number=row["activation_number"],
            target_version=row["target_version"],
        ),
        round=row["round"],
        operation_number=row["operation_number"],
        decision_number=row["decision_number"],
        fingerprint=row["fingerprint"],
        rolled_away=row["served"],
        devices=tuple(json.loads(row["devices"])),
        asker=Asker(row["asker"]),
        by=row["asked_by"],
        intended_at=datetime.fromisoformat(row["intended_at"]),
        stage=Stage(row["stage"]),
        stage_at=datetime.fromisoformat(row["stage_at"]),
        ending=Ending(row["ending"]) if row["ending"] else None,
    )


async def put_hold(connection: Transaction, hold: Hold, at: datetime, *, by: str = "") -> None:
    """Hold a gateway; ``by``: the person who does."""
    values = {"gateway": hold.gateway, "until": hold.until.isoformat(), "reason": hold.reason}
    await connection.execute(
        text("DELETE FROM remediation_hold WHERE gateway = :gateway"), {"gateway": hold.gateway}
    )
    await connection.execute(
        text(
            "INSERT INTO remediation_hold (gateway, until, reason)"
            " VALUES (:gateway, :until, :reason)"
        ),
        values,
    )
    body = {"until": values["until"], "reason": hold.reason, "by": by}
    await append(connection, Kind.HOLD, body, at=at, gateway=hold.gateway)


async def held_until(connection: Transaction, gateway: str) -> datetime | None:
    """Return until when ``gateway`` is held; None: it is not."""
    until = await connection.scalar(
        text("SELECT until FROM remediation_hold WHERE gateway = :gateway"), {"gateway": gateway}
    )
    return datetime.fromisoformat(str(until)) if until else None


async def approval(connection: Transaction, gateway: str) -> Approval | None:
    """Return a person's latest yes about ``gateway``; None: there is none."""
    rows = await connection.execute(
        text("SELECT * FROM remediation_approval WHERE gateway = :gateway"), {"gateway": gateway}
    )
    row = rows.mappings().first()
    if row is None:
        return None
    return Approval(
        plan_hash=str(row["plan_hash"]),
        by=str(row["approved_by"]),
        at=datetime.fromisoformat(str(row["at"])),
    )


async def is_killed(connection: Transaction) -> bool:
    """Return whether the kill switch is on."""
    return bool(await connection.scalar(text("SELECT count(*) FROM remediation_kill_switch")))


async def put_rehearsal(connection: Transaction, rehearsed: Rehearsed, by: str) -> None:
    """Keep what came of a rehearsal in place of the one before, and in the journal."""
    facts = {
        "version": rehearsed.version,
        "fingerprint": rehearsed.fingerprint,
        "fault": rehearsed.fault,
    }
    await append(
        connection,
        Kind.REHEARSAL,
        {**facts, "by": by},
        at=rehearsed.at,
        gateway=rehearsed.gateway,
    )
    values = {**facts, "gateway": rehearsed.gateway, "at": rehearsed.at.isoformat()}
    await connection.execute(
        text("DELETE FROM remediation_rehearsal WHERE gateway = :gateway"), values
    )
    await connection.execute(
        text(
            "INSERT INTO remediation_rehearsal (gateway, version, fingerprint, at, fault)"
            " VALUES (:gateway, :version, :fingerprint, :at, :fault)"
        ),
        values,
    )


async def rehearsal(connection: Transaction, gateway: str) -> Rehearsed | None:
    """Return the latest rehearsal on ``gateway``; None: there was none."""
    rows = await connection.execute(
        text("SELECT * FROM remediation_rehearsal WHERE gateway = :gateway"), {"gateway": gateway}
    )
    row = rows.mappings().first()
    if row is None:
        return None
    return Rehearsed(
        gateway=gateway,
        version=int(row["version"]),
        fingerprint=str(row["fingerprint"]),
        at=datetime.fromisoformat(str(row["at"])),
        fault=str(row["fault"]),
    )
