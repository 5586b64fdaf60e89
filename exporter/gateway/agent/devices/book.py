"""Everything the agent knows of the devices, and what it has them do."""

import asyncio
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from exporter.certificates import Certificate, CertificateCache
from exporter.clock import Clock
from exporter.gateway.agent.answers import RefusedError, Reply, answered
from exporter.gateway.agent.devices import ledger
from exporter.gateway.agent.devices.acceptance import Acceptance, Jury
from exporter.gateway.agent.devices.inbox import (
    check_anchor,
    check_devices,
    one_certificate,
    reported_in,
)
from exporter.gateway.agent.devices.ledger import Report, Update
from exporter.gateway.agent.devices.status import StatusBook
from exporter.gateway.agent.once import Ticket
from exporter.gateway.agent.vetting import path_in
from exporter.gateway.messages import (
    DeviceUpdateStatus,
    ErrorCode,
    Recovery,
    RecoveryRequest,
    TrustStoreOperation,
    TrustStoreReportRequest,
    TrustStoreUpdate,
    TrustStoreUpdateRequest,
)
from exporter.store import Store
from exporter.transaction import Transaction
from exporter.verdicts.paths import comparable, has_bad_signature

TEST_DEVICE = "test_device"
"""Stands for every device that reported its store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the gateway serves; ``since`` None: nobody knows since when."""

    chain: Sequence[Certificate] = ()
    since: datetime | None = None


