"""The platforms that can be spoken to, one adapter each, in a table."""

from collections.abc import Callable, Mapping

from exporter.gateway.adapters.reference import ReferenceApi
from exporter.gateway.api import ManagementApi
from exporter.gateway.client import Client

Adapter = Callable[[Client], ManagementApi]
"""Makes of the HTTP side one platform's API; what that must do is said by ``ManagementApi``."""

ADAPTERS: Mapping[str, Adapter] = {
    "reference": ReferenceApi,
}
"""By the word in ``management_apis[].adapter``."""
