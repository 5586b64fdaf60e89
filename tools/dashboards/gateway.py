"""The dashboard *Gateway*: what one gateway serves, who accepts it, and how handshakes go."""

from tools.dashboards.model import (
    NONE_IS_GOOD,
    RATIO,
    TIME_LEFT,
    Annotation,
    Board,
    Column,
    Kind,
    Panel,
    Row,
)
from tools.dashboards.terms import (
    DONE,
    ENDS,
    GATEWAY,
    GATEWAYS,
    LOGGED,
    OVERDUE,
    PREDICTED,
    TO_DEVICE,
    VERIFIED,
    YES,
    drawn,
    lines,
    listed,
    of_job,
    one,
    or_none,
)

_T = 'target="$gateway"'
_G = 'gateway="$gateway"'
_NAMED = 'device!=""'
_ACCEPTS = of_job("fleet_tls_device_accepts_gateway", _G)
_SEEN = of_job("fleet_tls_handshake_last_success_timestamp_seconds", _G, _NAMED)


def _now() -> tuple[Panel, ...]:
    return (
        one(
            "Handshake",
            "Whether the latest look finished its handshake, whatever the chain is worth.",
            f"max({of_job('fleet_tls_probe_handshake_success', _T)})",
            empty="Not looked at lately: see the exporter",
            words=DONE,
            steps=((None, "red"), (1, "green")),
        ),
        one(
            "Chain",
            "Whether every trust store of the gateway accepts what it serves.",
            f"min({of_job('fleet_tls_chain_verified', _T)})",
            empty="Not known: no chain was received lately",
            words=VERIFIED,
            steps=((None, "red"), (1, "green")),
        ),
        one(
            "Devices that would refuse it",
            "By what devices trust and the gateway serves now.",
            or_none(f"sum({of_job(PREDICTED, _G)})", _ACCEPTS),
            empty="Not known: no trust store of its devices is known, or its chain is not",
            steps=NONE_IS_GOOD,
        ),
        one(
            "Devices that refused it",
            "By the handshake log: in their latest full handshake.",
            or_none(
                f"sum({of_job(LOGGED, _G)})", of_job("fleet_tls_handshakes_total", _G, _NAMED)
            ),
            empty="Not known: no handshake log of this gateway has told of a device",
            steps=NONE_IS_GOOD,
        ),
        one(
            "Chain ends in",
            "Until the path that verifies ends.",
            f"min({of_job(ENDS, _T)}) - time()",
            unit="dtdurations",
            steps=TIME_LEFT,
        ),
        one(
            "Way back",
            "Whether the certificate that was served before could be served again at once.",
            f"min({of_job('fleet_tls_remediation_rollback_ready', _G)}"
            " unless on (job, gateway)"
            f" {of_job('fleet_tls_remediation_served_version', _G)} == 1)",
            empty="Its first certificate is served, or no management API tells of its versions",
            words=YES,
            steps=((None, "red"), (1, "green")),
        ),
    )


def _served() -> tuple[Panel, ...]:
    return (
        listed(
            "Chain as it was sent",
            "Each certificate, 0 is the leaf, and how long it still lasts.",
            "max by (position, subject_cn, issuer_cn, serial_number, public_key)"
            f" ({of_job('fleet_tls_certificate_info', _T)}) * on (position) group_left ()"
            " (max by (position)"
            f" ({of_job('fleet_tls_certificate_not_after_timestamp_seconds', _T)}) - time())",
            columns=(
                Column(name="position", title="Position"),
                Column(name="subject_cn", title="Subject"),
                Column(name="issuer_cn", title="Issuer"),
                Column(name="public_key", title="Key"),
                Column(name="serial_number", title="Serial number"),
                Column(name="Value", title="Left", unit="dtdurations", steps=TIME_LEFT),
            ),
            empty="No chain was ever received from this gateway",
            span=14,
        ),
        listed(
            "Why it is not verified",
            "Each trust store that does not accept the chain, and each reason.",
            f"max by (trust_store, reason) ({of_job('fleet_tls_chain_problem', _T)})",
            columns=(Column(name="trust_store", title="Trust store"),
                     Column(name="reason", title="Reason")),
            empty="No problem is known; see the panel Chain whether the chain is",
            span=10,
        ),
        drawn(
            Kind.STATES,
            "Verdict of each trust store",
            "Over time. A gap: it was not known then.",
            (f"min by (trust_store) ({of_job('fleet_tls_chain_verified', _T)})",
             "{{trust_store}}"),
            empty="Not known: no chain was received in this time",
            words=VERIFIED,
        ),
        lines(
            "Duration of looks",
            "Of each phase that the latest look reached.",
            (f"max by (phase) ({of_job('fleet_tls_probe_duration_seconds', _T)})", "{{phase}}"),
            unit="s",
        ),
        listed(
            "Session",
            "What was negotiated with the latest look.",
            f"max by (tls_version, cipher) ({of_job('fleet_tls_session_info', _T)})",
            columns=(Column(name="tls_version", title="TLS version"),
                     Column(name="cipher", title="Cipher")),
            empty="The latest look finished no handshake",
            span=12,
            height=5,
        ),
        lines(
            "Looks without a handshake",
            "By reason.",
            ("max by (reason)"
             f" (increase({of_job('fleet_tls_probe_failures_total', _T)}[$__rate_interval])) > 0",
             "{{reason}}"),
            empty="Every look finished its handshake",
            height=5,
        ),
    )  # fmt: skip


