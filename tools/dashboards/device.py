"""The dashboard *Device*: what one device trusts, how its handshakes go, what it serves."""

from tools.dashboards.model import (
    RATIO,
    TIME_LEFT,
    Board,
    Column,
    Kind,
    Panel,
    Row,
    Variable,
)
from tools.dashboards.terms import (
    ACCEPTED,
    DEVICE,
    DONE,
    ENDS,
    JOB,
    SYNCED,
    TO_GATEWAY,
    VERIFIED,
    drawn,
    lines,
    listed,
    of_job,
    one,
)

_LAST_SUCCESS = "fleet_tls_handshake_last_success_timestamp_seconds"
_D = 'device="$device"'
_T = 'target="$device"'
_BINARY = ((None, "red"), (1, "green"))
_NO_LOG = "No handshake log has told of this device"
_NO_REPORT = "Not known: no fresh report of this device, or nothing is wanted of it"
_NO_ENDPOINT = "This device has no endpoint of its own that is looked at"


def _now() -> tuple[Panel, ...]:
    return (
        one(
            "Would it accept its gateway",
            "By what it trusts and what its gateway serves now.",
            f"min({of_job('fleet_tls_device_accepts_gateway', _D)})",
            empty="Not known: its trust store is not, or the gateway's chain is not",
            words=ACCEPTED,
            steps=_BINARY,
        ),
        one(
            "Latest handshake",
            "Whether its latest full handshake failed, by the handshake log.",
            f"1 - (max({of_job('fleet_tls_device_failing', _D)})"
            f" or 0 * max({of_job('fleet_tls_handshakes_total', _D)}))",
            empty=_NO_LOG,
            words={0: ("failed", "red"), 1: ("good", "green")},
            steps=_BINARY,
        ),
        one(
            "Last good handshake, ago",
            "By the handshake log. Silence is not success.",
            f"time() - max({of_job(_LAST_SUCCESS, _D)})",
            empty=_NO_LOG,
            unit="dtdurations",
        ),
        one(
            "Expected every",
            "The contact_interval of its class.",
            f"max({of_job('fleet_tls_device_contact_interval_seconds', _D)})",
            empty="Its class has no contact_interval",
            unit="dtdurations",
        ),
        one(
            "Trust store",
            "Whether its last report holds every CA that is wanted of it.",
            f"min({of_job('fleet_tls_trust_store_synced', _D)})",
            empty=_NO_REPORT,
            words=SYNCED,
            steps=_BINARY,
        ),
        one(
            "Last report, ago",
            "When it last said what it trusts, as received.",
            f"time() - max({of_job('fleet_tls_trust_store_report_timestamp_seconds', _D)})",
            empty="It never reported what it trusts",
            unit="dtdurations",
        ),
    )


def _inventory() -> tuple[Panel, ...]:
    info = of_job("fleet_tls_target_info", _T)
    return (
        listed(
            "In the inventory",
            "What the inventory says of it.",
            f"max by (target, gateway, device_class, rollout_group, address) ({info})",
            columns=(
                Column(name="target", title="Device"),
                Column(name="gateway", title="Gateway", links=(TO_GATEWAY,)),
                Column(name="device_class", title="Class"),
                Column(name="rollout_group", title="Rollout group"),
                Column(name="address", title="Address"),
            ),
            span=16,
            height=5,
        ),
        one(
            "Its own certificate ends in",
            "The certificate that it shows to its gateway, as the gateway's log has it.",
            f"min({of_job('fleet_tls_client_certificate_not_after_timestamp_seconds', _D)})"
            " - time()",
            empty="No log tells of it: the gateway asks for none, or does not log its end",
            unit="dtdurations",
            steps=TIME_LEFT,
            span=8,
            height=5,
        ),
    )


