"""What the platform says of each device: its updates, by word, and what it reported."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from exporter.gateway.agent.devices import ledger
from exporter.gateway.agent.devices.ledger import Report, Update
from exporter.gateway.messages import DeviceTrustStore, DeviceUpdateStatus, TrustStoreStatus
from exporter.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the devices' states, and what they are all known by."""

    status: TrustStoreStatus
    etag: str


class StatusBook:
    """The devices' states, made anew when anything of a device changed.

    Args:
        names: Of all devices, in their order.
    """

    def __init__(self, store: Store, names: Collection[str]) -> None:
        self._store = store
        self._names = tuple(names)
        # Another list of devices is another answer, though none of them changed
        self._tag = hashlib.sha256("\n".join(self._names).encode()).hexdigest()[:12]
        self._all: tuple[int, Sequence[DeviceTrustStore]] | None = None

    async def page(self, after: str, limit: int) -> Page:
        """Return at most ``limit`` devices whose names come behind ``after``."""
        revision, everyone = await self._everyone()
        complete = sum(one.status is DeviceUpdateStatus.COMPLETE for one in everyone)
        rest = [one for one in everyone if one.device_id > after]
        shown = rest[:limit]
        return Page(
            status=TrustStoreStatus(
                total=len(everyone),
                complete=complete,
                devices=tuple(shown),
                next_cursor=shown[-1].device_id if len(rest) > limit else None,
            ),
            etag=self._tagged(revision),
        )

    async def etag(self) -> str:
        """Return what all pages together are known by now."""
        async with self._store.reading() as connection:
            return self._tagged(await ledger.revision(connection))

    def _tagged(self, revision: int) -> str:
        return f'"{revision}-{self._tag}"'

    async def _everyone(self) -> tuple[int, Sequence[DeviceTrustStore]]:
        async with self._store.reading() as connection:
            revision = await ledger.revision(connection)
            if self._all is None or self._all[0] != revision:
                reports = await ledger.reports(connection)
                updates: dict[str, list[Update]] = {}
                for one in await ledger.updates(connection):
                    updates.setdefault(one.device, []).append(one)
                self._all = (
                    revision,
                    [
                        _state(name, reports.get(name), updates.get(name, ()))
                        for name in self._names
                    ],
                )
            return self._all


def _state(device: str, report: Report | None, updates: Sequence[Update]) -> DeviceTrustStore:
    failed = next((one for one in updates if one.status is DeviceUpdateStatus.FAILED), None)
    is_open = any(one.status is DeviceUpdateStatus.PENDING for one in updates)
    if failed is not None:
        status = DeviceUpdateStatus.FAILED
    elif is_open or (report is None and not updates):
        status = DeviceUpdateStatus.PENDING
    else:
        # The platform's word: what was asked for was handed out, and nobody complained
        status = DeviceUpdateStatus.COMPLETE
    return DeviceTrustStore(
        device_id=device,
        status=status,
        anchors=None if report is None else tuple(sorted(report.anchors)),
        reported_at=report.reported_at if report else None,
        received_at=report.received_at if report else None,
        error=failed.error if failed else None,
    )
