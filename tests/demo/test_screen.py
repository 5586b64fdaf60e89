"""What the demo says of itself."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.demo.alert import alert_body
from exporter.demo.device import Contact
from exporter.demo.options import Break, DemoOptions, Remediation, Terminator
from exporter.demo.screen import Whereabouts, as_json, greeting, summary
from exporter.demo.watch import attempts_in
from exporter.webhook.payload import read_delivery

ROOT = Path(__file__).parents[2]

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
FOUND = Whereabouts(
    exporter="http://127.0.0.1:9883",
    gateway="127.0.0.1:40001",
    management_api="http://127.0.0.1:40002",
    token_file="/demo/token",  # noqa: S106 - a path
    directory="/demo",
)


def test_the_json_is_one_line_with_what_scripts_rely_on() -> None:
    line = as_json(FOUND)

    assert "\n" not in line
    assert json.loads(line) == {
        "exporter": "http://127.0.0.1:9883",
        "gateway": "127.0.0.1:40001",
        "management_api": "http://127.0.0.1:40002",
        "token_file": "/demo/token",
        "directory": "/demo",
    }


@pytest.mark.parametrize("broken", [None, *Break])
def test_a_person_sees_the_urls_and_the_outages_not_tried_yet(broken: Break | None) -> None:
    text = greeting(FOUND, DemoOptions(break_=broken), "Distributed: 18/18 devices", "here/x")

    assert "http://127.0.0.1:9883/metrics" in text
    assert "  here/x probe 127.0.0.1:40001 " in text
    assert ("  here/x rollback " in text) is (broken is not None)
    assert "http://127.0.0.1:40002" in text
    assert ("Rotation: SUCCESS, Distributed: 18/18" in text) is (broken is Break.UNKNOWN_CA)
    assert ("BROKEN" in text) is (broken is not None)
    for way in Break:
        assert (f'make demo ARGS="--break {way}"' in text) is (way is not broken)


@pytest.mark.parametrize("mode", list(Remediation))
def test_whoever_broke_it_is_told_how_to_send_the_alert(mode: Remediation) -> None:
    options = DemoOptions(break_=Break.EXPIRED, remediation=mode)

    text = greeting(FOUND, options, "", "x")

    assert "--data @/demo/alert.json http://127.0.0.1:9883/webhook/alertmanager" in text
    assert "$(cat /demo/token)" in text
    assert ("rolls back" in text) is (mode is Remediation.ACT)
    assert "too_few_witnesses" not in text
    on_mosquitto = replace(options, terminator=Terminator.MOSQUITTO)
    assert "too_few_witnesses" in greeting(FOUND, on_mosquitto, "", "x")


def test_the_alert_is_one_that_the_webhook_takes() -> None:
    data = json.dumps(alert_body("gw-1", NOON)).encode()

    (alert,) = read_delivery(data, {"gw-1"}).alerts

    assert (alert.gateway, alert.ignored, alert.is_firing) == ("gw-1", None, True)
    assert alert.starts_at == NOON
    assert f"- alert: {alert.name}\n" in (ROOT / "rules/fleet-tls.rules.yml").read_text()


def test_the_summary_counts_refusals_and_does_not_count_the_unheard() -> None:
    contacts = {
        name: Contact(device=name, at=NOON, refusal=refusal)
        for name, refusal in [("a", None), ("b", "expired"), ("c", "expired"), ("d", "gone")]
    }

    assert summary(contacts, 5) == "1 of 5 devices reach the gateway; 2: expired, 1: gone"
    assert summary({}, 5) == "0 of 5 devices reach the gateway"


def test_looks_are_read_from_the_metrics_text() -> None:
    text = (
        "# HELP fleet_tls_probe_last_attempt_timestamp_seconds x\n"
        'fleet_tls_probe_last_attempt_timestamp_seconds{target="gw-1"} 1795521600.5\n'
        'fleet_tls_probe_last_handshake_timestamp_seconds{target="dev-03"} 1795521600\n'
    )

    assert attempts_in(text) == {"gw-1": datetime.fromtimestamp(1795521600.5, tz=UTC)}
