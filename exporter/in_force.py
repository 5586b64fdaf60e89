"""What is made of a configuration before any part is told of it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from exporter.anchors import TrustStore, system_trust_store
from exporter.config import Config
from exporter.errors import CertificateError
from exporter.probe import PROBERS
from exporter.probe.client_files import ClientFiles
from exporter.probe.model import Limits, Prober, Tools
from exporter.targets.entries import SYSTEM_STORE
from exporter.targets.model import Inventory
from exporter.web.alerts import Askers
from exporter.web.auth import Passwords
from exporter.web.reach import Reach

log = logging.getLogger(__name__)


class SystemStore:
    """The machine's own trust store, read when it is first asked for: most fleets never do."""

    def __init__(self) -> None:
        self._read: tuple[TrustStore | None] | None = None

    def get(self) -> TrustStore | None:
        """Return it; None where the machine has none."""
        if self._read is None:
            self._read = (_read_system_store(),)
        return self._read[0]


def _read_system_store() -> TrustStore | None:
    try:
        return system_trust_store()
    except CertificateError as exc:
        # A container without one; whoever is judged by it is judged by nobody, and so unknown
        log.warning("the trust store `system` is not there: %s", exc)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A configuration with all that was made of it."""

    config: Config
    system_store: SystemStore
    probers: Mapping[str, Prober]
    limits: Limits
    reach: Reach
    askers: Askers

    @classmethod
    def of(cls, config: Config, tools: Tools, before: Self | None = None) -> Self:
        """Return what is made of ``config``; probers stay when their files are the same."""
        probe = config.probe
        if before is not None and _client_files(before.config) == _client_files(config):
            probers = before.probers
        else:
            credentials = _credentials(config, tools)
            probers = {name: make(tools, credentials) for name, make in PROBERS.items()}
        return cls(
            config=config,
            system_store=SystemStore(),
            probers=probers,
            limits=Limits(
                phase_s=probe.timeout, max_bytes=probe.max_bytes, max_chain=probe.max_chain
            ),
            reach=Reach(config.probe_endpoint.allow),
            askers=Askers(
                token_file=config.webhook.token_file,
                passwords=Passwords(config.webhook.users),
                networks=config.webhook.networks,
                has_client_ca=config.web.client_ca_file is not None,
            ),
        )

    def store(self, name: str) -> TrustStore | None:
        """Return the trust store of that name; None: there is none."""
        found = self.config.loaded_stores.get(name)
        return self.system_store.get() if found is None and name == SYSTEM_STORE else found

    @property
    def reconnect_s(self) -> Mapping[str, float]:
        """Within which time devices come back, by their class."""
        return {one.name: one.reconnect for one in self.config.device_classes}

    def stores_of(self, inventory: Inventory) -> Mapping[str, TrustStore]:
        """Return the configured stores; the system's only where something refers to it."""
        stores = dict(self.config.loaded_stores)
        if any(SYSTEM_STORE in one.trust_stores for one in self.config.trust_sync.desired) or any(
            SYSTEM_STORE in target.trust_stores or SYSTEM_STORE in target.holds
            for target in inventory.targets.values()
        ):
            system = self.store(SYSTEM_STORE)
            stores |= {SYSTEM_STORE: system} if system else {}
        return stores


def _client_files(config: Config) -> tuple[object, object]:
    return config.probe.client_cert_file, config.probe.client_key_file


def _credentials(config: Config, tools: Tools) -> ClientFiles | None:
    cert_file, key_file = config.probe.client_cert_file, config.probe.client_key_file
    if cert_file is None or key_file is None:
        return None
    return ClientFiles(cert_file, key_file, tools.clock)
