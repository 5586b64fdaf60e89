"""The inventory's gateways as they are at this moment, and what their management APIs answer."""

import asyncio
from collections.abc import Callable, Mapping

from exporter.errors import ExporterError
from exporter.fleet import Fleet
from exporter.gateway.api import ManagementApi
from exporter.gateway.messages import GatewayCertificates
from exporter.targets.model import Role, Target

_QUESTION_S = 20.0


class Gateways:
    """Finds gateways and their APIs by name, anew at each use.

    Args:
        apis: The management APIs, by name.
    """

    def __init__(self, fleet: Fleet, apis: Callable[[], Mapping[str, ManagementApi]]) -> None:
        self._fleet = fleet
        self._apis = apis

    def names(self) -> list[str]:
        """Return all of them."""
        states = self._fleet.snapshot().targets
        return [name for name, one in states.items() if one.target.role is Role.GATEWAY]

    def target(self, name: str) -> Target | None:
        """Return the gateway of that name; None: there is none in the inventory."""
        state = self._fleet.snapshot().targets.get(name)
        return state.target if state is not None and state.target.role is Role.GATEWAY else None

    def api(self, name: str) -> ManagementApi | None:
        """Return the gateway's management API; None: it has none."""
        target = self.target(name)
        return self._apis().get(target.management_api or "") if target is not None else None

    async def certificates(self, name: str) -> tuple[GatewayCertificates | None, str]:
        """Return what the API says of the gateway's versions; else nothing, and why."""
        api = self.api(name)
        if api is None:
            return None, "it has no management API"
        try:
            async with asyncio.timeout(_QUESTION_S):
                return await api.certificates(), ""
        except ExporterError as exc:
            return None, str(exc)
        except TimeoutError:
            return None, f"its management API gave no answer within {_QUESTION_S:.0f} s"
