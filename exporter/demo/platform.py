"""The platform's hand on the gateway: the calls of the management API as its guide has them."""

from collections.abc import Mapping
from typing import Any

import aiohttp

from exporter.demo.watch import DemoError


class Platform:
    """Calls the management API; who may call it, the session says."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def csr(self) -> str:
        """Return the request for a key that the gateway made.

        Raises:
            DemoError: it was refused.
        """
        return str((await self._post("/gateway/certificates/csr", {}))["csr"])

    async def rotate_without_asking(self, chain: str) -> None:
        """Let the gateway serve ``chain`` without a look at what devices trust: the mistake.

        Raises:
            DemoError: it did not succeed.
        """
        body = {"newCertificate": chain, "validationMode": "none"}
        answer = await self._post("/gateway/certificates/rotate", body)
        if answer["status"] != "SUCCESS":
            raise DemoError(f"the rotation ended with {answer['status']}: {answer}")

    async def is_proven(self) -> bool:
        """Return whether the agent has seen its current version served."""
        async with self._session.get("/gateway/certificates") as answer:
            shown = await answer.json()
        return any(one["state"] == "current" and one["proven"] for one in shown["versions"])

    async def complete(self) -> tuple[int, int]:
        """Return how many devices the platform calls complete, and of how many."""
        url = "/devices/truststore/status"
        async with self._session.get(url, params={"limit": "1"}) as answer:
            status = await answer.json()
        return int(status["complete"]), int(status["total"])

    async def _post(self, path: str, body: Mapping[str, object]) -> Mapping[str, Any]:
        async with self._session.post(path, json=body) as answer:
            told: Mapping[str, Any] = await answer.json()
            if answer.status != 200:
                raise DemoError(f"POST {path} answers {answer.status}: {told}")
            return told
