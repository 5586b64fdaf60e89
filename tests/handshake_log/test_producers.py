"""Real programs, real failures: what they write with docs/logging.md's settings, and without."""

import contextlib
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from exporter.clock import SystemClock
from exporter.handshake_log import silence
from exporter.handshake_log.scan import Scanner
from exporter.handshake_log.silence import Failing
from exporter.observations import HandshakeRecord, Reason, ToldBy
from tests.daemons import wait_until
from tests.handshake_log import producers
from tests.handshake_log.producers import PRODUCERS, Client, Pki, Producer
from tests.handshake_log.records import handshakes
from tests.handshake_log.snippets import snippet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CLOCK = SystemClock()
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
LOCAL, PEER = ToldBy.LOCAL, ToldBy.PEER
Told = tuple[Reason, ToldBy | None] | None  # None: the program says nothing


class Case(NamedTuple):
    """One way to fail, and what a log should tell of it."""

    name: str
    client: Client
    version: ssl.TLSVersion
    told: Told
    on_expired: bool = False

    @property
    def failing(self) -> Failing:
        return FAILING[self.client]


FAILING: Mapping[Client, Failing] = {
    producers.distrusting: Failing.DEVICE_REFUSES,
    producers.checking: Failing.DEVICE_REFUSES,
    producers.stranger: Failing.GATEWAY_REFUSES,
    producers.expired: Failing.GATEWAY_REFUSES,
    producers.nameless: Failing.NO_CERTIFICATE,
    producers.old_version: Failing.VERSION,
    producers.odd_cipher: Failing.CIPHER,
    producers.plain_http: Failing.NOT_TLS,
    producers.resetting: Failing.RESET,
    producers.silent: Failing.TIMEOUT,
}


CASES = (
    Case("unknown CA, by the device, 1.2", producers.distrusting, V12, (Reason.UNKNOWN_CA, PEER)),
    Case("unknown CA, by the device, 1.3", producers.distrusting, V13, (Reason.UNKNOWN_CA, PEER)),
    Case("expired, by the device, 1.2", producers.checking, V12, (Reason.EXPIRED, PEER), True),
    Case("expired, by the device, 1.3", producers.checking, V13, (Reason.EXPIRED, PEER), True),
    Case("unknown CA, by the gateway, 1.2", producers.stranger, V12, (Reason.UNKNOWN_CA, LOCAL)),
    Case("unknown CA, by the gateway, 1.3", producers.stranger, V13, (Reason.UNKNOWN_CA, LOCAL)),
    Case("expired, by the gateway, 1.2", producers.expired, V12, (Reason.EXPIRED, LOCAL)),
    Case("expired, by the gateway, 1.3", producers.expired, V13, (Reason.EXPIRED, LOCAL)),
    Case("no certificate, 1.2", producers.nameless, V12, (Reason.CLIENT_CERT_REQUIRED, LOCAL)),
    Case("no certificate, 1.3", producers.nameless, V13, (Reason.CLIENT_CERT_REQUIRED, LOCAL)),
    Case("version", producers.old_version, V12, (Reason.PROTOCOL_VERSION, LOCAL)),
    Case("cipher, 1.2", producers.odd_cipher, V12, (Reason.NO_SHARED_CIPHER, LOCAL)),
    Case("cipher, 1.3", producers.odd_cipher, V13, (Reason.NO_SHARED_CIPHER, LOCAL)),
    Case("plain HTTP", producers.plain_http, V12, (Reason.NOT_TLS, LOCAL)),
    Case("reset", producers.resetting, V12, (Reason.CONNECTION_RESET, PEER)),
    Case("timeout", producers.silent, V12, (Reason.HANDSHAKE_TIMEOUT, LOCAL)),
)

