"""What persons tell the service by its API: who, why, and answers that they can act on."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exporter.errors import StoreError
from exporter.journal import Entry
from exporter.report import Json, rfc3339
from exporter.web.bodies import read_body
from exporter.wording import shown

_MOST_BYTES = 64 << 10

_T = TypeVar("_T", bound=BaseModel)
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Told(BaseModel):
    """Who tells something, and why; for the journal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field("", max_length=100)
    reason: str = Field("", max_length=1_000)


def who(told: Told) -> str:
    """Return the person as the journal names it."""
    reason = f": {told.reason}" if told.reason else ""
    return f"{told.by or 'somebody with the credential'}{reason}"


async def body_of(request: web.Request, kind: type[_T], *, most_bytes: int = _MOST_BYTES) -> _T:
    """Return the body, read as ``kind``; a 4xx with a sentence for anything else."""
    data = await read_body(request, most_bytes=most_bytes, what="a request")
    try:
        return kind.model_validate_json(data)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise web.HTTPBadRequest(text=f"{place}: {first['msg']}\n") from exc


def number_in(request: web.Request, key: str, default: int) -> int:
    """Return a number of the query; a 400 with a sentence for anything else."""
    text = request.query.get(key, str(default))
    if text.isascii() and text.isdigit() and len(text) < 18:
        return int(text)
    raise web.HTTPBadRequest(text=f"{key} {shown(text)} is not a number\n")


def answered(
    handler: Handle,
    *,
    conflicts: tuple[type[Exception], ...],
    refusals: tuple[type[Exception], ...] = (),
) -> Handle:
    """Answer what persons can act on: 409 for what is under way, 503 for the store.

    ``refusals``: what is answered with 422, since it will not become right by itself.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except conflicts as exc:
            raise web.HTTPConflict(text=f"{exc}\n") from exc
        except refusals as exc:
            raise web.HTTPUnprocessableEntity(text=f"{exc}\n") from exc
        except StoreError as exc:
            raise web.HTTPServiceUnavailable(text=f"{exc}\n") from exc

    return answer


async def nobody_else(_request: web.Request) -> bool:
    """Open to the ``web`` section's credential alone."""
    return False


def entry_json(entry: Entry) -> Json:
    """Return an entry of the journal; of a decision's evidence only the forecast."""
    facts = dict(entry.facts())
    case: Any = facts.pop("case", None)
    if case is not None:
        facts["forecast"] = case["decision"]["forecast"]
    return {
        "number": entry.number,
        "at": rfc3339(entry.at),
        "gateway": entry.gateway or None,
        "kind": entry.kind.value,
        "facts": facts,
        "hash": entry.hash,
    }
