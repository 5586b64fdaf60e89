"""The whole configuration, composed of what each part wants to know."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr

from exporter.anchors import TrustStore
from exporter.config.anchoring import below
from exporter.config.sections import TrustStoreSection, Webhook
from exporter.gateway.options import Options as ManagementApiOptions
from exporter.handshake_log.options import Options as HandshakeLogOptions
from exporter.metrics.options import Options as MetricsOptions
from exporter.probe.options import Options as ProbeOptions
from exporter.remediation.options import Options as RemediationOptions
from exporter.rotation.options import Options as RotationOptions
from exporter.targets.entries import Known
from exporter.targets.model import Target
from exporter.targets.options import DeviceClass
from exporter.targets.options import Options as TargetOptions
from exporter.trust_store.options import Options as TrustSyncOptions
from exporter.urls import SQLITE, fault_of_store, refuse_password, split_url
from exporter.web.options import Listen, ListenAddress, ProbeEndpointOptions
from exporter.web.options import Options as WebOptions


def _store_url(text: str) -> str:
    refuse_password(split_url(text))
    if fault := fault_of_store(text):
        raise ValueError(fault)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was made of a configuration's fields when it was loaded."""

    path: Path = Path("config.yml")
    known: Known = field(default_factory=Known)
    static_targets: tuple[Target, ...] = ()
    stores: Mapping[str, TrustStore] = field(default_factory=dict)


class Config(BaseModel):
    """Everything an operator can set."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    listen: Listen = Field(
        ListenAddress(host="127.0.0.1", port=9883),
        description="`HOST:PORT` of the service; `:9883` is every address of the machine.",
    )
    web: WebOptions = Field(WebOptions(), description="TLS and passwords of the service.")
    store: Annotated[str, AfterValidator(_store_url)] = Field(
        "sqlite:///state.db",
        description="Durable state, a file of SQLite; there is no other kind. The default is in"
        " `$STATE_DIRECTORY` under systemd, else beside this file.",
    )
    trust_stores: tuple[TrustStoreSection, ...] = Field(
        (), description="Named sets of anchors (CA certificates)."
    )
    device_classes: tuple[DeviceClass, ...] = Field(
        (), description="What devices of one kind have in common."
    )
    targets: TargetOptions = Field(description="The gateways and devices.")
    probe: ProbeOptions = Field(ProbeOptions(), description="How the targets are looked at.")
    probe_endpoint: ProbeEndpointOptions = Field(
        ProbeEndpointOptions(), description="What `/probe` may reach."
    )
    metrics: MetricsOptions = Field(MetricsOptions(), description="What a scrape may hold.")
    handshake_logs: tuple[HandshakeLogOptions, ...] = Field(
        (), description="Where handshakes are logged."
    )
    management_apis: tuple[ManagementApiOptions, ...] = Field(
        (), description="Management APIs, one per gateway or site, and how they are reached."
    )
    trust_sync: TrustSyncOptions = Field(
        TrustSyncOptions(), description="What devices are to trust, and how old a report may be."
    )
    webhook: Webhook = Field(Webhook(), description="Who may post alerts.")
    remediation: RemediationOptions = Field(RemediationOptions(), description="Guarded rollback.")
    rotation: RotationOptions = Field(
        RotationOptions(), description="Phased rotation of a CA, and renewal."
    )

    _loaded: Loaded = PrivateAttr(Loaded())

    @property
    def path(self) -> Path:
        """The file this was read from, as it was named."""
        return self._loaded.path

    @property
    def known(self) -> Known:
        """The names that discovered entries may refer to."""
        return self._loaded.known

    @property
    def static_targets(self) -> tuple[Target, ...]:
        """The targets of ``targets.static``, each with its file and line."""
        return self._loaded.static_targets

    @property
    def loaded_stores(self) -> Mapping[str, TrustStore]:
        """The trust stores by name, as their files were at load."""
        return self._loaded.stores

    def complete(self, loaded: Loaded) -> None:
        """Take what ``load`` made of the fields; once, before anybody else sees this."""
        self._loaded = loaded


def anchored(config: Config, folder: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Return ``config`` with every relative path made one below ``folder``."""
    return below(config, folder).model_copy(
        update={"store": _anchored_store(config, folder, environ)}
    )


def _anchored_store(config: Config, folder: Path, environ: Mapping[str, str]) -> str:
    if config.store == f"{SQLITE}:memory:":
        return config.store
    # systemd.exec(5): several StateDirectory= are joined by colons
    state = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if state and "store" not in config.model_fields_set:
        folder = Path(state)
    return SQLITE + str(folder / config.store.removeprefix(SQLITE))