# What a program tells otherwise than as it is, with the settings of docs/logging.md and without.
BARE = (Reason.VERIFY_FAILED, LOCAL)
VAGUE = (Reason.OTHER, None)
BY_GATEWAY = {case.name for case in CASES if case.failing is Failing.GATEWAY_REFUSES}
# OpenSSL's "certificate verify failed" alone, without X509's reason; no line of a reset.
MOSQUITTO: dict[str, Told] = {**dict.fromkeys(BY_GATEWAY, BARE), "reset": None}
GNUTLS: dict[str, Told] = {
    **dict.fromkeys(BY_GATEWAY, BARE),
    # gnutls-serv takes the alert that comes instead of a certificate for "no certificate" and
    # cannot decrypt OpenSSL's plain alert in 1.3.
    "unknown CA, by the device, 1.2": (Reason.CLIENT_CERT_REQUIRED, LOCAL),
    "expired, by the device, 1.2": (Reason.CLIENT_CERT_REQUIRED, LOCAL),
    "unknown CA, by the device, 1.3": VAGUE,
    "expired, by the device, 1.3": VAGUE,
    "plain HTTP": (Reason.OTHER, LOCAL),  # "an unexpected TLS packet"
}
GO: dict[str, Told] = {
    "unknown CA, by the device, 1.3": VAGUE,  # "local error: bad record MAC"
    "expired, by the device, 1.3": VAGUE,
    "plain HTTP": None,  # answered, not logged
}
RECOMMENDED: dict[str, dict[str, Told]] = {
    "nginx-stream": {"timeout": None},
    "haproxy": {"timeout": None},
    "mosquitto": MOSQUITTO,
    "gnutls": GNUTLS,
    "go": GO,
}
NOTHING: dict[str, Told] = dict.fromkeys((case.name for case in CASES), None)
AT_DEFAULTS: dict[str, dict[str, Told]] = {
    "nginx-http": NOTHING,
    "nginx-stream": NOTHING,
    "haproxy": {
        **dict.fromkeys((case.name for case in CASES), VAGUE),
        **dict.fromkeys(BY_GATEWAY, BARE),  # "SSL client certificate not trusted"
        "timeout": None,
    },
    "mosquitto": MOSQUITTO,
    "apache": {name: told for name, told in NOTHING.items() if name not in BY_GATEWAY},
    "stunnel": {"timeout": None},
    "gnutls": GNUTLS,
    "go": GO,
}
# mosquitto and gnutls-serv wait for ever.
PATIENT = {"mosquitto", "gnutls"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return producers.make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that give nobody up, where no timeout is to be told."""
    monkeypatch.setattr(producers, "HANDSHAKE_TIMEOUT_S", 30)


def cases_of(name: str) -> Iterator[Case]:
    return (case for case in CASES if not (case.name == "timeout" and name in PATIENT))


def told_of(case: Case, producer: Producer, pki: Pki, wanted: Told) -> list[HandshakeRecord]:
    """The handshakes that the log tells of after one client of ``case``.

    Where that took longer than the program lets a handshake take, it may tell of that instead:
    then another client comes.
    """
    tries_left = 3
    while True:
        begin = CLOCK.monotonic()
        found, end = told_once(case, producer, pki, wanted)
        tries_left -= 1
        is_as_wanted = seen_in(found) == ([] if wanted is None else [wanted])
        is_in_time = end - begin < producers.HANDSHAKE_TIMEOUT_S
        if is_as_wanted or is_in_time or not tries_left:
            return found


def told_once(
    case: Case, producer: Producer, pki: Pki, wanted: Told
) -> tuple[list[HandshakeRecord], float]:
    """What the log tells of one client, and when that was done, by the clock.

    The log has time until what is wanted stands there, and then for a line too many.
    """
    before = [len(text) for text in producer.texts()]
    case.client(producer.expired_port if case.on_expired else producer.port, pki, case.version)
    done_at = CLOCK.monotonic()

    def new() -> list[HandshakeRecord]:
        added = (text[old:] for text, old in zip(producer.texts(), before, strict=True))
        return [found for text in added for found in handshakes(text) if not found.success]

    if wanted is not None:
        with contextlib.suppress(pytest.fail.Exception):  # what it does tell says more
            wait_until(lambda: seen_in(new()) == [wanted], within_s=20, what=case.name)
    settled(producer)
    return new(), done_at


def seen_in(found: Sequence[HandshakeRecord]) -> list[tuple[Reason | None, ToldBy | None]]:
    return [(one.reason, one.rejected_by) for one in found]


def settled(producer: Producer) -> None:
    """Wait until the log has not grown for a while: a line too many must have its chance."""
    seen: list[int] = []

    def quiet() -> bool:
        seen.append(len(producer.text()))
        return len(seen) > 5 and len(set(seen[-5:])) == 1

    wait_until(quiet, what="the log to rest")


def wrongly_told(
    producer: Producer, pki: Pki, cases: Iterator[Case], otherwise: Mapping[str, Told]
) -> list[tuple[str, object, Told]]:
    """The cases that the log does not tell once and as expected, with what it does tell."""
    wrong: list[tuple[str, object, Told]] = []
    for case in cases:
        told = otherwise.get(case.name, case.told)
        seen = seen_in(told_of(case, producer, pki, told))
        if seen != ([] if told is None else [told]):
            wrong.append((case.name, seen, told))
    return wrong


@pytest.mark.parametrize("name", list(PRODUCERS))
def test_the_recommended_settings_tell_every_failure_once_and_right(
    name: str, pki: Pki, tmp_path: Path
) -> None:
    with PRODUCERS[name](tmp_path / name, pki, True) as producer:
        assert not wrongly_told(producer, pki, cases_of(name), RECOMMENDED.get(name, {}))


@pytest.mark.parametrize("name", list(PRODUCERS))
def test_the_default_settings_tell_what_the_page_and_the_doctor_say_they_do(
    name: str, pki: Pki, tmp_path: Path
) -> None:
    with PRODUCERS[name](tmp_path / name, pki, False) as producer:
        assert not wrongly_told(producer, pki, cases_of(name), AT_DEFAULTS[name])


def test_haproxy_tells_a_timeout_where_empty_connections_are_logged(
    pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producers, "OF_DEBIANS_HAPROXY", "")
    timeouts = (case for case in CASES if case.failing is Failing.TIMEOUT)

    with PRODUCERS["haproxy"](tmp_path / "haproxy", pki, True) as producer:
        assert not wrongly_told(producer, pki, timeouts, {})


def test_apache_at_info_keeps_what_the_doctor_says_it_keeps(
    pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        producers,
        "snippet",
        lambda name, **instead: snippet(name, **instead).replace("ssl:debug", "ssl:info"),
    )
    otherwise: dict[str, Told] = {
        case.name: None for case in CASES if case.failing in silence.APACHE_AT_INFO
    }

    with PRODUCERS["apache"](tmp_path / "apache", pki, True) as producer:
        assert not wrongly_told(producer, pki, cases_of("apache"), otherwise)


NO_SUCCESSES = {"gnutls"}
_MEGABYTE = 1_000_000
# In the campaign a megabyte of its own; else what ten times two handshakes write, repeated.
CAMPAIGN = bool(os.environ.get("FLEET_TLS_CAMPAIGN"))


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("name", [name for name in PRODUCERS if name != "go"])  # which is silent
def test_a_megabyte_of_good_handshakes_raises_no_alarm(
    name: str, pki: Pki, tmp_path: Path
) -> None:
    count = 0
    with PRODUCERS[name](tmp_path / name, pki, True) as producer:
        while count < 20 or (CAMPAIGN and len(producer.text()) < _MEGABYTE):
            for version in (V12, V13):
                producers.good(producer.port, pki, version)
                count += 1
        expected = 0 if name in NO_SUCCESSES else count
        wait_until(lambda: len(handshakes(producer.text())) >= expected, what="all of them")
        settled(producer)
    text = producer.text()  # with the lines of start and end

    found = handshakes(text)
    scanner = Scanner()
    repeated = text * (_MEGABYTE // len(text) + 1)
    again = [*scanner.feed(repeated), *scanner.finish()]

    assert not [record for record in found if record.failure]
    assert len(found) == expected
    assert not [one for one in again if one.reading.record and one.reading.record.failure]
    assert not [one.line for one in again if one.reading.suspicious]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("name", ["nginx-http", "nginx-stream", "apache", "stunnel", "mosquitto"])
def test_a_debug_dump_raises_no_alarm(
    name: str, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producers, "DEBUG", True)
    much = 15 if name == "mosquitto" else 100

    with PRODUCERS[name](tmp_path / name, pki, True) as producer:
        for version in (V12, V13):
            producers.good(producer.port, pki, version)
        wait_until(lambda: len(producer.text().splitlines()) > much, what="a dump")
        settled(producer)
    found = handshakes(producer.text())

    assert len(producer.text().splitlines()) > much
    assert not [record for record in found if record.failure]


def test_the_producers_tell_who_the_peer_was(pki: Pki, tmp_path: Path) -> None:
    peers = {}
    for name in ("nginx-http", "nginx-stream", "haproxy", "apache", "go"):
        with PRODUCERS[name](tmp_path / name, pki, True) as producer:
            [found] = told_of(CASES[0], producer, pki, CASES[0].told)
        peers[name] = (found.peer or "").split(":")[0]

    assert set(peers.values()) == {"127.0.0.1"}, peers


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("name", ["nginx-http", "nginx-stream", "haproxy", "apache", "stunnel"])
def test_a_resumed_session_is_told_from_a_full_one(name: str, pki: Pki, tmp_path: Path) -> None:
    with PRODUCERS[name](tmp_path / name, pki, True) as producer:
        producers.resuming(producer.port, pki)

        def told() -> list[bool | None]:
            return [record.resumed for record in handshakes(producer.text())]

        # of a handshake in several lines the last one may say it
        wait_until(lambda: told() == [False, True], what="one handshake in full, one resumed")


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("name", ["nginx-http", "nginx-stream", "haproxy", "apache"])
def test_the_devices_own_end_date_comes_with_a_good_handshake(
    name: str, pki: Pki, tmp_path: Path
) -> None:
    with PRODUCERS[name](tmp_path / name, pki, True) as producer:
        producers.good(producer.port, pki, V13)

        def has_told_the_end() -> bool:  # of several lines the last one may do so
            return any(one.client_not_after for one in handshakes(producer.text()))

        wait_until(has_told_the_end, what="a handshake with the end of a certificate")
        [record] = handshakes(producer.text())

    assert record.client_not_after == pki.not_after("device")
    assert "dev-01" in record.names[0]
    assert record.server_name == "localhost"