class Devices:
    """The devices behind the gateway.

    Args:
        fallback: Which devices there are, and whether each has a fallback channel.
        server_name: Under which devices know the gateway; None: names are not checked.

    Attributes:
        status: What the platform says of each device.
    """

    def __init__(
        self, store: Store, clock: Clock, fallback: Mapping[str, bool], server_name: str | None
    ) -> None:
        self._store = store
        self._clock = clock
        self._fallback = dict(sorted(fallback.items()))
        self.status = StatusBook(store, self._fallback)
        self._server_name = server_name
        self._certificates = CertificateCache(limit=2 * ledger.MAX_ANCHORS)
        self._jury = Jury()
        self._judging = asyncio.Lock()

    def check_known(self, *devices: str) -> None:
        """Return when all ``devices`` are known.

        Raises:
            RefusedError: one is not.
        """
        check_devices(devices, self._fallback)

    async def report(self, device: str, request: TrustStoreReportRequest) -> None:
        """Take what a device says it trusts.

        Raises:
            RefusedError: the device is not known, or says what cannot be.
        """
        self.check_known(device)
        said = await asyncio.to_thread(reported_in, request)
        report = Report(
            device=device,
            anchors=said.anchors,
            reported_at=said.reported_at,
            received_at=self._clock.now(),
        )
        async with self._store.writing() as connection:
            await ledger.learn(connection, said.certificates)
            await ledger.keep_report(connection, report)
            for update in await ledger.updates(connection, device):
                is_open = update.status is not DeviceUpdateStatus.COMPLETE
                if is_open and update.is_done_in(report.anchors):
                    await ledger.set_status(connection, update, DeviceUpdateStatus.COMPLETE, None)
            await ledger.touch(connection)

    async def update(self, request: TrustStoreUpdateRequest, ticket: Ticket) -> Reply:
        """Have devices add or remove an anchor.

        Raises:
            RefusedError: it is no anchor, or a device is not known.
        """
        anchor = one_certificate(request.certificate, "certificate")
        is_added = request.operation is TrustStoreOperation.ADD
        if is_added:
            check_anchor(anchor)
        devices = tuple(self._fallback) if request.device_ids is None else request.device_ids
        devices = tuple(dict.fromkeys(devices))
        self.check_known(*devices)
        operation_id = f"trust-{secrets.token_hex(8)}"
        reply = answered(TrustStoreUpdate(operation_id=operation_id, devices=devices))
        async with self._store.writing() as connection:
            await ticket.begin(connection)
            await ledger.learn(connection, [anchor])
            number = await ledger.next_number(connection)
            await ledger.ask(
                connection,
                [
                    Update(
                        number=number,
                        device=device,
                        operation_id=operation_id,
                        operation=request.operation,
                        fingerprint=anchor.fingerprint_sha256,
                        priority=request.priority if is_added else None,
                        asked_at=self._clock.now(),
                    )
                    for device in devices
                ],
            )
            await ledger.touch(connection)
            await ticket.keep(connection, reply)
        return reply

    async def recover(self, request: RecoveryRequest, ticket: Ticket, served: Served) -> Reply:
        """Let devices fetch over their fallback channel what they lack.

        That is what they were asked to do and have not done, and an anchor for ``served`` where
        they have not reported since it is served that they accept it.
        """
        asked = dict.fromkeys(request.device_ids)
        accepted = tuple(device for device in asked if self._fallback.get(device))
        rejected = tuple(device for device in asked if device not in accepted)
        operation_id = f"recovery-{secrets.token_hex(8)}"
        reply = answered(Recovery(operation_id=operation_id, accepted=accepted, rejected=rejected))
        accepting = await self._accepting(served)
        async with self._store.writing() as connection:
            await ticket.begin(connection)
            anchor = await self._anchor_for(connection, served.chain)
            if anchor is not None:
                await ledger.learn(connection, [anchor])
                lacking = [one for one in accepted if one not in accepting]
                await self._ask_to_add(connection, operation_id, anchor, lacking)
            for device in accepted:
                await ledger.open_fallback(connection, device)
            await ledger.touch(connection)
            await ticket.keep(connection, reply)
        return reply

    async def _accepting(self, served: Served) -> Collection[str]:
        """Return the devices that have said so since it is served.

        Who asks for a device's recovery has seen that it is out. What it reported before may be
        the very thing that is not so any more: a store that was lost says nothing.
        """
        async with self._store.reading() as connection:
            reports = await ledger.reports(connection)
        late = {
            name
            for name, report in reports.items()
            if served.since is None or report.received_at >= served.since
        }
        answers = await self.ask(served.chain)
        return {one.device for one in answers if one.accepts and one.device in late}

    async def _anchor_for(
        self, connection: Transaction, served: Sequence[Certificate]
    ) -> Certificate | None:
        if not served:
            return None
        top = path_in(served)[-1]
        for known in (await ledger.anchors(connection, self._certificates)).values():
            is_named = comparable(known.subject) == comparable(top.issuer)
            if is_named and known != top and not has_bad_signature(top, known):
                return known
        # An anchor may be an intermediate, too
        return top if top is not served[0] else None

    async def _ask_to_add(
        self,
        connection: Transaction,
        operation_id: str,
        anchor: Certificate,
        devices: Iterable[str],
    ) -> None:
        number = await ledger.next_number(connection)
        await ledger.ask(
            connection,
            [
                Update(
                    number=number,
                    device=device,
                    operation_id=operation_id,
                    operation=TrustStoreOperation.ADD,
                    fingerprint=anchor.fingerprint_sha256,
                    priority="secondary",
                    asked_at=self._clock.now(),
                    by_fallback=True,
                )
                for device in devices
            ],
        )

    async def to_do(
        self, device: str, *, by_fallback: bool
    ) -> Sequence[tuple[Update, Certificate]]:
        """Return what a device has not done yet, with the anchor that each is about.

        Raises:
            RefusedError: the device is not known.
        """
        self.check_known(device)
        async with self._store.reading() as connection:
            known = await ledger.anchors(connection, self._certificates)
            return [
                (update, known[update.fingerprint])
                for update in await ledger.updates(connection, device)
                if update.status is DeviceUpdateStatus.PENDING
                and (update.by_fallback or not by_fallback)
                and update.fingerprint in known
            ]

    async def acknowledge(self, device: str, number: int, error: str | None) -> None:
        """Take a device's word on one update; ``error``: why it could not be done.

        Raises:
            RefusedError: no such device or update.
        """
        self.check_known(device)
        status = DeviceUpdateStatus.COMPLETE if error is None else DeviceUpdateStatus.FAILED
        async with self._store.writing() as connection:
            for update in await ledger.updates(connection, device):
                if update.number == number:
                    await ledger.set_status(connection, update, status, error)
                    await ledger.touch(connection)
                    return
        raise RefusedError(
            ErrorCode.UNKNOWN_OPERATION, f"{device} has no update {number}; it may be superseded"
        )

    async def ask(
        self, chain: Sequence[Certificate], only: Sequence[str] | None = None
    ) -> list[Acceptance]:
        """Return what devices say to a chain: all that are known, or ``only`` those.

        ``only`` may hold ``TEST_DEVICE``.
        """
        async with self._store.reading() as connection:
            reports = await ledger.reports(connection)
            known = await ledger.anchors(connection, self._certificates)
        if only is not None and TEST_DEVICE in only and TEST_DEVICE not in self._fallback:
            devices: Iterable[str] = [name for name in self._fallback if name in reports]
        else:
            devices = self._fallback if only is None else only
        stores = {name: reports[name].anchors if name in reports else None for name in devices}
        async with self._judging:
            return await asyncio.to_thread(
                self._jury.ask,
                chain,
                stores,
                known,
                name=self._server_name,
                at=self._clock.now(),
            )

    async def anchors(self) -> Sequence[Certificate]:
        """Return the certificates that devices are known to trust, or were asked to."""
        async with self._store.reading() as connection:
            return list((await ledger.anchors(connection, self._certificates)).values())