def _handshakes() -> tuple[Panel, ...]:
    full = of_job("fleet_tls_handshakes_total", _D)
    failures = of_job("fleet_tls_handshake_failures_total", _D)
    return (
        lines(
            "Handshakes with its gateway",
            "Full ones, failed ones included.",
            (f"sum(max by (job, gateway) (increase({full}[$__rate_interval])))", "full"),
            empty=_NO_LOG,
        ),
        lines(
            "Failed handshakes by reason and by who refused",
            "Refused by the device: its trust store. Refused by the gateway: its certificate.",
            ("sum by (reason, rejected_by) (max by (job, gateway, reason, rejected_by)"
             f" (increase({failures}[$__rate_interval]))) > 0",
             "{{reason}}, by the {{rejected_by}}"),
            empty="No failed handshake, as far as a handshake log is read",
        ),
        lines(
            "Handshakes that succeed",
            "Over the window of the alert rules.",
            (f"min({of_job('device:fleet_tls_handshake_success:ratio', _D)})", "succeed"),
            empty="No handshake log has told of it within the rules' window",
            unit="percentunit",
            steps=RATIO,
        ),
        drawn(
            Kind.STATES,
            "Would it accept its gateway",
            "Over time, by what it trusts. A gap: it was not known then.",
            (f"min by (gateway) ({of_job('fleet_tls_device_accepts_gateway', _D)})",
             "{{gateway}}"),
            empty="Not known: its trust store is not, or the gateway's chain is not",
            words=ACCEPTED,
        ),
        drawn(
            Kind.STATES,
            "Trust store",
            "Whether its report holds every CA that is wanted of it.",
            (f"min({of_job('fleet_tls_trust_store_synced', _D)})", "trust store"),
            empty=_NO_REPORT,
            words=SYNCED,
            height=5,
        ),
        lines(
            "Since its last good handshake",
            "Beside how often it is expected.",
            (f"time() - max({of_job(_LAST_SUCCESS, _D)})", "since the last good handshake"),
            (f"max({of_job('fleet_tls_device_contact_interval_seconds', _D)})", "expected every"),
            empty=_NO_LOG,
            unit="s",
            height=5,
        ),
    )  # fmt: skip


def _endpoint() -> tuple[Panel, ...]:
    return (
        one("Handshake", "With its own endpoint, at the latest look.",
            f"max({of_job('fleet_tls_probe_handshake_success', _T)})",
            empty=_NO_ENDPOINT, words=DONE, steps=_BINARY),
        one("Chain", "Whether every trust store of the endpoint accepts what it serves.",
            f"min({of_job('fleet_tls_chain_verified', _T)})",
            empty=_NO_ENDPOINT, words=VERIFIED, steps=_BINARY),
        one("Chain ends in", "Until the path that verifies ends.",
            f"min({of_job(ENDS, _T)}) - time()",
            empty=_NO_ENDPOINT, unit="dtdurations", steps=TIME_LEFT),
        listed(
            "Why it is not verified",
            "Each trust store that does not accept the chain, and each reason.",
            f"max by (trust_store, reason) ({of_job('fleet_tls_chain_problem', _T)})",
            columns=(Column(name="trust_store", title="Trust store"),
                     Column(name="reason", title="Reason")),
            empty="No problem is known; see the panel Chain whether the chain is",
            span=12,
            height=4,
        ),
        lines(
            "Duration of looks",
            "Of each phase that the latest look reached.",
            (f"max by (phase) ({of_job('fleet_tls_probe_duration_seconds', _T)})", "{{phase}}"),
            empty=_NO_ENDPOINT,
            unit="s",
            span=24,
        ),
    )  # fmt: skip


DEVICE_BOARD = Board(
    uid=DEVICE,
    title="Fleet TLS / Device",
    says="What one device trusts, how its handshakes with its gateway go, and what it serves.",
    variables=(
        Variable(
            name="gateway",
            label="Behind",
            query=f'label_values(fleet_tls_target_info{{{JOB}, role="device"}}, gateway)',
            many=True,
        ),
        Variable(
            name="device",
            label="Device",
            query="label_values("
            f'fleet_tls_target_info{{{JOB}, role="device", gateway=~"$gateway"}}, target)',
        ),
    ),
    links=(("This device at the exporter", "${exporter:raw}/targets/${device:percentencode}"),),
    rows=(
        Row(title="$device now", panels=(*_now(), *_inventory())),
        Row(title="Handshakes and trust", panels=_handshakes()),
        Row(title="Its own endpoint", panels=_endpoint()),
    ),
)
