"""Which source cannot show a refusal, and what would help."""

from pathlib import Path

import pytest

from exporter.handshake_log import advice
from exporter.handshake_log.doctor import Diagnosis, examine
from exporter.handshake_log.options import Options, Side
from exporter.handshake_log.set_up import Sight, Terminators
from tests.handshake_log.snippets import snippet

REFUSED = (
    "2026/11/24 03:58:49 [info] 29625#29625: *5 SSL_do_handshake() failed (SSL: error:0A000418:"
    "SSL routines::tlsv1 alert unknown ca:SSL alert number 48) while SSL handshaking, client: "
    "10.0.0.7, server: 0.0.0.0:8883\n"
)
ACCEPTED = (
    "10.0.0.1 [24/Nov/2026:03:58:48 +0000] TLSv1.3 TLS_AES_256_GCM_SHA384 resumed=. status=200 "
    'sni="gw" client="CN=dev-1" client_end="Feb 22 02:58:48 2027 GMT"\n'
)
VAGUE = (
    "Nov 24 03:59:02 gw haproxy[811]: 10.1.0.9:46290 [24/Nov/2026:03:59:02.862] fe/1: SSL "
    "handshake failure\n"
)
ORDINARY = "2026/11/24 03:58:49 [notice] 29625#29625: signal process started\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("nginx", "haproxy", "mosquitto", "apache", "stunnel"):
        (tmp_path / "etc" / name).mkdir(parents=True)
    return tmp_path


def terminators(place: Path) -> Terminators:
    names = ("nginx", "haproxy", "mosquitto", "apache", "stunnel")
    return Terminators(**{name: place / "etc" / name for name in names})


def examined(place: Path, log: Path, **more: object) -> Diagnosis:
    options = Options.model_validate({"file": log, **more})
    [diagnosis] = examine([options], terminators(place))
    return diagnosis


def sentences(diagnosis: Diagnosis) -> str:
    return " | ".join(remark.sentence for remark in diagnosis.remarks)


@pytest.mark.parametrize("name", list(advice.SNIPPETS))
def test_the_advice_is_what_the_page_says(name: str) -> None:
    assert advice.SNIPPETS[name] == snippet(name)


@pytest.mark.parametrize(
    ("line", "sight"),
    [
        pytest.param("error_log {log};", Sight.BLIND, id="default level"),
        pytest.param("error_log {log} error;", Sight.BLIND, id="error"),
        pytest.param("error_log {log} warn;", Sight.BLIND, id="warn"),
        pytest.param("  error_log  {log}  info ;", Sight.CLEAR, id="info"),
        pytest.param("error_log {log} debug;", Sight.CLEAR, id="debug"),
    ],
)
def test_nginx_is_judged_by_the_level_of_this_very_log(
    place: Path, line: str, sight: Sight
) -> None:
    log = place / "error.log"
    log.write_text(ORDINARY + ACCEPTED)
    other = "error_log /elsewhere/error.log info;\n# error_log " + str(log) + " info;\n"
    (place / "etc/nginx/nginx.conf").write_text(other + line.format(log=log) + "\n")

    diagnosis = examined(place, log)

    assert diagnosis.sight is sight, sentences(diagnosis)


def test_the_advice_for_nginx_names_the_file_that_is_followed(place: Path) -> None:
    log = place / "error.log"
    log.write_text(ORDINARY + ACCEPTED)
    (place / "etc/nginx/nginx.conf").write_text(f"error_log {log} error;\n")

    [remark] = examined(place, log).remarks

    assert remark.sentence == (
        "nginx error_log at level error: the device's refusal is logged at info, as is every"
        " other failed handshake but a timeout in stream"
    )
    assert remark.snippet == f"error_log {log} info;\n"


@pytest.mark.parametrize(
    ("program", "text", "sight"),
    [
        ("haproxy", "defaults\n option httplog\n", Sight.BLIND),
        ("haproxy", "defaults\n option httpslog\n", Sight.CLEAR),
        ("haproxy", advice.HAPROXY_FORMATS, Sight.CLEAR),
        ("mosquitto", "listener 8883\n", Sight.CLEAR),
        ("mosquitto", "log_type error\nlog_type warning\n", Sight.BLIND),
        ("mosquitto", "log_type all\nconnection_messages false\n", Sight.PARTIAL),
        ("mosquitto", advice.MOSQUITTO_LOG_TYPES, Sight.CLEAR),
        ("apache", "ServerName x\n", Sight.BLIND),
        ("apache", "LogLevel warn\n", Sight.BLIND),
        ("apache", "LogLevel warn ssl:info\n", Sight.CLEAR),
        ("apache", advice.APACHE_LOG_LEVEL, Sight.CLEAR),
        ("stunnel", "foreground = yes\n", Sight.PARTIAL),
        ("stunnel", "debug = daemon.7\n", Sight.CLEAR),
        ("stunnel", advice.STUNNEL_DEBUG_LEVEL, Sight.CLEAR),
    ],
)
def test_each_terminator_is_judged_by_its_configuration(
    place: Path, program: str, text: str, sight: Sight
) -> None:
    ending = "cfg" if program == "haproxy" else "conf"
    (place / "etc" / program / f"{program}.{ending}").write_text(text)
    (place / program).mkdir()
    log = place / program / "log"
    log.write_text("a line of no interest\n")

    diagnosis = examined(place, log)

    assert sight in {remark.sight for remark in diagnosis.remarks}, sentences(diagnosis)
    assert (diagnosis.sight is Sight.BLIND) == (sight is Sight.BLIND)


