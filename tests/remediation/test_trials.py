"""Would-be rollbacks are kept, judged afterwards and counted: a real store, a scripted fleet."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from exporter.errors import StoreError
from exporter.journal import Kind, entries, faults_in
from exporter.modes import Mode
from exporter.remediation.codec import decided
from exporter.remediation.decide import Question
from exporter.remediation.hindsight import TrialVerdict
from exporter.remediation.model import AlertState, Asker, Evidence, Refusal
from exporter.remediation.options import Options
from exporter.remediation.records import Records
from exporter.remediation.stats import RemediationStats
from exporter.remediation.trials import Trials
from exporter.store import Store
from tests.remediation.cases import ACT, ALL_OUT, INCIDENT, NOW
from tests.remediation.scripted import HastyClock, ScriptedApi, ScriptedHands

DEVICES = tuple(f"dev-{n:02}" for n in range(1, 19))
HOUR = timedelta(hours=1)


class Stand:
    def __init__(self, path: Path) -> None:
        self.store = Store(f"sqlite:///{path}")
        self.clock = HastyClock(NOW)
        self.hands = ScriptedHands(ScriptedApi(), self.clock, evidence=ALL_OUT)
        self.records = Records(self.store)
        self.stats = RemediationStats(Options, self.clock)
        self.trials = Trials(
            self.hands, self.records, self.clock, self.stats, evidence=self._evidence
        )

    async def _evidence(self, gateway: str) -> Evidence:
        return await self.hands.gather(gateway, AlertState.NONE)

    async def say(
        self,
        evidence: Evidence = ALL_OUT,
        options: Options = Options(),  # noqa: B008 - frozen
        question: Question = Question(),  # noqa: B008 - frozen
    ) -> int:
        case = decided(evidence, options, now=NOW, question=question)
        return (await self.records.note_decision(case)).number

    def counted(self) -> dict[str, int]:
        lines = self.stats.lines_of("fleet_tls_remediation_would_be_actions")
        return {
            line.decode().split('"')[1]: int(line.split()[-1])
            for line in lines
            if int(line.split()[-1])
        }


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    made = Stand(tmp_path / "state.db")
    await made.store.open()
    yield made
    await made.store.close()


async def test_what_was_said_is_judged_when_its_time_is_over(stand: Stand) -> None:
    number = await stand.say()
    await stand.trials.look()
    assert stand.counted() == {"pending": 1}

    stand.clock.jump_wall(HOUR)
    await stand.trials.look()

    assert stand.counted() == {"right": 1}
    score = await stand.records.score()
    (latest,) = score.latest
    assert (latest.trial.decision_number, latest.verdict) == (number, TrialVerdict.RIGHT)
    async with stand.store.reading() as connection:
        journal = await entries(connection)
    facts = journal[-1].facts()
    assert journal[-1].kind is Kind.JUDGEMENT
    assert (facts["decision"], facts["verdict"]) == (number, "right")
    assert (facts["ended_by_itself"], facts["forecast_held"]) == ("no", "yes")
    assert {"forecast", "measured", "surprises"} <= facts.keys()
    assert list(faults_in(journal)) == []


async def test_what_ended_by_itself_is_judged_at_once_and_once(stand: Stand) -> None:
    await stand.say()
    stand.hands.back = lambda _: DEVICES

    await stand.trials.look()
    await stand.trials.look()

    assert stand.counted() == {"needless": 1}
    async with stand.store.reading() as connection:
        assert len(await entries(connection, kinds=[Kind.JUDGEMENT])) == 1


async def test_the_same_action_is_said_once_however_often_it_is_decided(stand: Stand) -> None:
    first = await stand.say()
    await stand.say(INCIDENT)

    (trial,) = await stand.records.pending_trials()

    assert trial.decision_number == first


@pytest.mark.parametrize(
    ("evidence", "options", "question"),
    [
        pytest.param(ALL_OUT, Options(), Question(asker=Asker.PERSON), id="a person's dry run"),
        pytest.param(replace(ALL_OUT, is_killed=True), Options(), Question(), id="refused"),
        pytest.param(ALL_OUT, Options(mode=Mode.DISABLED), Question(), id="switched off"),
        pytest.param(
            ALL_OUT, ACT.model_copy(update={"approval_from_devices": 1}), Question(), id="waits"
        ),
    ],
)
async def test_only_what_automation_would_have_done_is_judged(
    stand: Stand, evidence: Evidence, options: Options, question: Question
) -> None:
    await stand.say(evidence, options, question)

    assert await stand.records.pending_trials() == []


async def test_it_is_found_by_any_decision_to_the_same_action(stand: Stand) -> None:
    await stand.say()
    number = await stand.say(INCIDENT)
    case = await stand.records.case(number)
    assert case is not None
    assert case.decision.identity is not None
    assert await stand.records.judgement_of(case.decision.identity) is None
    stand.clock.jump_wall(HOUR)
    await stand.trials.look()

    found = await stand.records.judgement_of(case.decision.identity)

    assert found is not None
    assert found.facts()["decision"] == 1


async def test_a_decision_that_cannot_be_read_any_more_is_unclear(stand: Stand) -> None:
    await stand.say()
    async with stand.store.writing() as connection:
        await connection.execute(text("UPDATE journal SET body = '{\"case\": {}}'"))

    await stand.trials.look()

    assert stand.counted() == {"unclear": 1}


async def test_without_the_store_it_waits(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        raise StoreError("the disk is full", retryable=True)

    await stand.say()
    stand.clock.jump_wall(HOUR)
    with monkeypatch.context() as patched:
        patched.setattr(stand.records, "pending_trials", fail)
        await stand.trials.look()
    assert stand.counted() == {}

    await stand.trials.look()

    assert stand.counted() == {"right": 1}


async def test_what_was_refused_has_no_identity_to_be_found_by(stand: Stand) -> None:
    number = await stand.say(replace(ALL_OUT, versions=None))
    case = await stand.records.case(number)

    assert case is not None
    assert Refusal.EVIDENCE_UNKNOWN in case.decision.refusals
    assert case.decision.identity is None