def _devices() -> tuple[Panel, ...]:
    failures = of_job("fleet_tls_handshake_failures_total", _G)
    return (
        lines(
            "Devices that refuse, and would refuse",
            "Predicted from what devices trust, and as the handshake log tells.",
            (or_none(f"sum({of_job(PREDICTED, _G)})", _ACCEPTS), "would refuse"),
            (f"sum({of_job(LOGGED, _G)})", "refused"),
            (f"count(count by (device) ({_ACCEPTS}))", "devices whose trust is known"),
            empty="Not known: no trust store of its devices is known, or its chain is not",
        ),
        lines(
            "Handshakes that succeed",
            "The share of full handshakes with devices of the inventory that succeed, over the"
            " window of the alert rules.",
            (f"min({of_job('gateway:fleet_tls_handshake_success:ratio', _G)})", "succeed"),
            empty="No handshake log of this gateway has told of a device within the window",
            unit="percentunit",
            steps=RATIO,
        ),
        lines(
            "Handshakes",
            "Full ones, failed ones included, and resumed ones, which prove nothing about trust.",
            ("sum(max by (job, device)"
             f" (rate({of_job('fleet_tls_handshakes_total', _G)}[$__rate_interval])))", "full"),
            ("sum(max by (job, device)"
             f" (rate({of_job('fleet_tls_handshakes_resumed_total', _G)}[$__rate_interval])))",
             "resumed"),
            empty="No handshake log of this gateway is read",
            unit="reqps",
        ),
        lines(
            "Failed handshakes by reason and by who refused",
            "Only what a device refused can be a matter of its trust store.",
            ("sum by (reason, rejected_by) (max by (job, device, reason, rejected_by)"
             f" (rate({failures}[$__rate_interval]))) > 0", "{{reason}}, by the {{rejected_by}}"),
            empty="No failed handshake, as far as a handshake log is read",
            unit="reqps",
        ),
        *_named(),
    )  # fmt: skip


def _named() -> tuple[Panel, ...]:
    failing = of_job("fleet_tls_device_failing", _G)
    return (
        listed(
            "Devices that would refuse",
            "By what they trust; at most 100. The basis says where that is known from.",
            f"topk(100, max by (device, basis) ({_ACCEPTS} == 0))",
            columns=(Column(name="device", title="Device", links=(TO_DEVICE,)),
                     Column(name="basis", title="Known from")),
            empty="None, of those whose trust is known",
            span=8,
        ),
        listed(
            "Devices whose latest handshake failed",
            "At most 100; the reason, and who refused.",
            f"topk(100, max by (device, reason, rejected_by) ({failing}))",
            columns=(
                Column(name="device", title="Device", links=(TO_DEVICE,)),
                Column(name="reason", title="Reason"),
                Column(name="rejected_by", title="Refused by"),
            ),
            empty="None, as far as a handshake log is read",
            span=8,
        ),
        listed(
            "Silent devices",
            "Heard of once, and now longer not than the rules allow; the longest 100.",
            f"topk(100, max by (device) ({of_job(OVERDUE, _G)}))",
            columns=(
                Column(name="device", title="Device", links=(TO_DEVICE,)),
                Column(name="Value", title="Silent for", unit="dtdurations"),
            ),
            empty="None, of those that the handshake log has told of",
            span=8,
        ),
        listed(
            "When each device was last heard of",
            "The 100 whose last good handshake is longest ago.",
            f"topk(100, time() - max by (device) ({_SEEN}))",
            columns=(
                Column(name="device", title="Device", links=(TO_DEVICE,)),
                Column(name="Value", title="Last good handshake, ago", unit="dtdurations"),
            ),
            empty="No handshake log of this gateway has told of a good handshake",
            span=24,
        ),
    )  # fmt: skip


GATEWAY_BOARD = Board(
    uid=GATEWAY,
    title="Fleet TLS / Gateway",
    says="What one gateway serves, which devices accept it, and how handshakes with it go.",
    variables=(GATEWAYS,),
    links=(("This gateway at the exporter", "${exporter:raw}/targets/${gateway:percentencode}"),),
    annotations=(
        Annotation(
            name="Certificate changed",
            expr="max(changes("
            + of_job("fleet_tls_certificate_not_before_timestamp_seconds", _T, 'position="0"')
            + "[3m])) > 0",
            title="another certificate is served",
            colour="blue",
        ),
        Annotation(
            name="Rolled back",
            expr="max(changes("
            + of_job("fleet_tls_remediation_last_action_timestamp_seconds", _G)
            + "[3m])) > 0",
            title="rolled back",
            colour="purple",
        ),
    ),
    rows=(
        Row(title="$gateway now", panels=_now()),
        Row(title="What it serves", panels=_served()),
        Row(title="Its devices", panels=_devices()),
    ),
)
