"""What the demo says of itself."""

import json
from datetime import UTC, datetime

import pytest

from exporter.demo.device import Contact
from exporter.demo.options import Break, DemoOptions
from exporter.demo.screen import Whereabouts, as_json, greeting, summary
from exporter.demo.watch import attempts_in

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
