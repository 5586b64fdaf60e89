"""A fleet behind scripted management APIs, with real certificates and time under control."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from exporter.certificates import read_pem
from exporter.gateway.api import Fence, GatewayError, GatewayReason, ManagementApi
from exporter.gateway.messages import (
    CertificateVersion,
    ConfirmRequest,
    Csr,
    CsrRequest,
    DeviceUpdateStatus,
    GatewayCertificates,
    Operation,
    OperationStatus,
    Rehearsal,
    RehearseRequest,
    RollbackRequest,
    RotateRequest,
    Serving,
    TrustStoreOperation,
    TrustStoreUpdate,
    TrustStoreUpdateRequest,
    ValidateRequest,
    Validation,
    VersionState,
)
from exporter.observations import Reason
from exporter.rotation.model import DeviceFacts, Facts, GatewayFacts, Plan, PlannedGateway
from exporter.rotation.records import Rotation
from exporter.rotation.signing import NotYetError
from tests.fake_clock import FakeClock
from tests.pki import Issued, certificate_of, make_ca, make_leaf, utc

START = utc("2026-11-25T12:00:00")
HOUR = timedelta(hours=1)
_SPAN = (utc("2026-01-01"), utc("2036-01-01"))
OLD = make_ca("old CA", not_before=_SPAN[0], not_after=_SPAN[1])
NEW = make_ca("new CA", not_before=_SPAN[0], not_after=_SPAN[1])
OLD_CA, NEW_CA = (certificate_of(one).fingerprint_sha256 for one in (OLD, NEW))
OLD_PEM, NEW_PEM = OLD.pem.decode(), NEW.pem.decode()


class Killed(BaseException):
    """The process is gone at this line."""


@dataclass
class Device:
    """One device: what it really trusts, and whether it is there.

    Attributes:
        asleep_until: Until then it neither comes, nor reports, nor fetches what is to be changed.
        failure: What it says of each update, none of which it carries out.
    """

    name: str
    gateway: str
    group: str
    store: set[str] = field(default_factory=lambda: {OLD_CA})
    is_dead: bool = False
    ignores_adds: bool = False
    never_reports: bool = False
    by_ticket_only: bool = False
    full_at: datetime | None = None
    failing: Reason | None = None
    device_class: str = "sensor"
    heard_at: datetime = START
    asleep_until: datetime = START
    waiting: list[tuple[TrustStoreOperation, str]] = field(default_factory=list)
    failure: str = ""
    ignores_removals: bool = False

    def update(self, operation: TrustStoreOperation, anchor: str) -> None:
        if self.failure:
            return
        if operation is TrustStoreOperation.ADD and not self.ignores_adds:
            self.store.add(anchor)
        if operation is TrustStoreOperation.REMOVE and not self.ignores_removals:
            self.store.discard(anchor)

    @property
    def word(self) -> DeviceUpdateStatus:
        if self.waiting:
            return DeviceUpdateStatus.PENDING
        return DeviceUpdateStatus.FAILED if self.failure else DeviceUpdateStatus.COMPLETE


@dataclass
class Gateway:
    """One gateway: what it serves, and by which CA that is."""

    name: str
    before: str
    candidate: Issued
    serving: str = ""
    activated_at: datetime = START
    pending: str | None = None
    confirm_by: datetime | None = None
    last_number: int = 0
    sent: list[str] = field(default_factory=list)

    @property
    def candidate_leaf(self) -> str:
        return certificate_of(self.candidate).fingerprint_sha256


class ScriptedFleet:
    """The hands of a rotation: APIs, looks and a signer.

    ``fault`` is asked before and after each change; it may raise what it likes.
    """

    def __init__(self, clock: FakeClock, *, gateways: int = 3, each: int = 2) -> None:
        self.clock = clock
        self.gateways: dict[str, Gateway] = {}
        self.devices: dict[str, Device] = {}
        self.fault: Callable[[str], None] = lambda _: None
        self.is_unsigned = False
        self.absence_s = 0.0
        self.objecting: tuple[str, ...] = ()
        """Devices for which the agent refuses a rotation, unless it is not to ask."""
        self.dark: set[str] = set()
        """Devices that were ever behind a gateway that served what they do not trust."""
        for number in range(1, gateways + 1):
            name = f"gw-{number:02}"
            leaf = make_leaf(NEW, name, not_before=_SPAN[0], not_after=_SPAN[1])
            before = f"{number:064x}"
            self.gateways[name] = Gateway(name, before, leaf, serving=before)
            for place in range(each):
                device = f"{name}-dev-{place}"
                group = "canary" if number == 1 else "production"
                self.devices[device] = Device(device, name, group)

    @property
    def rotation(self) -> Rotation:
        plan = Plan(
            id="r-1",
            old_ca=OLD_CA,
            new_ca=NEW_CA,
            gateways=tuple(
                PlannedGateway(name=one.name, before=one.before, is_canary=one.name == "gw-01")
                for one in self.gateways.values()
            ),
            overlap_s=7 * 86_400.0,
        )
        return Rotation(plan=plan, old_pem=OLD_PEM, new_pem=NEW_PEM, started_at=self.clock.now())

    # Time

    async def pass_time(self, by: timedelta) -> None:
        await self.clock.advance(by.total_seconds(), yields=1)
        for gateway in self.gateways.values():
            if gateway.confirm_by is not None and self.clock.now() >= gateway.confirm_by:
                self.serve(gateway.name, gateway.before)  # the dead-man
        for device in self.devices.values():
            self.connect(device)

    def serve(self, name: str, leaf: str) -> None:
        gateway = self.gateways[name]
        gateway.serving, gateway.activated_at = leaf, self.clock.now()
        gateway.pending = gateway.confirm_by = None
        for device in self.devices.values():
            if device.gateway == name:
                device.full_at = device.failing = None
                if not self.trusts(device):
                    self.dark.add(device.name)

    def trusts(self, device: Device) -> bool:
        gateway = self.gateways[device.gateway]
        return (OLD_CA if gateway.serving == gateway.before else NEW_CA) in device.store

    def connect(self, device: Device) -> None:
        if device.is_dead or self.clock.now() < device.asleep_until:
            return
        while device.waiting:
            device.update(*device.waiting.pop())
        if not self.trusts(device):
            device.failing = Reason.UNKNOWN_CA
        elif not device.by_ticket_only and device.failing is None:
            device.full_at = self.clock.now()

    # Hands

    def api(self, gateway: str) -> ManagementApi | None:
        return cast(ManagementApi, ScriptedApi(self, self.gateways[gateway]))

    async def sign(self, gateway: str, request: str) -> str:
        self.fault("sign")
        if self.is_unsigned:
            raise NotYetError(f"{gateway} waits to be signed")
        return self.gateways[gateway].candidate.pem.decode()

    async def meets(self, gateway: str, address: str, leaf: str) -> bool:
        return leaf == self.gateways[gateway].candidate_leaf

    async def facts(self, rotation: Rotation) -> Facts:
        now = self.clock.now()
        silent = (
            (self._absence_s(one), name)
            for name, one in self.devices.items()
            if name not in rotation.marks.excluded
        )
        absence = max(silent, default=(0.0, ""))
        return Facts(
            gathered_at=now,
            gateways={
                name: GatewayFacts(
                    name=name,
                    served=one.serving,
                    observed_at=now,
                    needs_old=one.serving == one.before,
                    activated_at=one.activated_at,
                    is_ready=True,
                    before_not_after=now + timedelta(days=300),
                    candidate_faults=() if _is_signed(rotation, name) else None,
                    pending=one.pending,
                )
                for name, one in self.gateways.items()
            },
            devices={name: self._device(one, now) for name, one in self.devices.items()},
            longest_absence_s=max(absence[0], self.absence_s),
            longest_absent=absence[1],
        )

    def _absence_s(self, device: Device) -> float:
        return (self.clock.now() - self._heard_at(device)).total_seconds()

    def _heard_at(self, device: Device) -> datetime:
        now = self.clock.now()
        return device.heard_at if now < device.asleep_until else now

    def _device(self, device: Device, now: datetime) -> DeviceFacts:
        gateway = self.gateways[device.gateway]
        heard_at = self._heard_at(device)
        is_new = gateway.serving == gateway.candidate_leaf
        silent = device.never_reports
        return DeviceFacts(
            name=device.name,
            gateway=device.gateway,
            device_class=device.device_class,
            group=device.group,
            contact_interval_s=3_600.0,
            last_seen_at=heard_at,
            reported_at=None if silent else heard_at,
            fresh_until=None if silent else heard_at + 3 * HOUR,
            trusts_new=None if silent else NEW_CA in device.store,
            trusts_old=None if silent else OLD_CA in device.store,
            word=device.word,
            error=device.failure,
            accepts_candidate=NEW_CA in device.store,
            full_at=device.full_at if is_new else None,
            is_by_ticket=device.by_ticket_only,
            failing=device.failing if is_new else None,
        )


def _is_signed(rotation: Rotation, gateway: str) -> bool:
    order = rotation.orders.get(gateway)
    return order is not None and bool(order.chain)


class ScriptedApi:
    """What one gateway's management API does; holds its callers to their fences."""

    name = "site"
    clock_offset_s: float | None = 0.0

    def __init__(self, fleet: ScriptedFleet, gateway: Gateway) -> None:
        self._fleet = fleet
        self._gateway = gateway

    def _take(self, what: str, fence: Fence) -> None:
        self._fleet.fault(f"before {what}")
        number = fence.operation_number
        assert number is not None
        if number <= self._gateway.last_number:
            raise GatewayError(GatewayReason.CONFLICT, "a lower number", retryable=False)
        if fence.serving is not None and fence.serving != self._gateway.serving:
            raise GatewayError(
                GatewayReason.PRECONDITION_FAILED, "serves another", retryable=False
            )
        assert fence.idempotency_key not in self._gateway.sent, "sent twice"
        self._gateway.sent.append(fence.idempotency_key)
        self._gateway.last_number = number

    async def certificates(self) -> GatewayCertificates:
        gateway = self._gateway
        return GatewayCertificates(
            serving=Serving(fingerprint=gateway.serving),
            last_operation_number=gateway.last_number,
            pending_confirmation=gateway.pending,
            versions=(
                CertificateVersion(
                    version=3,
                    state=VersionState.PREVIOUS,
                    fingerprint=gateway.before,
                    not_before=START,
                    not_after=START + timedelta(days=300),
                ),
            ),
        )

    async def csr(self, request: CsrRequest, fence: Fence) -> Csr:
        self._take("csr", fence)
        return Csr(csr="a request")

    async def rehearse(self, request: RehearseRequest, fence: Fence) -> Rehearsal:
        self._take("rehearse", fence)
        return Rehearsal(
            address="127.0.0.1:1", fingerprint=self._gateway.candidate_leaf, until=START
        )

    async def rotate(self, request: RotateRequest, fence: Fence) -> Operation:
        self._take("rotate", fence)
        if request.validation_mode == "strict" and self._fleet.objecting:
            raise GatewayError(
                GatewayReason.REFUSED, "refused", retryable=False, devices=self._fleet.objecting
            )
        assert request.validation_mode == "strict" or self._fleet.objecting
        assert request.confirm_within is not None
        leaf = read_pem(request.new_certificate.encode(), what="chain")[0].fingerprint_sha256
        self._fleet.serve(self._gateway.name, leaf)
        self._gateway.pending = fence.idempotency_key
        self._gateway.confirm_by = self._fleet.clock.now() + timedelta(
            seconds=request.confirm_within
        )
        self._fleet.fault("after rotate")
        return self._done(fence)

    async def confirm(self, request: ConfirmRequest, fence: Fence) -> Operation:
        self._take("confirm", fence)
        assert request.operation_id == self._gateway.pending
        self._gateway.pending = self._gateway.confirm_by = None
        self._fleet.fault("after confirm")
        return self._done(fence)

    async def rollback(self, request: RollbackRequest, fence: Fence) -> Operation:
        self._take("rollback", fence)
        assert request.target_version == 3
        self._fleet.serve(self._gateway.name, self._gateway.before)
        self._fleet.fault("after rollback")
        return self._done(fence)

    def _done(self, fence: Fence) -> Operation:
        return Operation(
            operation_id=fence.idempotency_key, to_version=4, status=OperationStatus.SUCCESS
        )

    async def validate(self, request: ValidateRequest) -> Validation:
        self._fleet.fault("validate")
        return Validation(valid=NEW_CA in self._fleet.devices[request.device_id].store)

    async def update_trust_store(
        self, request: TrustStoreUpdateRequest, fence: Fence
    ) -> TrustStoreUpdate:
        self._take("update", fence)
        anchor = read_pem(request.certificate.encode(), what="CA")[0].fingerprint_sha256
        for name in request.device_ids or ():
            device = self._fleet.devices[name]
            if device.is_dead:
                continue
            if self._fleet.clock.now() < device.asleep_until:
                device.waiting.append((request.operation, anchor))
                continue
            device.update(request.operation, anchor)
            is_removal = request.operation is TrustStoreOperation.REMOVE
            if is_removal and not self._fleet.trusts(device):
                self._fleet.dark.add(name)
        self._fleet.fault("after update")
        return TrustStoreUpdate(operation_id="op", devices=request.device_ids or ())


def some_faults(seed: int, ratio: float) -> Callable[[str], None]:
    """Let that share of all calls fail, done or not."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def fault(what: str) -> None:
        if chance.random() < ratio:
            unknown = what.startswith("after")
            raise GatewayError(
                GatewayReason.FAILED, what, retryable=False, is_outcome_unknown=unknown
            )

    return fault


def killed_at(number: int) -> Callable[[str], None]:
    """Let the process be gone at the n-th moment at which something is asked or done."""
    left = [number]

    def fault(_what: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    return fault
