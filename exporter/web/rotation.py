"""``/api/v1/rotation``: where rotations are and what is in their way; what persons may tell."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Protocol

from aiohttp import web
from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from exporter.certificates import Certificate, read_pem
from exporter.errors import CertificateError
from exporter.journal import Entry
from exporter.modes import Mode
from exporter.report import Json
from exporter.rotation.planning import PlanError, Wish
from exporter.rotation.records import Rotation, TakenError
from exporter.rotation.renewal import Renewed
from exporter.rotation.rotate import Rotator
from exporter.rotation.seen import Seen
from exporter.rotation.turn import BusyError
from exporter.rotation.what_if import WhatIf
from exporter.rotation.words import RotationError
from exporter.web.persons import (
    Handle,
    Told,
    answered,
    body_of,
    entry_json,
    nobody_else,
    number_in,
    who,
)
from exporter.web.rotation_json import plan_json, renewed_json, status_json, what_if_json
from exporter.web.server import Opened
from exporter.wording import shown

BASE = "/api/v1/rotation"
_MOST_PEM = 256 << 10
_MOST_BYTES = 1 << 20
_MOST_ENTRIES = 1_000
_CONFLICTS = (BusyError, TakenError)
_REFUSALS = (RotationError, PlanError, CertificateError)

_MOMENT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)
_Pem = Annotated[str, Field(max_length=_MOST_PEM)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class PlanBody(Told):
    """``POST …/plan`` and ``…/start``.

    Attributes:
        new_ca: PEM; None: that of the configuration, else the same CA (a renewal).
        renew: The same CA, whatever the configuration says.
        old_ca: PEM; None: the one that all gateways' chains lead to.
    """

    id: str = Field("", max_length=100, pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$")
    new_ca: _Pem | None = None
    renew: bool = False
    old_ca: _Pem | None = None
    gateways: tuple[_Name, ...] = Field((), max_length=10_000)
    same_subject_is_meant: bool = False
    client_ca_is_another: bool = False


class OneBody(Told):
    """What is about one rotation."""

    rotation: _Name


class ApproveBody(OneBody):
    """``POST …/approve``: a yes to exactly the plan that was shown."""

    plan_hash: str = Field(pattern=r"^[0-9a-f]{64}$")


class ExcludeBody(OneBody):
    """``POST …/exclude``."""

    device: _Name


class Rotations(Protocol):
    """The part of the service that plans, keeps and carries out."""

    @property
    def rotator(self) -> Rotator:
        """Who keeps rotations going."""
        ...

    @property
    def mode(self) -> Mode:
        """The mode in force."""
        ...

    async def plan(self, wish: Wish, *, is_renewal: bool) -> tuple[Rotation, Seen]:
        """Return the rotation that would be started, as it would be seen; nothing is kept.

        Raises:
            PlanError: no plan can be made.
        """
        ...

    async def what_if(self, at: datetime | None, remove: str | None) -> WhatIf:
        """Return who goes dark at a moment, or without a CA; None: now, and none.

        Raises:
            PlanError: no CA is known by that name.
        """
        ...

    def renewed(self) -> Renewed:
        """Return where renewals are."""
        ...

    async def history(self, rotation: str | None, *, after: int, limit: int) -> list[Entry]:
        """Return what the journal tells of rotations, the oldest first."""
        ...


class RotationApi:
    """The endpoints; what changes something needs the ``web`` section's credential."""

    def __init__(self, rotations: Rotations) -> None:
        self._rotations = rotations
        self._rotator = rotations.rotator

    def endpoints(self) -> Iterable[Opened]:
        """Return them all."""
        reading = {
            "": self.status,
            "/history": self.history,
            "/what-if": self.what_if,
            "/renewals": self.renewals,
        }
        changing = {
            "/plan": self.plan,
            "/start": self.start,
            "/approve": self.approve,
            "/pause": self.pause,
            "/resume": self.resume,
            "/abort": self.abort,
            "/exclude": self.exclude,
            "/adopt": self.adopt,
            "/undo": self.undo,
        }
        for method, handlers in (("GET", reading), ("POST", changing)):
            for path, handler in handlers.items():
                yield Opened(
                    method=method, path=BASE + path, handler=_told(handler), opens=nobody_else
                )

    # What is asked

    async def status(self, _request: web.Request) -> web.Response:
        """Answer with each rotation as it was last looked at."""
        mode = self._rotations.mode
        seen = self._rotator.seen.values()
        return web.json_response(
            {"mode": mode.value, "rotations": [status_json(one, mode=mode) for one in seen]}
        )

    async def history(self, request: web.Request) -> web.Response:
        """Answer with entries of the journal in order: ``?rotation=&after=&limit=``."""
        after, limit = number_in(request, "after", 0), number_in(request, "limit", 100)
        found = await self._rotations.history(
            request.query.get("rotation"),
            after=after,
            limit=max(1, min(limit, _MOST_ENTRIES)),
        )
        return web.json_response({"items": [entry_json(entry) for entry in found]})

    async def what_if(self, request: web.Request) -> web.Response:
        """Answer with who goes dark: ``?at=&remove=``; touches nothing."""
        asked = await self._rotations.what_if(
            _moment_in(request, "at"), request.query.get("remove")
        )
        return web.json_response(what_if_json(asked))

    async def renewals(self, _request: web.Request) -> web.Response:
        """Answer with what is renewed by itself and when, and devices' certificates that end."""
        renewed = self._rotations.renewed()
        return web.json_response(renewed_json(renewed, mode=self._rotations.mode))

    # What is told

    async def plan(self, request: web.Request) -> web.Response:
        """Answer with what would be done, and what is in its way; nothing is kept."""
        return web.json_response((await self._planned(request))[1])

    async def start(self, request: web.Request) -> web.Response:
        """Keep a plan; nothing of a device or of what is served changes before its approval."""
        asked, shown, rotation = await self._planned(request)
        await self._rotator.start(rotation, by=who(asked))
        return web.json_response(shown)

    async def _planned(self, request: web.Request) -> tuple[PlanBody, Json, Rotation]:
        asked = await body_of(request, PlanBody, most_bytes=_MOST_BYTES)
        rotation, seen = await self._rotations.plan(_wish(asked), is_renewal=asked.renew)
        return asked, plan_json(seen, mode=self._rotations.mode), rotation

    async def approve(self, request: web.Request) -> web.Response:
        """Take a yes to what is next."""
        asked = await body_of(request, ApproveBody)
        consent = await self._rotator.approve(asked.rotation, asked.plan_hash, by=who(asked))
        return web.json_response({"rotation": asked.rotation, "approved": consent.value})

    async def pause(self, request: web.Request) -> web.Response:
        """Start no further step."""
        asked = await body_of(request, OneBody)
        await self._rotator.pause(asked.rotation, by=who(asked))
        return _done(asked, "pause")

    async def resume(self, request: web.Request) -> web.Response:
        """Go on."""
        asked = await body_of(request, OneBody)
        await self._rotator.resume(asked.rotation, by=who(asked))
        return _done(asked, "resume")

    async def abort(self, request: web.Request) -> web.Response:
        """Leave nothing but the way back."""
        asked = await body_of(request, OneBody)
        await self._rotator.abort(asked.rotation, by=asked.by, reason=asked.reason)
        return _done(asked, "abort")

    async def exclude(self, request: web.Request) -> web.Response:
        """Leave a device out."""
        asked = await body_of(request, ExcludeBody)
        await self._rotator.exclude(asked.rotation, asked.device, by=asked.by, reason=asked.reason)
        return _done(asked, "exclude")

    async def adopt(self, request: web.Request) -> web.Response:
        """Take what is served for right."""
        asked = await body_of(request, OneBody)
        await self._rotator.adopt(asked.rotation, by=who(asked))
        return _done(asked, "adopt")

    async def undo(self, request: web.Request) -> web.Response:
        """Put back what was changed by hand."""
        asked = await body_of(request, OneBody)
        await self._rotator.undo(asked.rotation, by=who(asked))
        return _done(asked, "undo")


