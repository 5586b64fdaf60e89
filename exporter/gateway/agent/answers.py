"""What the agent answers: messages with a status, and refusals with a sentence; pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.errors import ExporterError
from exporter.gateway.messages import Answer, ErrorAnswer, ErrorCode, ErrorDetail

_STATUS = {
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.IDEMPOTENCY_KEY_REQUIRED: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.UNKNOWN_DEVICE: 404,
    ErrorCode.UNKNOWN_VERSION: 404,
    ErrorCode.UNKNOWN_OPERATION: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.IN_PROGRESS: 409,
    ErrorCode.OPERATION_NUMBER_TOO_LOW: 409,
    ErrorCode.PRECONDITION_FAILED: 412,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.INVALID: 422,
    ErrorCode.KEY_REUSED: 422,
    ErrorCode.REFUSED: 422,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.INTERNAL: 500,
    ErrorCode.GATEWAY_FAILED: 500,
    ErrorCode.UNAVAILABLE: 503,
}
_RETRY_S = {ErrorCode.IN_PROGRESS: 2, ErrorCode.RATE_LIMITED: 1, ErrorCode.UNAVAILABLE: 5}
_MAX_SENTENCE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer as it goes over the wire.

    Attributes:
        body: JSON text; empty: none.
        retry_after_s: None: nothing is said of coming again.
    """

    status: int
    body: str = ""
    retry_after_s: int | None = None


class RefusedError(ExporterError):
    """The agent does not do it; the text is for whoever asked."""

    def __init__(self, code: ErrorCode, message: str, *, devices: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.devices = tuple(devices)

    @property
    def reply(self) -> Reply:
        """The answer that says so."""
        return Reply(
            status=_STATUS[self.code],
            body=error_text(self.code, str(self), self.devices),
            retry_after_s=_RETRY_S.get(self.code),
        )


def answered(message: Answer, status: int = 200) -> Reply:
    """Return ``message`` as an answer."""
    return Reply(status=status, body=message.model_dump_json(by_alias=True, exclude_none=True))


def failed(code: ErrorCode, operation: Answer, message: str) -> Reply:
    """Return that an operation did not succeed: an error, with the operation's own fields."""
    fields = json.loads(operation.model_dump_json(by_alias=True, exclude_none=True))
    error = json.loads(error_text(code, message, ()))
    return Reply(status=_STATUS[code], body=json.dumps({**error, **fields}))


def error_text(code: ErrorCode, message: str, devices: Sequence[str]) -> str:
    """Return the body of an error."""
    detail = ErrorDetail(code=code, message=message[:_MAX_SENTENCE], devices=tuple(devices))
    return ErrorAnswer(error=detail).model_dump_json(by_alias=True)
