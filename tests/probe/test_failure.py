import errno
import socket

import pytest

from exporter.observations import Reason, ToldBy
from exporter.probe.failure import (
    Progress,
    TlsError,
    explain_close,
    explain_connect,
    explain_name,
    explain_resolve,
    explain_silence,
    explain_tls,
)

TLS_BEGUN = Progress(first_bytes=b"\x16\x03\x03\x00\x7a")
SHOWN = Progress(first_bytes=b"\x16\x03\x03", chain_received=True)
ASKED = Progress(first_bytes=b"\x16\x03\x03", chain_received=True, certificate_requested=True)
HELD = Progress(
    first_bytes=b"\x16\x03\x03",
    chain_received=True,
    certificate_requested=True,
    certificate_held=True,
)


def alert(number: int) -> TlsError:
    return TlsError(library=20, reason=1000 + number, text="tls alert")


def own(reason: int) -> TlsError:
    return TlsError(library=20, reason=reason, text="words of the library")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (10, Reason.OTHER),
        (40, Reason.VERIFY_FAILED),
        (42, Reason.VERIFY_FAILED),
        (43, Reason.WRONG_USAGE),
        (44, Reason.REVOKED),
        (45, Reason.EXPIRED),
        (46, Reason.VERIFY_FAILED),
        (48, Reason.UNKNOWN_CA),
        (49, Reason.OTHER),
        (51, Reason.BAD_SIGNATURE),
        (80, Reason.OTHER),
        (116, Reason.CLIENT_CERT_REQUIRED),
        (199, Reason.OTHER),
    ],
)
def test_an_alert_about_our_certificate_tells_why(number: int, reason: Reason) -> None:
    failure = explain_tls(alert(number), HELD)

    assert (failure.reason, failure.rejected_by) == (reason, ToldBy.PEER)
    assert f"alert {number} " in failure.detail
    assert "after our client certificate" in failure.detail


@pytest.mark.parametrize("number", [40, 41, 42, 43, 46, 48, 49, 116])
def test_each_alert_of_a_server_that_misses_our_certificate_means_that(number: int) -> None:
    failure = explain_tls(alert(number), ASKED)

    assert (failure.reason, failure.rejected_by) == (Reason.CLIENT_CERT_REQUIRED, ToldBy.PEER)
    assert "none is configured" in failure.detail


@pytest.mark.parametrize("number", [44, 45, 80])
def test_other_alerts_keep_their_meaning_without_our_certificate(number: int) -> None:
    failure = explain_tls(alert(number), ASKED)

    assert failure.reason is not Reason.CLIENT_CERT_REQUIRED


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (40, Reason.NO_SHARED_CIPHER),
        (71, Reason.NO_SHARED_CIPHER),
        (70, Reason.PROTOCOL_VERSION),
        (86, Reason.PROTOCOL_VERSION),
        (112, Reason.OTHER),
        (90, Reason.CONNECTION_RESET),
    ],
)
def test_an_alert_to_our_first_words_tells_what_was_not_agreed(
    number: int, reason: Reason
) -> None:
    failure = explain_tls(alert(number), TLS_BEGUN)

    assert (failure.reason, failure.rejected_by) == (reason, ToldBy.PEER)


def test_alert_40_after_the_certificate_was_shown_is_not_about_ciphers() -> None:
    assert explain_tls(alert(40), SHOWN).reason is Reason.OTHER


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (123, Reason.BAD_SIGNATURE),
        (149, Reason.BAD_SIGNATURE),
        (258, Reason.PROTOCOL_VERSION),
        (267, Reason.PROTOCOL_VERSION),
        (261, Reason.NO_SHARED_CIPHER),
        (394, Reason.WEAK_CRYPTO),
        (244, Reason.OTHER),
    ],
)
def test_what_we_find_ourselves_is_told_as_local(number: int, reason: Reason) -> None:
    failure = explain_tls(own(number), TLS_BEGUN)

    assert (failure.reason, failure.rejected_by) == (reason, ToldBy.LOCAL)
    assert "words of the library" in failure.detail


def test_a_chain_above_the_library_s_limit_is_named() -> None:
    assert "100 KiB" in explain_tls(own(152), TLS_BEGUN).detail


def test_an_error_of_another_library_is_told_in_its_words() -> None:
    failure = explain_tls(TlsError(library=13, reason=1048, text="wrong tag"), TLS_BEGUN)

    assert (failure.reason, failure.rejected_by) == (Reason.OTHER, ToldBy.LOCAL)
    assert "wrong tag" in failure.detail


