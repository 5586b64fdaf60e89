"""Clients of a fake gateway, and what its calls are asked with."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from exporter.clock import Clock
from exporter.gateway import messages
from exporter.gateway.adapters import ADAPTERS
from exporter.gateway.api import Fence, ManagementApi
from exporter.gateway.client import Client
from exporter.gateway.options import Options
from tests.fake_clock import FakeClock

CHAIN = "-----BEGIN CERTIFICATE-----\nMII…\n-----END CERTIFICATE-----\n"
FENCE = Fence(idempotency_key="key-1", serving="cd" * 32, operation_number=5)

Asking = Callable[[ManagementApi], Awaitable[object]]

ASKING: Mapping[str, Asking] = {
    "certificates": lambda api: api.certificates(),
    "rollback": lambda api: api.rollback(messages.RollbackRequest(), FENCE),
    "rotate": lambda api: api.rotate(
        messages.RotateRequest(
            new_certificate=CHAIN, validation_mode=messages.ValidationMode.STRICT
        ),
        FENCE,
    ),
    "confirm": lambda api: api.confirm(messages.ConfirmRequest(operation_id="op-1"), FENCE),
    "validate": lambda api: api.validate(
        messages.ValidateRequest(device_id="test_device", certificate_chain=CHAIN, dry_run=True)
    ),
    "csr": lambda api: api.csr(messages.CsrRequest(dns_names=("gw.example",)), FENCE),
    "rehearse": lambda api: api.rehearse(
        messages.RehearseRequest(target_version="previous", seconds=5.0), FENCE
    ),
    "update_trust_store": lambda api: api.update_trust_store(
        messages.TrustStoreUpdateRequest(
            operation=messages.TrustStoreOperation.ADD, certificate=CHAIN, priority="secondary"
        ),
        FENCE,
    ),
    "trust_status": lambda api: api.trust_status(),
    "recover": lambda api: api.recover(
        messages.RecoveryRequest(
            device_ids=("dev-01", "dev-02"), method="FALLBACK_CHANNEL", action="UPDATE_TRUSTSTORE"
        ),
        FENCE,
    ),
    "configure": lambda api: api.configure(
        messages.SettingsRequest(debug_level=messages.DebugLevel.VERBOSE, log_handshakes=True),
        FENCE,
    ),
}
"""Each call of ``ManagementApi``, asked with something that makes sense."""

# What is no change may be asked again; these two stand for their kinds
SAFE, CHANGE = "certificates", "rollback"


class EagerClock(FakeClock):
    """A clock whose sleeps are over at once, and remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.slept_s: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self._monotonic += seconds


def options_of(url: str, **more: Any) -> Options:
    data = {"name": "site-a", "url": url, **more}
    return Options.model_validate(data, strict=False)


def api_of(url: str, clock: Clock | None = None, **more: Any) -> tuple[ManagementApi, Client]:
    options = options_of(url, **more)
    client = Client(options, clock or EagerClock())
    return ADAPTERS[options.adapter](client), client
