"""Puts the pages of ``truststore/status`` together, within bounds; pure."""

from exporter.gateway.answers import Reply, nonsense, read
from exporter.gateway.api import TrustStatus
from exporter.gateway.messages import DeviceTrustStore, TrustStoreStatus
from exporter.wording import shown

MAX_PAGES = 1_000
MAX_DEVICES = 100_000
MAX_BYTES = 128 * 2**20
_MAX_CURSOR = 1_024


class Pages:
    """The pages so far. A page that is refused leaves them as they were."""

    def __init__(self) -> None:
        self._devices: dict[str, DeviceTrustStore] = {}
        self._cursors: set[str] = set()
        self._page_count = 0
        self._size_bytes = 0
        self._last: TrustStoreStatus | None = None
        self._etag: str | None = None

    @property
    def next_cursor(self) -> str | None:
        """What the next page is asked by; None: there is none."""
        return self._last.next_cursor or None if self._last else None

    @property
    def etag(self) -> str | None:
        """What all pages said they are; None when one said something else: they changed."""
        return self._etag

    @property
    def status(self) -> TrustStatus:
        """All that was told; the counts are those of the last page."""
        assert self._last is not None  # noqa: S101 - add comes first
        return TrustStatus(
            devices=tuple(self._devices.values()),
            total=self._last.total,
            complete=self._last.complete,
        )

    def add(self, reply: Reply) -> None:
        """Take one more page.

        Raises:
            GatewayError: it is a refusal or no page, or goes on where it has been.
        """
        page = read(reply, TrustStoreStatus)
        self._check(reply, page)
        etag = reply.headers.get("etag")
        self._etag = etag if self._last is None or etag == self._etag else None
        self._devices.update((device.device_id, device) for device in page.devices)
        self._size_bytes += len(reply.body)
        self._page_count += 1
        if page.next_cursor:
            self._cursors.add(page.next_cursor)
        self._last = page

    def _check(self, reply: Reply, page: TrustStoreStatus) -> None:
        names = {device.device_id for device in page.devices}
        twice = names & self._devices.keys()
        if len(names) < len(page.devices) or twice:
            who = f", {shown(min(twice))} for one," if twice else ""
            raise nonsense(reply, f"names a device{who} twice")
        cursor = page.next_cursor or ""
        if cursor in self._cursors or len(cursor) > _MAX_CURSOR:
            raise nonsense(reply, "gives a cursor that came before, or is too long to be one")
        if (
            self._page_count >= MAX_PAGES
            or len(self._devices) + len(names) > MAX_DEVICES
            or self._size_bytes + len(reply.body) > MAX_BYTES
        ):
            raise nonsense(
                reply,
                f"goes beyond {MAX_PAGES} pages, {MAX_DEVICES} devices or {MAX_BYTES} bytes",
            )
