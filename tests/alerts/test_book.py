import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import yaml

from exporter.alerts.book import alerts_of, groups_of, rules_text
from exporter.alerts.document import committed
from exporter.alerts.model import Alert, Recording, Severity
from exporter.alerts.values import Expiry, Links, Values

ROOT = Path(__file__).parents[2]
ALERTS = list(alerts_of(Values()))
RULES = [rule for group in groups_of(Values()) for rule in group.rules]


@pytest.mark.parametrize("name", committed())
def test_what_is_committed_is_what_the_values_make(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == committed()[name], (
        "run: python -m exporter.alerts.document"
    )


def test_the_page_says_it_in_words_and_not_as_a_template() -> None:
    assert not {"{{", "}}"} & set(re.findall(r"{{|}}", committed()["docs/alerts.md"]))


def test_the_file_says_what_the_rules_are() -> None:
    groups = yaml.safe_load(rules_text(Values()))["groups"]

    for group, wanted in zip(groups, groups_of(Values()), strict=True):
        assert group["name"] == wanted.name
        assert group.get("interval") == ("2m" if wanted.every_s else None)
        for rule, meant in zip(group["rules"], wanted.rules, strict=True):
            assert rule["expr"] == re.sub(r" +$", "", meant.expr.strip(), flags=re.MULTILINE)
            if isinstance(meant, Alert):
                assert rule["annotations"]["summary"] == meant.summary
                assert rule["annotations"]["description"] == meant.description
                assert rule["labels"]["severity"] == meant.severity
            else:
                assert set(rule) == {"record", "expr"}


def test_recordings_are_named_by_level_metric_and_operation() -> None:
    names = [rule.name for rule in RULES if isinstance(rule, Recording)]

    assert len(names) == len(set(names))
    for name in names:
        assert re.fullmatch(r"(target|device|gateway):fleet_tls_[a-z_]+:[a-z]+", name)


def test_of_one_alert_each_severity_has_one_rule() -> None:
    # ChainNotVerified is told apart by the role of the target
    per_severity = Counter((alert.name, alert.severity) for alert in ALERTS)

    assert set(per_severity.values()) == {1}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_says_what_it_is_about(alert: Alert) -> None:
    assert re.fullmatch(r"FleetTLS[A-Z][A-Za-z]+", alert.name)
    assert not alert.summary.endswith(".")
    assert alert.description.endswith((".", "{{ end }}"))
    assert alert.description.count("{{ if") == alert.description.count("{{ else }}")
    for text in (alert.summary, alert.description):
        assert "  " not in text
        assert text.isascii()


def test_only_alerts_with_a_gateway_ask_for_a_rollback() -> None:
    asking = {alert.name: alert for alert in ALERTS if alert.more.get("remediation")}

    assert set(asking) == {"FleetTLSGatewayNotAccepted", "FleetTLSDevicesRefuseGateway"}
    assert all("gateway:" in one.expr for one in asking.values())
    assert {one.severity for one in asking.values()} == {Severity.CRITICAL}


def test_links_lead_where_the_values_say() -> None:
    links = Links(exporter="https://tls.example", dashboards="https://grafana.example/x")

    text = rules_text(Values(links=links))

    assert '"https://tls.example/runbooks/FleetTLSCertificateExpired"' in text
    assert '"https://grafana.example/x/d/fleet-tls' in text
    assert "127.0.0.1" not in text


def test_a_threshold_is_where_the_values_say() -> None:
    text = rules_text(Values(expiry=Expiry(info=60 * 86_400.0)))

    assert f"< time() + {60 * 86_400}" in text
    assert f"< time() + {30 * 86_400}" not in text


def test_an_alert_that_is_not_wanted_is_left_out_and_what_others_need_stays() -> None:
    silent = ("FleetTLSDeviceSilent", "FleetTLSDeviceNeverSeen")

    left = groups_of(Values(without=silent))

    assert not {rule.name for group in left for rule in group.rules} & set(silent)
    assert len(left) == len(groups_of(Values()))
    assert "device:fleet_tls_silence_seconds:overdue" in rules_text(Values(without=silent))


def test_a_severity_is_what_the_values_say() -> None:
    values = Values(severities={"FleetTLSTrustStoreMismatch": Severity.CRITICAL})

    found = {alert.severity for alert in alerts_of(values) if "Mismatch" in alert.name}

    assert found == {Severity.CRITICAL}


def test_no_wait_and_no_hold_are_not_written() -> None:
    assert "keep_firing_for" not in rules_text(Values(keep_firing_for=0.0))
    assert "for: 0s" not in rules_text(Values())


# What promtool is asked of each alert


@cache
def cases() -> dict[str, set[str]]:
    """What stands before the colon of a test's name are alerts, what follows are the cases."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "tests/rules").glob("*_test.yml"):
        for test in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            names, _, kinds = test["name"].partition(":")
            for name in re.findall(r"FleetTLS\w+", names):
                found.setdefault(name, set()).update(
                    kind
                    for kind in ("fires", "does not fire", "boundary", "gap", "after expiry",
                                 "counter reset")
                    if kind in kinds
                )  # fmt: skip
    return found


@cache
def spoken() -> set[str]:
    return {
        one["alertname"]
        for path in (ROOT / "tests/rules").glob("words*_test.yml")
        for test in yaml.safe_load(path.read_text("utf-8"))["tests"]
        for one in test["alert_rule_test"]
    }


@pytest.mark.parametrize("name", sorted({alert.name for alert in ALERTS}))
def test_every_alert_is_put_through_every_case(name: str) -> None:
    wanted = {"fires", "does not fire", "boundary", "gap"}
    exprs = " ".join(alert.expr for alert in ALERTS if alert.name == name)
    if "Certificate" in name and ("Expire" in name):
        wanted.add("after expiry")
    if re.search(r"increase\(|rate\(|handshake_success:ratio", exprs):
        wanted.add("counter reset")

    assert wanted - cases()[name] == set()
    assert name in spoken()