def _moment_in(request: web.Request, key: str) -> datetime | None:
    text = request.query.get(key)
    if text is None:
        return None
    try:
        return _MOMENT.validate_strings(text)
    except ValidationError as exc:
        raise web.HTTPBadRequest(
            text=f"{key} {shown(text)} is no moment; write it like 2026-11-24T12:00:00Z\n"
        ) from exc


def _told(handler: Handle) -> Handle:
    return answered(handler, conflicts=_CONFLICTS, refusals=_REFUSALS)


def _done(asked: OneBody, what: str) -> web.Response:
    return web.json_response({"rotation": asked.rotation, "done": what})


def _wish(asked: PlanBody) -> Wish:
    return Wish(
        id=asked.id,
        new_ca=_authority(asked.new_ca, "new_ca"),
        old_ca=_authority(asked.old_ca, "old_ca"),
        gateways=asked.gateways,
        is_same_subject_meant=asked.same_subject_is_meant,
        has_other_client_ca=asked.client_ca_is_another,
    )


def _authority(pem: str | None, what: str) -> Certificate | None:
    if pem is None:
        return None
    found = read_pem(pem.encode(), what=what)
    if len(found) != 1:
        raise CertificateError(f"{what}: there are {len(found)} certificates in it; give the CA's")
    return found[0]
