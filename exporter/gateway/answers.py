"""What an answer of a management API means: a message, or why there is none; pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from exporter.gateway.api import GatewayError, GatewayReason
from exporter.gateway.messages import ErrorAnswer, ErrorCode, ErrorDetail
from exporter.wording import shown

LONGEST_RETRY_AFTER_S = 3_600.0
"""A platform that asks for more is asked again after this all the same."""
_MAX_DEVICES_NAMED = 1_000
_MAX_SENTENCE, _MAX_CODE, _MAX_NAME = 500, 100, 200

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer, whole and within bounds.

    Attributes:
        call: Which call it answers; the method of ``ManagementApi``.
        is_change: That call changes something, so that a strange answer leaves open whether.
        headers: By lower-case name, the first of each.
        hidden: What must not be repeated even when the platform does: our token; or empty.
    """

    call: str
    is_change: bool
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    hidden: str = field(default="", repr=False)

    def without_secret(self, text: str) -> str:
        """Return ``text`` of the platform without our token."""
        return text.replace(self.hidden, "[token]") if self.hidden else text

    def quoted(self, text: str) -> str:
        """Return the platform's own words for a message: bounded, escaped, without our token."""
        return shown(self.without_secret(text), _MAX_SENTENCE)


Said = Callable[[bytes], ErrorDetail | None]
"""Finds the platform's own words in a body; None: there are none."""


def error_in(body: bytes) -> ErrorDetail | None:
    """Return what a body in the reference API's form says went wrong."""
    try:
        return ErrorAnswer.model_validate_json(body).error
    except ValidationError:
        return None


def read(reply: Reply, model: type[M], *, status: int = 200, said: Said = error_in) -> M:
    """Return the message in ``reply``.

    Raises:
        GatewayError: it is a refusal, or not what the document says.
    """
    if reply.status != status:
        raise refusal(reply, said)
    _check_form(reply)
    if b'"error"' in reply.body[:1_000] and (told := said(reply.body)) is not None:
        words = reply.quoted(f"{told.code}: {told.message}")
        raise nonsense(reply, f"says {status} with an error inside: {words}")
    try:
        return model.model_validate_json(reply.body)
    except ValidationError as exc:
        raise nonsense(reply, f"is not what the API's document says: {_faults(exc)}") from None


def refusal(reply: Reply, said: Said = error_in) -> GatewayError:
    """Return the error that ``reply`` stands for, whose status is not the one of success."""
    if not 400 <= reply.status < 600:
        return nonsense(reply, _strange_status(reply))
    told = said(reply.body) if is_json(reply) else None
    code = told.code if told else ""
    reason = _reason_of(reply.status)
    still_running = reply.status == 409 and code == ErrorCode.IN_PROGRESS
    failed = reason in {GatewayReason.FAILED, GatewayReason.TIMEOUT}
    return GatewayError(
        reason,
        f"{reply.call} was answered with status {reply.status}: {_words(reply, told)}",
        retryable=failed or still_running or reason is GatewayReason.RATE_LIMITED,
        # also while it is still running: with the same key that may be what was asked for
        is_outcome_unknown=reply.is_change and (failed or still_running),
        retry_after_s=retry_after_s(reply.headers),
        code=reply.without_secret(code)[:_MAX_CODE],
        devices=_named(reply, told),
    )


def nonsense(reply: Reply, what: str) -> GatewayError:
    """Return the error for an answer that is none; what it did nobody knows."""
    return GatewayError(
        GatewayReason.NONSENSE,
        f"the answer to {reply.call} {what}",
        retryable=not reply.is_change,
        is_outcome_unknown=reply.is_change,
    )


def is_json(reply: Reply) -> bool:
    """Tell whether the answer says of itself that it is JSON in UTF-8."""
    kind, _, parameters = reply.headers.get("content-type", "").lower().partition(";")
    kind = kind.strip()
    charset = parameters.strip().replace('"', "")
    return (kind == "application/json" or kind.endswith("+json")) and (
        not charset.startswith("charset=") or charset in {"charset=utf-8", "charset=utf8"}
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return for how long to leave the API alone, bounded; None: it does not say.

    A date counts from the answer's own ``Date``, so no clock of ours comes into it.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 12:
        return min(float(text), LONGEST_RETRY_AFTER_S)
    until, now = http_date(text), http_date(headers.get("date", ""))
    if until is None or now is None:
        return None
    return min(max(0.0, (until - now).total_seconds()), LONGEST_RETRY_AFTER_S)


def http_date(text: str) -> datetime | None:
    """Return the moment of an HTTP date; None when it is none, or has no time zone."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _check_form(reply: Reply) -> None:
    if not is_json(reply):
        given = reply.quoted(reply.headers.get("content-type", "none"))
        raise nonsense(reply, f"is of type {given}, not application/json")


def _strange_status(reply: Reply) -> str:
    if 300 <= reply.status < 400 and "location" in reply.headers:
        # the host alone: the rest of a redirect is a favourite place for tokens
        try:
            host = urlsplit(reply.headers["location"]).netloc.rpartition("@")[2]
        except ValueError:
            host = ""
        where = f"to {reply.quoted(host)}" if host else "elsewhere"
        return (
            f"has status {reply.status} and leads {where}; redirects are not followed,"
            " since they would take the credentials along: correct `url`"
        )
    return f"has status {reply.status}, which the API's document does not know"


_REASONS = {
    401: GatewayReason.UNAUTHORIZED,
    403: GatewayReason.UNAUTHORIZED,
    404: GatewayReason.NOT_FOUND,
    408: GatewayReason.TIMEOUT,
    409: GatewayReason.CONFLICT,
    412: GatewayReason.PRECONDITION_FAILED,
    429: GatewayReason.RATE_LIMITED,
    501: GatewayReason.REFUSED,
}


def _reason_of(status: int) -> GatewayReason:
    if status in _REASONS:
        return _REASONS[status]
    return GatewayReason.FAILED if status >= 500 else GatewayReason.REFUSED


def _words(reply: Reply, told: ErrorDetail | None) -> str:
    if told is not None:
        return reply.quoted(f"{told.code}: {told.message}")
    kind = reply.quoted(reply.headers.get("content-type", "none"))
    return f"no error as the API's document has it, but a body of type {kind}"


def _named(reply: Reply, told: ErrorDetail | None) -> tuple[str, ...]:
    devices = told.devices[:_MAX_DEVICES_NAMED] if told else ()
    return tuple(reply.without_secret(device)[:_MAX_NAME] for device in devices)


def _faults(exc: ValidationError) -> str:
    """Return the first faults without the values: those may be anything."""
    faults = exc.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}".lstrip(": ") for one in faults[:3]]
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return shown("; ".join(told) + more, _MAX_SENTENCE)[1:-1]
