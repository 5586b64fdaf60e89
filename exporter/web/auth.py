"""Who may ask: passwords as in the exporter-toolkit, and bearer tokens."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

from exporter.errors import ExporterError

# For a user who does not exist: the answer takes as long as for one who does. It is the hash of
# a random text that nobody has kept, of the cost that htpasswd -C 10 gives.
_NOBODY = b"$2b$10$xoHy9yA.Zdpm/fTWCxn/nOr0um0WPokdO7HyGIP3FoeCCbs4XhrXq"
# bcrypt uses no more of a password, and its Python binding refuses a longer one
_LONGEST = 72
_KEPT = 100
# One check is 50 ms of CPU and more; whoever is beyond these may come again
_WAITING = 20


class BusyError(ExporterError):
    """Too many passwords wait for being checked."""


class Passwords:
    """Checks passwords of users; each is hashed once and the answer kept.

    Like the exporter-toolkit's, except that what is kept is no password, but a digest under a
    key of this process.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = {name: hashed.encode() for name, hashed in users.items()}
        self._key = secrets.token_bytes(32)
        self._answers: OrderedDict[bytes, bool] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._waiting_count = 0

    def __bool__(self) -> bool:
        return bool(self._users)

    async def accepts(self, authorization: str | None) -> bool:
        """Return whether the ``Authorization`` header names a user and the right password.

        Raises:
            BusyError: too many are being checked.
        """
        pair = _basic(authorization)
        if pair is None:
            return False
        user, password = pair
        hashed = self._users.get(user)
        place = _digest(self._key, user.encode(), hashed or b"", password)
        known = self._answers.get(place)
        if known is None:
            known = await self._checked(hashed, password)
            self._answers[place] = known
            if len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
        return known

    async def _checked(self, hashed: bytes | None, password: bytes) -> bool:
        if self._waiting_count >= _WAITING:
            raise BusyError("too many passwords are being checked; try again")
        self._waiting_count += 1
        try:
            async with self._one_at_a_time:
                matches = await asyncio.to_thread(_matches, hashed or _NOBODY, password)
        finally:
            self._waiting_count -= 1
        return matches and hashed is not None


def _digest(key: bytes, *parts: bytes) -> bytes:
    state = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        state.update(len(part).to_bytes(8) + part)
    return state.digest()


def _matches(hashed: bytes, password: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:_LONGEST], hashed)
    except ValueError:  # a hash of a kind that it does not know
        return False


def _basic(header: str | None) -> tuple[str, bytes] | None:
    """Return user and password of HTTP basic authentication (RFC 7617)."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def is_bearer(header: str | None, token: bytes) -> bool:
    """Return whether ``Authorization`` carries the bearer ``token`` (RFC 6750); constant time."""
    scheme, _, given = (header or "").partition(" ")
    return (
        scheme.lower() == "bearer"
        and bool(token)
        and hmac.compare_digest(given.strip().encode(errors="surrogateescape"), token)
    )
