"""What a rotation needs of the rest of the service; by a protocol, since it stands beside it."""

from typing import Protocol

from exporter.gateway.api import ManagementApi
from exporter.rotation.model import Facts
from exporter.rotation.records import Rotation


class Hands(Protocol):
    """The service around: it looks, asks, knows and has signed."""

    def api(self, gateway: str) -> ManagementApi | None:
        """Return the gateway's management API; None: it has none."""
        ...

    async def facts(self, rotation: Rotation) -> Facts:
        """Return all that is known, looked at now; what fails is left unknown."""
        ...

    async def sign(self, gateway: str, request: str) -> str:
        """Return the chain in PEM that the signer gave for a request; not checked yet.

        Raises:
            ExporterError: it gave none.
        """
        ...

    async def meets(self, gateway: str, address: str, leaf: str) -> bool:
        """Return whether a full handshake at ``address`` shows ``leaf``."""
        ...
