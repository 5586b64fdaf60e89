"""The rows of would-be rollbacks, within somebody else's transaction."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import RowMapping, text

from exporter.journal import Kind, append
from exporter.remediation.codec import Case
from exporter.remediation.hindsight import Judged, Judgement, Score, Trial, TrialVerdict
from exporter.remediation.measure import beside
from exporter.remediation.model import Forecast
from exporter.transaction import Transaction

_LATEST = 5


async def put(connection: Transaction, case: Case, number: int) -> None:
    """Keep that a rollback was said in place of being done; the same one is kept once."""
    identity = case.decision.identity
    if identity is None:
        return
    known = await connection.scalar(
        text("SELECT count(*) FROM remediation_trial WHERE identity = :identity"),
        {"identity": identity.key},
    )
    if known:
        return
    await connection.execute(
        text(
            "INSERT INTO remediation_trial (identity, gateway, decision_number, decided_at,"
            " verdict, detail, judged_at)"
            " VALUES (:identity, :gateway, :number, :at, NULL, '', NULL)"
        ),
        {
            "identity": identity.key, "gateway": identity.gateway, "number": number,
            "at": case.now.isoformat(),
        },
    )  # fmt: skip


async def pending(connection: Transaction) -> list[Trial]:
    """Return those that are not judged yet, the oldest first."""
    rows = await connection.execute(
        text("SELECT * FROM remediation_trial WHERE verdict IS NULL ORDER BY decision_number")
    )
    return [_trial(row) for row in rows.mappings()]


async def judge(
    connection: Transaction,
    trial: Trial,
    judgement: Judgement,
    forecast: Forecast | None,
    at: datetime,
) -> None:
    """Keep what became of one, also in the journal."""
    body: dict[str, object] = {
        "identity": trial.identity,
        "decision": trial.decision_number,
        "verdict": judgement.verdict,
        "ended_by_itself": judgement.ended_by_itself,
        "forecast_held": judgement.forecast_held,
        "detail": judgement.detail,
    }
    if forecast is not None and judgement.measured is not None:
        body |= beside(forecast, judgement.measured)
    await append(connection, Kind.JUDGEMENT, body, at=at, gateway=trial.gateway)
    await connection.execute(
        text(
            "UPDATE remediation_trial SET verdict = :verdict, detail = :detail, judged_at = :at"
            " WHERE identity = :identity"
        ),
        {
            "verdict": judgement.verdict.value, "detail": judgement.detail,
            "at": at.isoformat(), "identity": trial.identity,
        },
    )  # fmt: skip


async def score(connection: Transaction) -> Score:
    """Return how all of them turned out."""
    rows = await connection.execute(
        text("SELECT verdict, count(*) AS count FROM remediation_trial GROUP BY verdict")
    )
    found = {row["verdict"]: int(row["count"]) for row in rows.mappings()}
    counts: Mapping[TrialVerdict, int] = {
        verdict: found.get(verdict.value, 0) for verdict in TrialVerdict
    }
    return Score(
        counts=counts, pending_count=found.get(None, 0), latest=tuple(await _latest(connection))
    )


async def _latest(connection: Transaction) -> list[Judged]:
    rows = await connection.execute(
        text(
            "SELECT * FROM remediation_trial WHERE verdict IS NOT NULL"
            " ORDER BY judged_at DESC, decision_number DESC LIMIT :limit"
        ),
        {"limit": _LATEST},
    )
    return [
        Judged(
            trial=_trial(row),
            verdict=TrialVerdict(row["verdict"]),
            detail=str(row["detail"]),
            judged_at=datetime.fromisoformat(str(row["judged_at"])),
        )
        for row in rows.mappings()
    ]


def _trial(row: RowMapping) -> Trial:
    return Trial(
        identity=str(row["identity"]),
        gateway=str(row["gateway"]),
        decision_number=int(row["decision_number"]),
        decided_at=datetime.fromisoformat(str(row["decided_at"])),
    )
