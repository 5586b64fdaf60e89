"""The terminators that the agent can stand in front of.

A new one is one file with an ``Options`` model and a driver, a field of ``Terminator`` and a line
in the table.
"""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exporter.gateway.agent.driver import Driver, MakeDriver, Tools
from exporter.gateway.agent.drivers.embedded.driver import EmbeddedDriver
from exporter.gateway.agent.drivers.embedded.driver import Options as EmbeddedOptions
from exporter.gateway.agent.drivers.haproxy.driver import HaproxyDriver
from exporter.gateway.agent.drivers.haproxy.driver import Options as HaproxyOptions
from exporter.gateway.agent.drivers.mosquitto.driver import MosquittoDriver
from exporter.gateway.agent.drivers.mosquitto.driver import Options as MosquittoOptions
from exporter.gateway.agent.drivers.nginx.driver import NginxDriver
from exporter.gateway.agent.drivers.nginx.driver import Options as NginxOptions
from exporter.wording import listed

DRIVERS: Mapping[str, MakeDriver] = {
    "embedded": EmbeddedDriver,
    "nginx": NginxDriver,
    "haproxy": HaproxyDriver,
    "mosquitto": MosquittoDriver,
}


class Terminator(BaseModel):
    """What ends the devices' TLS connections; exactly one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    embedded: EmbeddedOptions | None = Field(
        None, description="Inside the agent itself; for trying out."
    )
    nginx: NginxOptions | None = Field(None, description="An nginx on this machine.")
    haproxy: HaproxyOptions | None = Field(None, description="A HAProxy on this machine.")
    mosquitto: MosquittoOptions | None = Field(None, description="A mosquitto on this machine.")

    @property
    def given(self) -> Mapping[str, BaseModel]:
        """The section that was written, by its kind."""
        values = {kind: getattr(self, kind) for kind in type(self).model_fields}
        return {kind: options for kind, options in values.items() if options is not None}

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.given) != 1:
            raise ValueError(f"write exactly one of: {listed(sorted(DRIVERS))}")
        return self


def make_driver(terminator: Terminator, tools: Tools) -> Driver:
    """Return the driver of the one terminator that is configured.

    Raises:
        ConfigError: something that its options name is not there.
    """
    ((kind, options),) = terminator.given.items()
    return DRIVERS[kind](options, tools)
