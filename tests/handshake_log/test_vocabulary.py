import pytest

from exporter.handshake_log.vocabulary import hear
from exporter.handshake_log.words import NUMBERS, SAYINGS
from exporter.handshake_log.words.alerts import ALERTS, Alert
from exporter.handshake_log.words.openssl import REASONS, Because, packed
from exporter.handshake_log.words.saying import WORTH, Kind, Meaning, Saying
from exporter.handshake_log.words.x509 import ERRORS, VerifyError
from exporter.observations import Reason, ToldBy

# What only probes say: a log line tells of a handshake that had begun.
OF_PROBES = {
    Reason.DNS_FAILURE,
    Reason.CONNECT_REFUSED,
    Reason.CONNECT_TIMEOUT,
    Reason.UNREACHABLE,
    Reason.INTERNAL,
}


def test_every_reason_of_a_handshake_has_words_and_a_worth() -> None:
    reasons = {saying.reason for saying in SAYINGS if saying.reason is not None}

    assert reasons == set(Reason) - OF_PROBES == set(WORTH)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.names[0])
def test_openssl_says_a_read_alert_by_number_and_by_name(alert: Alert) -> None:
    number, reason, names = alert
    legacy, current = f"{0x14094000 + 1000 + number:08X}", f"{0x0A000000 + 1000 + number:08X}"
    boring = 0x10000000 + 1000 + number

    heard = [
        hear(f"gw: error:{legacy}:SSL routines:ssl3_read_bytes:sslv3 alert {names[0]}"),
        hear(f"gw: error:{current}:SSL routines::tlsv1 alert {names[0]}"),
        hear(f"gw: error:{current}:SSL routines::ssl/tls alert {names[0]}"),
        hear(f"gw: SSL error:{legacy}:lib(20):func(148):reason({1000 + number})"),
        hear(f"gw: TLS_error:|{boring}:SSL routines:OPENSSL_internal:X:TLS_error_end"),
        hear(f"gw: SSL_do_handshake() failed, SSL alert number {number}"),
    ]

    assert {one.failure for one in heard} == {True}
    assert {(one.reason, one.told_by) for one in heard} == {(reason, ToldBy.PEER)}


@pytest.mark.parametrize("row", [row for row in REASONS if row.openssl], ids=lambda row: row.text)
def test_openssl_says_its_own_reasons_by_number_in_both_layouts(row: Because) -> None:
    number, reason, told_by = row.openssl, row.reason, row.told_by
    assert number is not None

    assert packed(0x1417C000 + number) == Meaning(reason, told_by)
    assert packed(0x0A000000 + number) == Meaning(reason, told_by)


@pytest.mark.parametrize(
    "row", [row for row in REASONS if row.boringssl], ids=lambda row: row.text
)
def test_boringssl_says_its_own_reasons_by_number(row: Because) -> None:
    number, reason, told_by = row.boringssl, row.reason, row.told_by
    assert number is not None

    assert packed(0x10000000 + number) == Meaning(reason, told_by)


def test_a_code_of_another_library_says_nothing_of_a_handshake() -> None:
    assert packed(0x0909006C) is None  # PEM
    assert packed(0x80000002) is None  # system
    assert packed(0x0A000000 + 1000) == Meaning(Reason.CONNECTION_RESET, ToldBy.PEER)
    assert packed(0x0A000000 + 999) == Meaning(Reason.OTHER, ToldBy.LOCAL)


@pytest.mark.parametrize(
    "error", [error for error in ERRORS if error.texts], ids=lambda e: e[2][0]
)
def test_a_certificates_fault_is_heard_by_number_and_by_text(error: VerifyError) -> None:
    number, reason, texts = error

    by_text = hear(f"TLS error: certificate verify failed: {texts[0]}")
    by_number = hear(f"upstream SSL certificate verify error: ({number}:x)")

    if WORTH[reason] > WORTH[Reason.VERIFY_FAILED]:
        assert (by_text.reason, by_text.told_by) == (reason, ToldBy.LOCAL)
        assert (by_number.reason, by_number.told_by) == (reason, ToldBy.LOCAL)
    assert by_text.failure
    assert by_number.failure


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("TLS: received fatal alert: unknown ca", ToldBy.PEER),
        ("TLS Alert read:fatal:unknown CA", ToldBy.PEER),
        ("TLS Alert write:fatal:unknown CA", ToldBy.LOCAL),
        (
            "TLS server: In state x at y.erl:1 generated SERVER ALERT: Fatal - Unknown CA",
            ToldBy.LOCAL,
        ),
        ("remote error: tls: unknown certificate authority", ToldBy.PEER),
        ("fatal alert: unknown ca (TLS)", None),
    ],
)
def test_words_for_the_side_win(text: str, side: ToldBy | None) -> None:
    heard = hear(text)

    assert (heard.reason, heard.told_by) == (Reason.UNKNOWN_CA, side)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("TLS error: unexpected EOF with reason: certificate verify failed", Reason.VERIFY_FAILED),
        ("TLS error: certificate verify failed: certificate has expired", Reason.EXPIRED),
        ("x509: certificate has expired or is not yet valid", Reason.EXPIRED),
        (
            "x509: certificate has expired or is not yet valid: current time 2026-01-01T00:00:00Z "
            "is before 2026-02-01T00:00:00Z",
            Reason.NOT_YET_VALID,
        ),
        (
            "tls: x509: certificate signed by unknown authority (possibly because of "
            '"crypto/rsa: verification error" while trying to verify candidate)',
            Reason.UNKNOWN_CA,
        ),
        ("TLS error: self-signed certificate in certificate chain", Reason.UNKNOWN_CA),
        ("TLS error: self-signed certificate", Reason.SELF_SIGNED),
    ],
)
def test_the_cause_wins_over_what_follows_from_it(text: str, reason: Reason) -> None:
    assert hear(text).reason is reason


@pytest.mark.parametrize(
    "text", ["connection reset by peer", "request timed out", "EOF", "expired"]
)
def test_everyday_words_alone_are_no_failed_handshake(text: str) -> None:
    assert not hear(text).failure
    assert hear(f"TLS handshake error: {text}").failure


def test_trouble_with_tls_that_nobody_knows_is_suspicious() -> None:
    heard = hear("gw: TLS fatal: quux 17")

    assert heard.suspicious
    assert not heard.failure


def test_nothing_is_heard_in_silence() -> None:
    assert not hear("").failure
    assert hear("").reason is None


def test_a_long_text_is_heard_like_a_short_one() -> None:
    text = "error:0A000418:SSL routines::tlsv1 alert unknown ca"

    assert hear(text.ljust(5000)).reason is hear(text).reason is Reason.UNKNOWN_CA


def test_a_saying_matches_whole_words_in_all_spellings() -> None:
    saying = Saying(words="unknown ca", kind=Kind.HINTS)

    for spelling in ("unknown ca", "UNKNOWN_CA", "UnknownCA", "unknown-ca"):
        assert hear(f"TLS error: alert {spelling}.").reason is Reason.UNKNOWN_CA
    assert hear("TLS error: unknown cache").reason is not Reason.UNKNOWN_CA
    assert saying.pattern().startswith("(?i)")


def test_every_number_has_a_mark_that_its_pattern_needs() -> None:
    for number in NUMBERS:
        assert number.mark == number.mark.lower()
        assert number.pattern.groups == 1
