"""A fleet in the middle of a rotation, and a world that does what is asked of it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from exporter.gateway.messages import DeviceUpdateStatus
from exporter.modes import Mode
from exporter.rotation.model import (
    Consent,
    DeviceFacts,
    DeviceMark,
    Facts,
    GatewayFacts,
    GatewayMark,
    Marks,
    Plan,
    PlannedGateway,
    Step,
)
from exporter.rotation.options import Options
from exporter.rotation.reconcile import reconciled
from exporter.rotation.steps import Action
from exporter.rotation.view import View, view_of

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OLD_CA, NEW_CA = "0" * 64, "1" * 64
ACT = Options(mode=Mode.ACT)
GATEWAYS = ("gw-1", "gw-2", "gw-3")
DEVICES = ("dev-1", "dev-2", "dev-3", "dev-4")


def before(gateway: str) -> str:
    return gateway[-1] * 63 + "a"


def candidate(gateway: str) -> str:
    return gateway[-1] * 63 + "b"


PLAN = Plan(
    id="r-1",
    old_ca=OLD_CA,
    new_ca=NEW_CA,
    gateways=tuple(
        PlannedGateway(name=name, before=before(name), is_canary=name == "gw-1")
        for name in GATEWAYS
    ),
    overlap_s=7 * 86_400.0,
)
RENEWAL = replace(PLAN, new_ca=OLD_CA)


def gateway(name: str, **changes: object) -> GatewayFacts:
    """A gateway that serves what it did before, and whose candidate is good."""
    good = GatewayFacts(
        name=name,
        served=before(name),
        observed_at=NOW,
        needs_old=True,
        is_ready=True,
        before_not_after=NOW + 300 * DAY,
        candidate_faults=(),
    )
    return replace(good, **changes)  # type: ignore[arg-type] # names in tests


def device(name: str, **changes: object) -> DeviceFacts:
    """A device that trusts both CAs, by a fresh report."""
    good = DeviceFacts(
        name=name,
        gateway=GATEWAYS[(int(name[-1]) - 1) % 3],
        device_class="sensor",
        group="canary" if name == "dev-1" else "production",
        contact_interval_s=3_600.0,
        last_seen_at=NOW,
        reported_at=NOW,
        fresh_until=NOW + 400 * DAY,
        trusts_new=True,
        trusts_old=True,
        word=DeviceUpdateStatus.COMPLETE,
        accepts_candidate=True,
    )
    return replace(good, **changes)  # type: ignore[arg-type] # names in tests


FACTS = Facts(
    gathered_at=NOW,
    gateways={name: gateway(name) for name in GATEWAYS},
    devices={name: device(name) for name in DEVICES},
)
ORDERED = Marks(gateways={name: GatewayMark(candidate=candidate(name)) for name in GATEWAYS})
ASKED = {
    name: DeviceMark(
        added_at=NOW - HOUR,
        added_tries=1,
        validated=candidate(device(name).gateway),
        validated_at=NOW,
        is_valid=True,
    )
    for name in DEVICES
}
APPROVED = replace(
    ORDERED, consents={Consent.BEGIN: PLAN.consent_hash(Consent.BEGIN, {})}, begun_at=NOW
)
VALIDATED = replace(APPROVED, devices=ASKED)


def with_gateway(facts: Facts, name: str, **changes: object) -> Facts:
    changed = replace(facts.gateways[name], **changes)  # type: ignore[arg-type] # names in tests
    return replace(facts, gateways={**facts.gateways, name: changed})


def with_device(facts: Facts, name: str, **changes: object) -> Facts:
    changed = replace(facts.devices[name], **changes)  # type: ignore[arg-type] # names in tests
    return replace(facts, devices={**facts.devices, name: changed})


def mark_gateway(marks: Marks, name: str, **changes: object) -> Marks:
    changed = replace(marks.gateway(name), **changes)  # type: ignore[arg-type] # names in tests
    return replace(marks, gateways={**marks.gateways, name: changed})


def mark_device(marks: Marks, name: str, **changes: object) -> Marks:
    changed = replace(marks.device(name), **changes)  # type: ignore[arg-type] # names in tests
    return replace(marks, devices={**marks.devices, name: changed})


def rotated(
    facts: Facts, marks: Marks, names: Iterable[str], *, at: datetime = NOW - 3 * HOUR
) -> tuple[Facts, Marks]:
    """The same after these gateways were rotated, confirmed and met in full."""
    for name in names:
        facts = with_gateway(facts, name, served=candidate(name), needs_old=False)
        marks = mark_gateway(marks, name, rotated_at=at, is_confirmed=True)
        for one in facts.devices.values():
            if one.gateway == name:
                facts = with_device(facts, one.name, full_at=at + HOUR)
    return facts, marks


def view(
    facts: Facts = FACTS, marks: Marks = VALIDATED, plan: Plan = PLAN, options: Options = ACT,
    now: datetime = NOW,
) -> View:  # fmt: skip
    return view_of(plan, facts, marks, now=now, options=options)


class World:
    """Devices and gateways that do what they are asked, unless ``broken`` says otherwise.

    ``stores`` is what each device really trusts: who is behind a gateway that serves what its
    store does not hold is dark.
    """

    def __init__(self, plan: Plan = PLAN) -> None:
        self.plan = plan
        self.now = NOW
        self.facts, self.marks = FACTS, Marks()
        self.stores = {name: {OLD_CA} for name in DEVICES}
        self.dead: set[str] = set()
        """Devices that do nothing and say nothing."""
        for name in DEVICES:
            self.report(name, asked=False)

    # What happens by itself

    def report(self, name: str, *, asked: bool = True) -> None:
        if name in self.dead:
            return
        found = self.facts.devices[name]
        found_gateway = self.facts.gateways[found.gateway]
        is_new = found_gateway.served == self.marks.gateway(found.gateway).candidate
        is_lit = self.accepts(name)
        self.facts = with_device(
            self.facts, name,
            reported_at=self.now, last_seen_at=self.now, fresh_until=self.now + 3 * HOUR,
            trusts_new=self.plan.new_ca in self.stores[name],
            trusts_old=self.plan.old_ca in self.stores[name],
            word=DeviceUpdateStatus.COMPLETE if asked else None,
            accepts_candidate=self.plan.new_ca in self.stores[name],
            full_at=self.now if is_new and is_lit else None,
        )  # fmt: skip

    def accepts(self, name: str) -> bool:
        """Whether the device would shake hands with its gateway now."""
        behind = self.facts.devices[name].gateway
        served = self.facts.gateways[behind].served
        needed = self.plan.new_ca if served == candidate(behind) else self.plan.old_ca
        return needed in self.stores[name]

    def pass_time(self, by: timedelta) -> None:
        self.now += by
        for name in DEVICES:
            self.report(name)
        self.look()

    def look(self) -> None:
        looked = {
            name: replace(found, observed_at=self.now)
            for name, found in self.facts.gateways.items()
        }
        self.facts = replace(self.facts, gateways=looked, gathered_at=self.now)
        found = reconciled(self.plan, self.facts, self.marks, now=self.now, options=ACT)
        for told in found:
            gateways = {**self.marks.gateways, told.gateway: told.mark}
            self.marks = replace(self.marks, gateways=gateways)

    @property
    def view(self) -> View:
        return view(self.facts, self.marks, self.plan, now=self.now)

    def approve(self, consent: Consent) -> None:
        approved = self.plan.consent_hash(consent, self.marks.excluded)
        self.marks = replace(self.marks, consents={**self.marks.consents, consent: approved})

    # What is asked of it

    def do(self, action: Action) -> None:
        if self.marks.begun_at is None and action.step in {Step.ADD, Step.VALIDATE}:
            self.marks = replace(self.marks, begun_at=self.now)
        for name in action.gateways:
            self._at_gateway(name, action.step)
        for name in action.devices:
            self._at_device(name, action)
        if action.step is Step.FINISH:
            self.marks = replace(self.marks, ended=action.ends)
        self.look()

    def _at_gateway(self, name: str, step: Step) -> None:
        match step:
            case Step.ORDER:
                self._mark(name, candidate=candidate(name))
                self.facts = with_gateway(self.facts, name, candidate_faults=())
            case Step.REHEARSE:
                self._mark(name, rehearsed=candidate(name))
            case Step.ROTATE:
                self._mark(name, intended=Step.ROTATE)
                self.facts = with_gateway(
                    self.facts, name, served=candidate(name), needs_old=self.plan.is_renewal
                )
            case Step.CONFIRM:
                self._mark(name, is_confirmed=True)
            case Step.ROLL_BACK:
                self._mark(name, intended=Step.ROLL_BACK)
                self.facts = with_gateway(self.facts, name, served=before(name), needs_old=True)
                for one in self.facts.devices.values():
                    if one.gateway == name:
                        self.facts = with_device(
                            self.facts, one.name, full_at=None, failing=None, failing_at=None
                        )
            case _:
                raise AssertionError(step)

    def _mark(self, name: str, **changes: object) -> None:
        self.marks = mark_gateway(self.marks, name, **changes)

    def _at_device(self, name: str, action: Action) -> None:
        mark, is_dead = self.marks.device(name), name in self.dead
        match action.step:
            case Step.ADD | Step.RE_ADD:
                changes: dict[str, object] = {
                    "added_at": self.now, "added_tries": mark.added_tries + 1,
                }  # fmt: skip
                if not is_dead:
                    self.stores[name].add(str(action.anchor))
            case Step.REMOVE:
                changes = {"removed_at": self.now, "removed_tries": mark.removed_tries + 1}
                if not is_dead:
                    self.stores[name].discard(str(action.anchor))
                if action.anchor == self.plan.old_ca and self.marks.removing_at is None:
                    self.marks = replace(self.marks, removing_at=self.now)
            case Step.VALIDATE:
                changes = {
                    "validated": self.marks.gateway(self.facts.devices[name].gateway).candidate,
                    "validated_at": self.now,
                    "is_valid": self.plan.new_ca in self.stores[name],
                }
            case _:
                raise AssertionError(action.step)
        self.marks = mark_device(self.marks, name, **changes)
