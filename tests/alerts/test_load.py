from pathlib import Path

import pytest

from exporter.alerts import Values, load_values, values_text
from exporter.alerts.model import Severity
from exporter.errors import ConfigError


def loaded(tmp_path: Path, text: str) -> Values:
    path = tmp_path / "v.yml"
    path.write_text(text)
    return load_values(path)


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_the_file_that_is_shown_says_what_holds_without_one(tmp_path: Path) -> None:
    assert loaded(tmp_path, values_text()) == Values()
    assert loaded(tmp_path, "") == Values()


def test_what_is_not_said_is_as_it_ships(tmp_path: Path) -> None:
    values = loaded(tmp_path, "expiry: {info: 45d}\nseverities: {FleetTLSDeviceSilent: info}\n")

    assert values.expiry.info == 45 * 86_400
    assert values.expiry.warning == Values().expiry.warning
    assert values.severities == {"FleetTLSDeviceSilent": Severity.INFO}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "v.yml:1: a mapping belongs here (key: value), as `rules --show-values` shows it"),
        (
            "expiry:\n  infos: 5d",
            "v.yml:2 expiry.infos: the key 'infos' is not known; did you mean 'info'?",
        ),
        (
            "expiry:\n  info: 5",
            "v.yml:2 expiry.info: 5 is not a duration; write it as Prometheus does, with a unit:"
            " 30s, 5m, 14d",
        ),
        (
            "expiry: {warning: 40d}",
            "v.yml:1 expiry: critical, warning and info must not fall in this order",
        ),
        (
            "expiry: {short_lived: {info_percent: 5}}",
            "v.yml:1 expiry.short_lived: critical_percent, warning_percent and info_percent must"
            " not fall in this order",
        ),
        (
            "handshakes: {device_percent: 101}",
            "v.yml:1 handshakes.device_percent: 101 is too large; at most 100 is allowed",
        ),
        (
            "links: {exporter: tls.example}",
            "v.yml:1 links.exporter: 'tls.example' is not a URL; write http://HOST/… or"
            " https://HOST/…",
        ),
        (
            "exporter: {job: 'a\"b'}",
            "v.yml:1 exporter.job: 'a\"b' is not usable; write the scrape job's name, or a"
            " regular expression without quotes and backslashes",
        ),
        (
            "without:\n  - FleetTLSDeviceSilence",
            "v.yml:2 without[0]: the alert 'FleetTLSDeviceSilence' is not known; did you mean"
            " 'FleetTLSDeviceSilent'?",
        ),
        (
            "severities: {FleetTLSCertificateExpiresSoon: info}",
            "v.yml:1 severities.FleetTLSCertificateExpiresSoon: FleetTLSCertificateExpiresSoon"
            " has several severities, each with a limit of its own; set those",
        ),
        (
            "severities: {FleetTLSDeviceSilent: page}",
            "v.yml:1 severities.FleetTLSDeviceSilent: the text 'page' is not allowed here;"
            " allowed: info, warning, critical",
        ),
    ],
)
def test_a_fault_is_told_with_its_line_and_what_would_be_right(
    tmp_path: Path, text: str, sentence: str
) -> None:
    assert refused(tmp_path, text).startswith(sentence)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    told = refused(tmp_path, "expiry: {info: 5}\nrefusal: {devices: 0}\nx: 1\n")

    assert [line.partition(" ")[0] for line in told.splitlines()] == [
        "v.yml:1",
        "v.yml:2",
        "v.yml:3",
    ]


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this file cannot be read"):
        load_values(tmp_path / "none.yml")