@pytest.mark.parametrize(
    ("program", "text", "words"),
    [
        ("nginx", "error_log LOG info;\n", "its stream module logs nothing of a timeout"),
        (
            "haproxy",
            "defaults\n option dontlognull\n" + advice.HAPROXY_FORMATS,
            "option dontlognull keeps a timeout out of the log",
        ),
        ("mosquitto", "listener 8883\n", "it writes nothing of a reset connection"),
        ("apache", "LogLevel warn\n", "as are a missing client certificate, no common version,"),
        (
            "apache",
            "LogLevel warn ssl:info\n",
            "a reset connection and a timeout show at ssl:debug only",
        ),
        ("apache", advice.APACHE_LOG_LEVEL, "shows every failed handshake"),
        ("stunnel", "foreground = yes\n", "good handshakes and a timeout show at info only"),
    ],
)
def test_what_a_program_keeps_to_itself_is_said(
    place: Path, program: str, text: str, words: str
) -> None:
    (place / program).mkdir()
    log = place / program / "error.log"
    ending = "cfg" if program == "haproxy" else "conf"
    (place / "etc" / program / f"{program}.{ending}").write_text(text.replace("LOG", str(log)))
    log.write_text(ORDINARY if program == "nginx" else "a line of no interest\n")

    assert words in sentences(examined(place, log))


def test_go_has_nothing_to_set_and_its_one_silence_is_said(place: Path) -> None:
    log = place / "server.log"
    log.write_text("http: TLS handshake error from 10.0.0.5:40000: EOF\n")

    diagnosis = examined(place, log)

    assert "it answers plain HTTP on the TLS port, and writes nothing of it" in sentences(
        diagnosis
    )
    assert diagnosis.sight is Sight.PARTIAL  # no good handshakes


def test_a_log_that_shows_refusals_proves_it_by_itself(place: Path) -> None:
    log = place / "error.log"
    log.write_text((REFUSED + ACCEPTED) * 3)

    diagnosis = examined(place, log)

    assert diagnosis.sight is Sight.CLEAR
    assert "3 of its latest 6 lines say who refused" in sentences(diagnosis)


def test_failures_without_a_reason_prove_that_something_is_missing(place: Path) -> None:
    log = place / "haproxy.log"
    log.write_text(VAGUE * 2)

    diagnosis = examined(place, log)

    assert diagnosis.sight is Sight.BLIND
    assert "2 failed handshakes and never says why" in sentences(diagnosis)
    assert diagnosis.remarks[0].snippet == advice.HAPROXY_FORMATS


def test_a_quiet_log_of_unknown_settings_is_not_called_healthy(place: Path) -> None:
    log = place / "some.log"
    log.write_text(ORDINARY + ACCEPTED)

    diagnosis = examined(place, log)

    assert diagnosis.sight is Sight.UNKNOWN
    assert "there was none, or it is not set up to show one" in sentences(diagnosis)


def test_a_log_without_good_handshakes_is_told_to_have_no_total(place: Path) -> None:
    log = place / "error.log"
    log.write_text(REFUSED)

    diagnosis = examined(place, log)

    assert "tells of no good handshake" in sentences(diagnosis)
    assert [remark.snippet for remark in diagnosis.remarks if remark.sight is Sight.PARTIAL] == [
        advice.NGINX_STREAM_FORMAT
    ]


def test_resumption_that_is_never_told_is_said(place: Path) -> None:
    log = place / "mosquitto.log"
    log.write_text("1795492801: New client connected from 10.0.0.1:55 as dev-1 (p2, c1, k60).\n")

    assert "never says whether a session was resumed" in sentences(examined(place, log))


def test_a_devices_own_log_needs_no_settings(place: Path) -> None:
    log = place / "device.log"
    log.write_text(ORDINARY)
    (place / "etc/nginx/nginx.conf").write_text(f"error_log {log} error;\n")

    diagnosis = examined(place, log, side=Side.DEVICE)

    assert all(remark.sight is not Sight.BLIND for remark in diagnosis.remarks)


def test_what_is_not_there_or_not_readable_is_blind(place: Path) -> None:
    missing = examined(place, place / "missing.log")
    (place / "folder.log").mkdir()
    folder = examined(place, place / "folder.log")

    assert missing.sight is Sight.BLIND
    assert "it is followed as soon as it appears" in sentences(missing)
    assert folder.sight is Sight.BLIND
    assert "cannot be read" in sentences(folder)


def test_an_empty_log_says_nothing(place: Path) -> None:
    log = place / "empty.log"
    log.touch()

    assert "holds no line yet" in sentences(examined(place, log))


def test_every_file_of_a_pattern_is_looked_at(place: Path) -> None:
    (place / "a.log").write_text(REFUSED + ACCEPTED)
    (place / "b.log").write_text(VAGUE)

    diagnosis = examined(place, place / "*.log")

    assert diagnosis.source == f"file: {place}/*.log"
    assert diagnosis.sight is Sight.BLIND
    assert "a.log shows refusals" in sentences(diagnosis)


@pytest.mark.parametrize("key", ["journald", "push", "stdin"])
def test_what_comes_from_elsewhere_cannot_be_judged(place: Path, key: str) -> None:
    value = {"journald": "nginx.service", "push": "site-a", "stdin": True}[key]
    token = {"token_file": place / "token"} if key == "push" else {}
    options = Options.model_validate({key: value, **token})

    [diagnosis] = examine([options], terminators(place))

    assert diagnosis.sight is Sight.UNKNOWN
    assert diagnosis.source == ("stdin" if key == "stdin" else f"{key}: {value}")


def test_a_configuration_that_cannot_be_read_is_left_out(place: Path) -> None:
    # a file whose first byte not even root can read
    (place / "etc/nginx/nginx.conf").symlink_to("/proc/self/mem")
    log = place / "error.log"
    log.write_text(REFUSED + ACCEPTED)

    assert examined(place, log).sight is Sight.CLEAR
