"""The one place where the HTTP library's exceptions become ours."""

import os
import ssl
from dataclasses import dataclass

import aiohttp

from exporter.durations import format_duration
from exporter.gateway.api import GatewayError, GatewayReason
from exporter.wording import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A request that failed: which call, what it may do, over what, and for how long."""

    call: str
    is_change: bool
    is_tls: bool
    limit_s: float


def failure_of(exc: Exception, attempt: Attempt) -> GatewayError:
    """Return what ``exc`` means for ``attempt``.

    Until there is a connection nothing was sent; afterwards a change may have been carried out.
    """
    call = attempt.call
    match exc:
        case aiohttp.ConnectionTimeoutError():
            return _unsent(GatewayReason.TIMEOUT, f"{call}: no connection was made in time")
        case aiohttp.ClientConnectorCertificateError():
            sentence = f"{call}: TLS failed: {_words(exc.certificate_error)}"
            return GatewayError(GatewayReason.TLS, sentence, retryable=False)
        case aiohttp.ClientConnectorSSLError():
            sentence = f"{call}: TLS failed: {_words(exc.os_error)}"
            return GatewayError(GatewayReason.TLS, sentence, retryable=False)
        case aiohttp.ClientConnectorError():
            where = shown(f"{exc.host}:{exc.port}")[1:-1]
            hint = _hint(attempt) if isinstance(exc.os_error, ConnectionResetError) else ""
            sentence = f"{call}: no connection to {where}: {_words(exc.os_error)}{hint}"
            return _unsent(GatewayReason.UNREACHABLE, sentence)
        case _:
            return _after_sending(exc, attempt)


def _unsent(reason: GatewayReason, sentence: str) -> GatewayError:
    return GatewayError(reason, sentence, retryable=True)


def _after_sending(exc: Exception, attempt: Attempt) -> GatewayError:
    reason, sentence = _told_by(exc, attempt)
    return GatewayError(
        reason,
        f"{attempt.call}: {sentence}",
        retryable=reason is not GatewayReason.TLS,
        is_outcome_unknown=attempt.is_change,
    )


def _told_by(exc: Exception, attempt: Attempt) -> tuple[GatewayReason, str]:
    match exc:
        case TimeoutError():
            waited = format_duration(attempt.limit_s)
            return GatewayReason.TIMEOUT, f"there was no complete answer within {waited}"
        case aiohttp.ClientResponseError():
            return GatewayReason.NONSENSE, f"the answer is not HTTP: {shown(exc.message, 200)}"
        case aiohttp.ClientPayloadError():
            return GatewayReason.UNREACHABLE, "the connection ended in the middle of the answer"
        case _ if _has_ssl_error(exc):
            return GatewayReason.TLS, f"TLS failed: {_words(exc)}"
        case _:
            sentence = f"the connection ended before an answer: {_words(exc)}{_hint(attempt)}"
            return GatewayReason.UNREACHABLE, sentence


def _hint(attempt: Attempt) -> str:
    # In TLS 1.3 our part of the handshake is over before the server says no, and its alert is
    # often lost to the reset behind it
    if not attempt.is_tls:
        return ""
    return "; where a client certificate is wanted, a missing or wrong one is refused like this"


def _has_ssl_error(exc: BaseException | None) -> bool:
    while exc is not None:
        if isinstance(exc, ssl.SSLError):
            return True
        exc = exc.__cause__
    return False


def _words(exc: Exception) -> str:
    text = str(exc)
    if isinstance(exc, OSError) and not isinstance(exc, ssl.SSLError) and exc.errno:
        # asyncio words some of them by itself, with tuples in them; name resolution counts down
        text = os.strerror(exc.errno) if exc.errno > 0 else exc.strerror or text
    return shown(text or type(exc).__name__, 200)
