"""The dashboard *Fleet*: what is wrong now, what ends when, what devices trust and do."""

from tools.dashboards.model import (
    NONE_IS_BETTER,
    NONE_IS_GOOD,
    RATIO,
    TIME_LEFT,
    Board,
    Column,
    Kind,
    Panel,
    Row,
)
from tools.dashboards.terms import (
    ENDS,
    FLEET,
    LOGGED,
    OVERDUE,
    PREDICTED,
    TO_DEVICE,
    TO_GATEWAY,
    TO_PAGE,
    TO_RUNBOOK,
    drawn,
    left,
    lines,
    listed,
    of_job,
    one,
    or_none,
)

_DAY = 86_400
_NAMED = 'device!=""'
_NOT_SYNCED = 'state!="synced"'
_IS_GATEWAY = 'role="gateway"'
_ACCEPTS = of_job("fleet_tls_device_accepts_gateway")
_VERIFIED = of_job("fleet_tls_chain_verified")
_SHAKES = of_job("fleet_tls_probe_handshake_success")
_SEEN = of_job("fleet_tls_handshake_last_success_timestamp_seconds", 'device!=""')
_CONTACT = of_job("fleet_tls_device_contact_interval_seconds")
_LEFT = f"{of_job(ENDS)} - time()"
_RATIO = "gateway:fleet_tls_handshake_success:ratio"
_DEVICE_RATIO = "device:fleet_tls_handshake_success:ratio"
_CLASSES = of_job("fleet_tls_trust_store_class_devices")


def _wrong_now() -> tuple[Panel, ...]:
    return (
        one(
            "Devices that would refuse their gateway",
            "By what each device trusts and its gateway serves now: so many would refuse their"
            " next full handshake. This is the outage, before the devices reconnect.",
            or_none(f"sum({of_job(PREDICTED)})", _ACCEPTS),
            empty="Not known: of no device a trust store is known, or no chain of a gateway",
            steps=NONE_IS_GOOD,
        ),
        one(
            "Devices that refused their gateway",
            "By the handshake logs: so many ended their latest full handshake because of the"
            " gateway's certificate.",
            or_none(f"sum({of_job(LOGGED)})", of_job("fleet_tls_handshakes_total", 'device!=""')),
            empty="Not known: no handshake log has told of a device yet",
            steps=NONE_IS_GOOD,
        ),
        one(
            "Chains not verified",
            "Targets whose chain at least one of their trust stores does not accept.",
            or_none(f"count(min by (job, target) ({_VERIFIED}) == 0)", _VERIFIED),
            steps=NONE_IS_GOOD,
        ),
        one(
            "No handshake",
            "Targets with which the latest look did not finish a handshake, for any reason.",
            or_none(f"count(max by (job, target) ({_SHAKES}) == 0)", _SHAKES),
            steps=NONE_IS_GOOD,
        ),
        one(
            "Silent devices",
            "Devices that were heard of once, and now longer not than the alert rules allow.",
            or_none(f"count({of_job(OVERDUE)})", _SEEN),
            empty="Not known: no handshake log has told of a good handshake yet",
            steps=NONE_IS_GOOD,
        ),
        one(
            "First chain to end, in",
            "Until the first chain of any target stops being verified; below zero: it has.",
            f"min({_LEFT})",
            unit="dtdurations",
            steps=TIME_LEFT,
        ),
    )


def _more_now() -> tuple[Panel, ...]:
    return (
        one(
            "Devices never seen",
            "Devices of a class with a contact_interval of which no log has ever told a good"
            " handshake. It is not known whether they work.",
            or_none(
                f"count(max by (job, device) ({_CONTACT}) unless on (job, device) {_SEEN})",
                _CONTACT,
            ),
            empty="No device class has a contact_interval",
            steps=NONE_IS_BETTER,
        ),
        one(
            "Devices not known to be in sync",
            "Devices of which it is not known that they hold every CA that is wanted of them:"
            " pending, failed, stale or never reported.",
            f"sum(max by (job, state) ({of_job('fleet_tls_trust_store_devices', _NOT_SYNCED)}))",
            empty="No device is expected to report what it trusts",
            steps=NONE_IS_BETTER,
        ),
        one(
            "Targets watched",
            "Gateways and devices of the inventory.",
            f"count(count by (job, target) ({of_job('fleet_tls_target_info')}))",
        ),
        one(
            "Gateways watched",
            "Gateways of the inventory.",
            f"count(count by (job, target) ({of_job('fleet_tls_target_info', _IS_GATEWAY)}))",
        ),
        one(
            "Age of the oldest look",
            "Since the target that was looked at longest ago: what looks tell may be that old.",
            "max(time() - max by (job, target)"
            f" ({of_job('fleet_tls_probe_last_attempt_timestamp_seconds')}))",
            unit="s",
            steps=((None, "green"), (600, "yellow"), (1800, "red")),
        ),
        one(
            "Alert rules",
            "Whether Prometheus evaluates the rules of this exporter. Without them no alert fires,"
            " and several panels stay empty.",
            f"count(count by (job) ({of_job('target:fleet_tls_target_info:unique')})) > bool 0",
            empty="NOT LOADED: nothing can fire",
            words={1: ("evaluated", "green")},
            steps=((None, "red"), (1, "green")),
        ),
        _alerts(),
        _gateways(),
    )


