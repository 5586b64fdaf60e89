"""Plans, who goes dark, and the forecast: of what the fleet is now, and of nothing else."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exporter.anchors import trust_store
from exporter.certificates import Certificate
from exporter.fleet.model import FleetSnapshot, TargetState
from exporter.observations import Observation
from exporter.rotation.forecast import forecast_of
from exporter.rotation.kin import leads_to_any
from exporter.rotation.model import Plan
from exporter.rotation.options import Options
from exporter.rotation.planning import PlanError, Wish, planned_rotation
from exporter.rotation.story import steps_of
from exporter.rotation.what_if import Fate, Fated, Question, authority_named, fates
from exporter.targets.model import Role, Target
from exporter.verdicts.cache import Judge
from exporter.verdicts.model import Verdict
from tests.pki import Issued, certificate_of, make_ca, make_leaf, utc
from tests.rotation.cases import APPROVED, FACTS, PLAN, RENEWAL, with_device
from tests.rotation.cases import NOW as THEN
from tests.rotation.cases import view as viewed

NOW = utc("2026-11-25T12:00:00")
DAY = timedelta(days=1)
_LIFE: Any = {"not_before": NOW - 30 * DAY, "not_after": NOW + 300 * DAY}
OLD, NEW, THIRD = (make_ca(f"{name} CA", **_LIFE) for name in ("old", "new", "third"))
OLD_CA, NEW_CA, THIRD_CA = (certificate_of(one) for one in (OLD, NEW, THIRD))


def gateway(name: str, issuer: Issued = OLD, *, group: str = "", is_seen: bool = True,
            ends_in: timedelta = 300 * DAY) -> TargetState:  # fmt: skip
    leaf = certificate_of(
        make_leaf(issuer, name, not_before=NOW - 30 * DAY, not_after=NOW + ends_in)
    )
    target = Target(
        name=name, role=Role.GATEWAY, host=name, port=1, server_name=name, rollout_group=group
    )
    if not is_seen:
        return TargetState(target=target)
    seen = Observation(target=name, address=f"{name}:1", observed_at=NOW, chain=(leaf,))
    return TargetState(target=target, observation=seen, chain=(leaf,), chain_observed_at=NOW)


def device(name: str, behind: str, *, group: str = "production", holds: str = "fw") -> TargetState:
    return TargetState(
        target=Target(
            name=name, role=Role.DEVICE, gateway=behind, rollout_group=group,
            holds=(holds,) if holds else (),
        )
    )  # fmt: skip


def fleet(*states: TargetState, **changes: Any) -> FleetSnapshot:
    made = FleetSnapshot(
        at=NOW,
        targets={one.target.name: one for one in states},
        stores={"fw": trust_store("fw", [OLD_CA]), "both": trust_store("both", [OLD_CA, NEW_CA])},
    )
    return replace(made, **changes)


def plan(wish: Wish, snapshot: FleetSnapshot) -> Plan:
    return planned_rotation(wish, snapshot, Judge(), options=Options(), at=NOW).plan


CHANGE = Wish(new_ca=NEW_CA)
TWO = fleet(gateway("gw-1"), gateway("gw-2"), *(device(f"d{n}", "gw-1") for n in range(3)),
            device("e", "gw-2"))  # fmt: skip


def test_all_gateways_that_serve_the_old_cas_chain_are_planned() -> None:
    snapshot = fleet(*TWO.targets.values(), gateway("gw-3", THIRD))

    made = planned_rotation(CHANGE, snapshot, Judge(), options=Options(), at=NOW)

    assert {one.name for one in made.plan.gateways} == {"gw-1", "gw-2"}
    assert (made.plan.old_ca, made.plan.new_ca) == (
        OLD_CA.fingerprint_sha256, NEW_CA.fingerprint_sha256,
    )  # fmt: skip
    assert made.old_pem.strip() == OLD.pem.decode().strip()


@pytest.mark.parametrize(
    ("snapshot", "canaries"),
    [
        (TWO, ["gw-2"]),
        (fleet(*TWO.targets.values(), gateway("gw-3", group="canary")), ["gw-3"]),
        (fleet(*TWO.targets.values(), gateway("gw-3"), device("c", "gw-3", group="canary")),
         ["gw-3"]),
        (fleet(*TWO.targets.values(), gateway("gw-3")), ["gw-2"]),
    ],
    ids=["fewest devices", "its group", "its devices", "one without devices proves nothing"],
)  # fmt: skip
def test_who_goes_first_is_a_canary_or_harms_the_fewest(
    snapshot: FleetSnapshot, canaries: list[str]
) -> None:
    made = plan(CHANGE, snapshot)

    assert [one.name for one in made.gateways if one.is_canary] == canaries
    assert [one.name for one in made.gateways][: len(canaries)] == canaries


def test_a_plan_without_a_new_ca_is_a_renewal_with_a_name_of_its_own() -> None:
    made = plan(Wish(gateways=("gw-1",)), TWO)

    assert made.is_renewal
    assert made.id == "renewal-gw-1-20261125T120000"
    assert [one.name for one in made.gateways] == ["gw-1"]
    assert plan(CHANGE, TWO).id.startswith(f"rotation-{NEW_CA.fingerprint_sha256[:8]}-")


@pytest.mark.parametrize(
    ("wish", "snapshot", "said"),
    [
        (CHANGE, fleet(), "there is no gateway"),
        (replace(CHANGE, gateways=("gw-9",)), TWO, "gw-9: no such gateway"),
        (CHANGE, fleet(gateway("gw-1"), gateway("gw-2", is_seen=False)), "what gw-2 serves is"),
        (CHANGE, fleet(gateway("gw-1"), stores={}), "give it with --old-ca"),
        (
            CHANGE,
            fleet(gateway("gw-1"), gateway("gw-2", NEW)),
            "lead to several CAs",
        ),
        (replace(CHANGE, old_ca=THIRD_CA), TWO, "there is nothing to rotate"),
        (
            replace(CHANGE, old_ca=OLD_CA, gateways=("gw-1", "gw-2")),
            fleet(gateway("gw-1"), gateway("gw-2", THIRD)),
            "gw-2: no chain of CN=old CA is served there",
        ),
    ],
)
def test_what_cannot_be_planned_is_refused_with_a_sentence(
    wish: Wish, snapshot: FleetSnapshot, said: str
) -> None:
    with pytest.raises(PlanError, match=said):
        plan(wish, snapshot)


def test_a_ca_that_only_devices_reported_is_known_too() -> None:
    snapshot = fleet(
        gateway("gw-1"), device("d", "gw-1"), stores={},
        reported={"d": frozenset({OLD_CA.fingerprint_sha256})},
        certificates={OLD_CA.fingerprint_sha256: OLD_CA, NEW_CA.fingerprint_sha256: NEW_CA},
    )  # fmt: skip

    assert plan(CHANGE, snapshot).old_ca == OLD_CA.fingerprint_sha256


def test_a_chain_leads_to_a_ca_that_is_being_removed() -> None:
    chain = (certificate_of(make_leaf(OLD, "gw", **_LIFE)),)

    assert leads_to_any(chain, [THIRD.pem.decode(), OLD.pem.decode()], at=NOW)
    assert not leads_to_any(chain, [THIRD.pem.decode()], at=NOW)


# Who goes dark


def fate(snapshot: FleetSnapshot, question: Question) -> dict[str, Fate]:
    found: tuple[Fated, ...] = fates(question, snapshot, Judge(), now=NOW)
    return {one.device: one.fate for one in found}


SOME = fleet(
    gateway("gw-1"), gateway("gw-2", is_seen=False), device("trusts", "gw-1"),
    device("both", "gw-1", holds="both"), device("nobody-says", "gw-1", holds=""),
    device("unseen", "gw-2"), device("stranger", "gw-9"),
    device("new-only", "gw-1", holds="new"),
    stores={"fw": trust_store("fw", [OLD_CA]), "both": trust_store("both", [OLD_CA, NEW_CA]),
            "new": trust_store("new", [NEW_CA])},
)  # fmt: skip


def test_without_the_old_ca_everybody_who_is_served_by_it_goes_dark() -> None:
    assert fate(SOME, Question(at=NOW, removed=OLD_CA)) == {
        "trusts": Fate.DARK,
        "both": Fate.DARK,
        "nobody-says": Fate.UNKNOWN,
        "unseen": Fate.UNKNOWN,
        "stranger": Fate.UNKNOWN,
        "new-only": Fate.ALREADY,
    }


def test_without_another_ca_nobody_does_but_who_shows_certificates_is_unknown() -> None:
    found = fate(SOME, Question(at=NOW, removed=NEW_CA, clients={"trusts"}))

    assert (found["both"], found["trusts"]) == (Fate.STAYS, Fate.UNKNOWN)


def test_when_the_certificate_ends_everybody_goes_dark() -> None:
    assert fate(SOME, Question(at=NOW + 299 * DAY))["trusts"] is Fate.STAYS
    assert fate(SOME, Question(at=NOW + 301 * DAY))["trusts"] is Fate.DARK


def test_a_gateway_is_judged_once_for_all_who_trust_the_same() -> None:
    class Counting(Judge):
        asked = 0

        def judge(self, *args: Any, **words: Any) -> Verdict:
            self.asked += 1
            return super().judge(*args, **words)

    snapshot = fleet(gateway("gw-1"), *(device(f"dev-{n}", "gw-1") for n in range(3)))
    judge = Counting()

    found = fates(Question(at=NOW, removed=OLD_CA), snapshot, judge, now=NOW)

    assert [(one.device, one.fate) for one in found] == [(f"dev-{n}", Fate.DARK) for n in range(3)]
    assert judge.asked == 2  # as it is, and without the CA


def test_of_who_trusts_cas_by_hash_only_nothing_is_said() -> None:
    anchors = frozenset({NEW_CA.fingerprint_sha256, "f" * 64})
    snapshot = replace(SOME, reported={"trusts": anchors})

    assert fate(snapshot, Question(at=NOW))["trusts"] is Fate.UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("old CA", id="name"),
        pytest.param("CN=old CA", id="subject"),
        pytest.param(OLD_CA.fingerprint_sha256, id="hash"),
        pytest.param(OLD_CA.fingerprint_sha256[:8].upper(), id="beginning"),
    ],
)
def test_a_ca_is_named_by_its_hash_or_its_name(text: str) -> None:
    found: Certificate = authority_named(text, SOME)

    assert found == OLD_CA


@pytest.mark.parametrize(
    "text", ["nobody", pytest.param(OLD_CA.fingerprint_sha256[:4], id="too short"), ""]
)
def test_a_ca_that_nobody_trusts_is_no_answer(text: str) -> None:
    with pytest.raises(PlanError, match="is no CA that anybody is known to trust; there are: "):
        authority_named(text, SOME)


def test_a_name_that_two_cas_bear_is_no_answer() -> None:
    twin = certificate_of(make_ca("old CA", **_LIFE))
    snapshot = fleet(stores={"fw": trust_store("fw", [OLD_CA, twin])})

    with pytest.raises(PlanError, match="is not one CA"):
        authority_named("old CA", snapshot)


# Forecast and story


def test_at_the_pace_so_far_the_last_device_is_ready_when_it_can_be_told() -> None:
    begun = replace(APPROVED, begun_at=THEN - DAY)
    facts = with_device(with_device(FACTS, "dev-1", trusts_new=False), "dev-2", trusts_new=False)

    found = forecast_of(viewed(facts, begun))

    assert found.last_synced_at == THEN + DAY
    assert found.expires_at == THEN + 300 * DAY
    assert "at the current pace the last device is synced on 2026-11-26" in found.sentence
    assert "the certificate expires on 2027-09-21" in found.sentence


def test_a_pace_that_is_too_slow_is_said_aloud() -> None:
    begun = replace(APPROVED, begun_at=THEN - 400 * DAY)

    found = forecast_of(viewed(with_device(FACTS, "dev-1", trusts_new=False), begun))

    assert found.last_synced_at is not None
    assert forecast_of(viewed(FACTS, begun)).sentence.startswith("all 4 devices trust")
    slow = FACTS
    for name in ("dev-1", "dev-2", "dev-3"):
        slow = with_device(slow, name, trusts_new=False)
    assert forecast_of(viewed(slow, begun)).sentence.endswith("TOO LATE")


def test_without_a_pace_nothing_is_foretold() -> None:
    facts = FACTS
    for name in FACTS.devices:
        facts = with_device(facts, name, trusts_new=False)
    ends = {name: replace(one, before_not_after=None) for name, one in facts.gateways.items()}
    unknown = replace(facts, gateways=ends)

    found = forecast_of(viewed(unknown, APPROVED))

    assert (found.last_synced_at, found.expires_at) == (None, None)
    assert "nobody can say yet" in found.sentence
    assert "when the certificate expires is not known" in found.sentence


def test_a_renewal_is_foretold_by_its_end_alone() -> None:
    found = forecast_of(viewed(FACTS, plan=RENEWAL))

    assert found.last_synced_at is None
    assert found.sentence == "the certificate expires on 2027-09-21 12:00"


def test_the_steps_of_a_plan_are_told_in_order() -> None:
    steps = list(steps_of(viewed(FACTS, plan=PLAN)))
    renewal = list(steps_of(viewed(FACTS, plan=replace(RENEWAL, gateways=PLAN.gateways[:1]))))

    words = [one.partition(":")[0] for one in steps]
    assert words == ["order", "add", "validate", "canary", "rotate", "overlap", "remove"]
    assert [one.partition(":")[0] for one in renewal] == [
        "order",
        "validate",
        "rehearse",
        "canary",
    ]