@pytest.mark.parametrize(
    ("first_bytes", "words"),
    [
        (b"HTTP/1.0 400 Bad", "HTTP without TLS"),
        (b"SSH-2.0-x\r\n", "SSH"),
        (b"+OK ready", "POP3"),
        (b"\x00", "no protocol we know"),
        (b"\x16\x02", "no protocol we know"),
        (b"\x1b[31m\xe2\x80\xa8", r"'\x1b[31m"),
    ],
)
@pytest.mark.parametrize("how", ["error", "close"])
def test_an_answer_that_does_not_begin_like_tls_is_not_tls(
    first_bytes: bytes, words: str, how: str
) -> None:
    progress = Progress(first_bytes=first_bytes)

    failure = explain_tls(own(267), progress) if how == "error" else explain_close(progress)

    assert (failure.reason, failure.rejected_by) == (Reason.NOT_TLS, ToldBy.LOCAL)
    assert words in failure.detail
    assert failure.detail.isascii()
    assert failure.detail.isprintable()


@pytest.mark.parametrize(
    ("progress", "reason", "words"),
    [
        (Progress(), Reason.CONNECTION_RESET, "after our ClientHello"),
        (TLS_BEGUN, Reason.CONNECTION_RESET, "in the middle of the handshake"),
        (ASKED, Reason.CLIENT_CERT_REQUIRED, "none is configured"),
        (HELD, Reason.VERIFY_FAILED, "after our client certificate"),
    ],
)
@pytest.mark.parametrize(
    ("error", "how"), [(None, "closed"), (ConnectionResetError(errno.ECONNRESET, "x"), "reset")]
)
def test_a_closed_connection_means_what_was_under_way(
    progress: Progress, reason: Reason, words: str, error: OSError | None, how: str
) -> None:
    failure = explain_close(progress, error=error)

    assert (failure.reason, failure.rejected_by) == (reason, ToldBy.PEER)
    assert words in failure.detail
    assert how in failure.detail


def test_a_route_lost_in_the_middle_is_not_a_refusal() -> None:
    failure = explain_close(ASKED, error=OSError(errno.EHOSTUNREACH, "No route to host"))

    assert (failure.reason, failure.rejected_by) == (Reason.UNREACHABLE, None)


@pytest.mark.parametrize(
    ("number", "reason", "rejected_by"),
    [
        (errno.ECONNREFUSED, Reason.CONNECT_REFUSED, ToldBy.PEER),
        (errno.ECONNRESET, Reason.CONNECTION_RESET, ToldBy.PEER),
        (errno.ETIMEDOUT, Reason.CONNECT_TIMEOUT, None),
        (errno.ENETUNREACH, Reason.UNREACHABLE, None),
        (errno.EPERM, Reason.UNREACHABLE, None),
        (errno.EMFILE, Reason.INTERNAL, None),
        (errno.EIO, Reason.OTHER, None),
    ],
)
def test_an_error_of_the_socket_falls_into_a_reason(
    number: int, reason: Reason, rejected_by: ToldBy | None
) -> None:
    failure = explain_connect(OSError(number, "the kernel's words"))

    assert (failure.reason, failure.rejected_by) == (reason, rejected_by)
    assert "the kernel's words" in failure.detail


def test_an_error_without_number_and_words_still_makes_a_sentence() -> None:
    assert explain_connect(OSError()).detail == "the connection failed: OSError"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), "no such name"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "name servers do not answer"),
        (socket.gaierror(socket.EAI_FAIL, "the resolver's words"), "the resolver's words"),
        (UnicodeError("label too long"), "label too long"),
        (None, "no answer in time"),
    ],
)
def test_a_failed_resolution_is_a_dns_failure(
    error: OSError | UnicodeError | None, words: str
) -> None:
    failure = explain_resolve("gw\n.test", error)

    assert (failure.reason, failure.rejected_by) == (Reason.DNS_FAILURE, None)
    assert words in failure.detail
    assert r"'gw\n.test'" in failure.detail


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress(), "nothing was received"),
        (TLS_BEGUN, "begun to answer"),
        (SHOWN, "its certificates were received"),
    ],
)
def test_a_timeout_says_how_far_it_came(progress: Progress, words: str) -> None:
    failure = explain_silence(progress, 2.5)

    assert (failure.reason, failure.rejected_by) == (Reason.HANDSHAKE_TIMEOUT, None)
    assert "within 2.5 s" in failure.detail
    assert words in failure.detail


def test_a_name_that_cannot_be_sent_is_shown_escaped() -> None:
    assert r"'a\x00b'" in explain_name("a\x00b", "why").detail