def _alerts() -> Panel:
    where = 'alertname=~"FleetTLS.+", alertstate="firing", job=~"$job|"'
    return listed(
        "Alerts that fire",
        "All alerts of this exporter's rules that fire now. An alert's name leads to what to do.",
        "max by (severity, alertname, gateway, device, target, reason, source, rotation)"
        f" (ALERTS{{{where}}})",
        columns=(
            Column(name="severity", title="Severity"),
            Column(name="alertname", title="Alert", links=(TO_RUNBOOK,)),
            Column(name="gateway", title="Gateway", links=(TO_GATEWAY,)),
            Column(name="device", title="Device", links=(TO_DEVICE,)),
            Column(name="target", title="Target", links=(TO_PAGE,)),
            Column(name="reason", title="Reason"),
            Column(name="source", title="Source"),
            Column(name="rotation", title="Rotation"),
        ),
        empty="No alert fires, as far as the rules are evaluated (see above)",
        span=12,
        height=10,
    )


def _gateways() -> Panel:
    return listed(
        "Gateways",
        "How each gateway stands: devices that would refuse it, that did refuse it, the share of"
        " handshakes that succeed, how long its chain still lasts.",
        f"max by (gateway) ({of_job('target:fleet_tls_target_info:unique', _IS_GATEWAY)})",
        f"sum by (gateway) ({of_job(PREDICTED)}) or 0 * count by (gateway) ({_ACCEPTS})",
        f"sum by (gateway) ({of_job(LOGGED)})"
        f" or 0 * count by (gateway) ({of_job('fleet_tls_handshakes_total', _NAMED)})",
        f"min by (gateway) ({of_job(_RATIO)})",
        f"min by (gateway) ({of_job(ENDS, _IS_GATEWAY)} - time())",
        columns=(
            Column(name="gateway", title="Gateway", links=(TO_GATEWAY,)),
            Column(name="Value #B", title="Would refuse", unit="short", steps=NONE_IS_GOOD),
            Column(name="Value #C", title="Refused", unit="short", steps=NONE_IS_GOOD),
            Column(name="Value #D", title="Handshakes that succeed", unit="percentunit",
                   steps=RATIO),
            left(name="Value #E"),
        ),
        span=12,
        height=10,
    )  # fmt: skip


def _expiry() -> tuple[Panel, ...]:
    return (
        _timeline(),
        listed(
            "What ends first",
            "The 25 targets whose chains stop being verified first, by the path that verifies.",
            f"bottomk(25, {_LEFT})",
            columns=(Column(name="target", title="Target", links=(TO_PAGE,)),
                     Column(name="gateway", title="Gateway", links=(TO_GATEWAY,)), left()),
            span=8,
        ),
        listed(
            "Trust anchors that end first",
            "The 25 CAs in trust stores that end first. An anchor's end takes with it all that"
            " hangs on it.",
            "bottomk(25, min by (trust_store, anchor)"
            f" ({of_job('fleet_tls_trust_anchor_not_after_timestamp_seconds')}) - time())",
            columns=(Column(name="trust_store", title="Trust store"),
                     Column(name="anchor", title="Anchor (SHA-256)"), left()),
            empty="No trust store is configured",
            span=8,
        ),
        listed(
            "Devices whose own certificate ends first",
            "The 25 certificates of devices, as their gateway's log shows them, that end first.",
            "bottomk(25,"
            f" {of_job('device:fleet_tls_client_certificate_not_after_timestamp_seconds:min')}"
            " - time())",
            columns=(Column(name="device", title="Device", links=(TO_DEVICE,)),
                     Column(name="gateway", title="Gateway", links=(TO_GATEWAY,)), left()),
            empty="No log tells of devices' certificates: gateways ask for none, or do not log"
            " their ends",
            span=12,
        ),
        lines(
            "Chain problems by reason",
            "Targets that have a problem with at least one of their trust stores, by reason.",
            (f"count by (reason) (count by (job, target, reason)"
             f" ({of_job('fleet_tls_chain_problem')}))", "{{reason}}"),
            empty="No chain has a problem, as far as chains are known",
            span=12,
        ),
    )  # fmt: skip


def _timeline() -> Panel:
    """Return the bars of how much ends when."""
    ends = ((None, 0, "has ended"), (0, 7, "within 7 days"), (7, 14, "7 to 14 days"),
            (14, 30, "14 to 30 days"), (30, 90, "30 to 90 days"), (90, None, "later"))  # fmt: skip
    queries = []
    for after, before, name in ends:
        within = f"({_LEFT})"
        if after is not None:
            within = f"({within} > {after * _DAY})"
        if before is not None:
            within = f"({within} <= {before * _DAY})"
        queries.append((or_none(f"count({within})", of_job(ENDS)), name))
    return drawn(
        Kind.BARS,
        "Expiry timeline",
        "How many targets' chains end when, by the path that verifies; each is in one bar.",
        *queries,
        steps=((None, "blue"),),
        span=8,
    )


def _trust() -> tuple[Panel, ...]:
    state = of_job("fleet_tls_trust_store_devices")
    per_class = "sum by (device_class) (max by (job, device_class, state) ({}))"
    synced = per_class.format(of_job("fleet_tls_trust_store_class_devices", 'state="synced"'))
    return (
        drawn(
            Kind.STACKED,
            "Trust sync",
            "Devices by how their report stands to what is wanted of them.",
            (f"sum by (state) (max by (job, state) ({state}))", "{{state}}"),
            empty="No device is expected to report what it trusts",
        ),
        drawn(
            Kind.BARS,
            "Share of each class in sync",
            "Devices of each class that are known to hold every CA that is wanted of them.",
            (f"{synced} / ({per_class.format(_CLASSES)} > 0)", "{{device_class}}"),
            empty="No device is expected to report what it trusts",
            unit="percentunit",
            steps=((None, "orange"), (1, "green")),
        ),
        lines(
            "Anchors that are missing, too many or at their end",
            "Devices with such an anchor in a fresh report. `extra` is no fault by itself.",
            ("sum by (condition) (max by (job, device_class, condition)"
             f" ({of_job('fleet_tls_trust_store_anchor_devices')}))", "{{condition}}"),
            empty="No device is expected to report what it trusts",
        ),
        lines(
            "Devices that refuse, and would refuse",
            "By gateway: predicted from what devices trust, and as the handshake logs tell.",
            (f"sum by (gateway) ({of_job(PREDICTED)}) or 0 * count by (gateway) ({_ACCEPTS})",
             "{{gateway}} would be refused"),
            (f"sum by (gateway) ({of_job(LOGGED)})"
             f" or 0 * count by (gateway) ({of_job('fleet_tls_handshakes_total', _NAMED)})",
             "{{gateway}} was refused"),
            steps=NONE_IS_GOOD,
        ),
    )  # fmt: skip


def _handshakes() -> tuple[Panel, ...]:
    failures = of_job("fleet_tls_handshake_failures_total")
    return (
        lines(
            "Handshakes that succeed, by gateway",
            "The share of full handshakes with devices of the inventory that succeed, over the"
            " window of the alert rules.",
            (f"min by (gateway) ({of_job(_RATIO)})", "{{gateway}}"),
            empty="No handshake log has told of a device within the rules' window",
            unit="percentunit",
            steps=RATIO,
        ),
        lines(
            "Failed handshakes by reason and by who refused",
            "From the handshake logs, by reason. Only what a device refused can be a matter of"
            " its trust store.",
            ("sum by (reason, rejected_by) (max by (job, gateway, device, reason, rejected_by)"
             f" (rate({failures}[$__rate_interval]))) > 0", "{{reason}}, by the {{rejected_by}}"),
            empty="No failed handshake, as far as handshake logs are read",
            unit="reqps",
        ),
        listed(
            "Devices whose handshakes fail most",
            "The 25 devices of whose handshakes the smallest share succeeds.",
            f"bottomk(25, min by (device, gateway) ({of_job(_DEVICE_RATIO)}))",
            columns=(
                Column(name="device", title="Device", links=(TO_DEVICE,)),
                Column(name="gateway", title="Gateway", links=(TO_GATEWAY,)),
                Column(name="Value", title="Succeed", unit="percentunit", steps=RATIO),
            ),
            empty="No handshake log has told of a device within the rules' window",
        ),
        listed(
            "Devices that are silent",
            "Devices heard of once, and now longer not than the rules allow; the longest first.",
            f"topk(25, max by (device, gateway) ({of_job(OVERDUE)}))",
            columns=(
                Column(name="device", title="Device", links=(TO_DEVICE,)),
                Column(name="gateway", title="Gateway", links=(TO_GATEWAY,)),
                Column(name="Value", title="Silent for", unit="dtdurations"),
            ),
            empty="No device is silent, of those that a handshake log has told of",
        ),
    )  # fmt: skip


FLEET_BOARD = Board(
    uid=FLEET,
    title="Fleet TLS",
    says="What is wrong now, what ends when, and whether devices trust what gateways serve.",
    rows=(
        Row(title="What is wrong now", panels=(*_wrong_now(), *_more_now())),
        Row(title="Expiry", panels=_expiry()),
        Row(title="What devices trust", panels=_trust()),
        Row(title="Handshakes", panels=_handshakes()),
    ),
)
