"""Checks that what one place of the configuration names is there in another; pure."""

from collections.abc import Collection, Iterator

from exporter.config.draft import (
    DEVICE_CLASSES,
    HANDSHAKE_LOGS,
    MANAGEMENT_APIS,
    STATIC,
    TRUST_STORES,
    Draft,
)
from exporter.config.sentences import Finding, Path, dotted
from exporter.gateway.adapters import ADAPTERS
from exporter.modes import Mode
from exporter.targets.addresses import parse_address
from exporter.targets.entries import Known, entry_of_static, store_problems, target_of
from exporter.targets.model import Role, Target
from exporter.targets.options import DeviceClass
from exporter.wording import shown, unknown

# Which section a key of a target refers to
_SECTIONS = {
    "trust_stores": TRUST_STORES,
    "holds": TRUST_STORES,
    "device_class": DEVICE_CLASSES,
    "management_api": MANAGEMENT_APIS,
}


def known_names(
    draft: Draft, protocols: Collection[str], later_protocols: Collection[str]
) -> Known:
    """Return the names that targets may refer to."""
    written = {name: DeviceClass(name="faulty") for _, name in draft.names[DEVICE_CLASSES]}
    return Known(
        trust_stores=tuple(name for _, name in draft.names[TRUST_STORES]),
        device_classes=written | {one.name: one for one in draft.config.device_classes},
        management_apis=tuple(name for _, name in draft.names[MANAGEMENT_APIS]),
        protocols=protocols,
        later_protocols=later_protocols,
    )


def static_targets(draft: Draft, known: Known) -> tuple[list[tuple[Path, Target]], list[Finding]]:
    """Return the targets of ``targets.static`` with their places, and what is wrong there."""
    targets: list[tuple[Path, Target]] = []
    findings: list[Finding] = []
    for position, static in enumerate(draft.config.targets.static):
        place = draft.place(STATIC, position)
        made = target_of(entry_of_static(static), known, source="")
        if isinstance(made, Target):
            targets.append((place, made))
        else:
            findings += [
                ((*place, *_steps(problem.key)), problem.message)
                for problem in made
                if _SECTIONS.get(problem.key.partition("[")[0], STATIC) not in draft.faulty
            ]
    return targets, findings


def _steps(key: str) -> Path:
    """Return the path of ``trust_stores[1]``."""
    word, _, rest = key.partition("[")
    return (word, int(rest.rstrip("]"))) if rest else (word,)


def reference_findings(draft: Draft, known: Known) -> Iterator[Finding]:
    """Yield every reference to nothing and every name used twice, static targets' own aside."""
    for path in (TRUST_STORES, DEVICE_CLASSES, STATIC, MANAGEMENT_APIS):
        yield from _taken_names(draft, path)
    yield from _class_findings(draft, known)
    yield from _desired_findings(draft, known)
    yield from _gateway_findings(draft)
    yield from _log_findings(draft)
    yield from _adapter_findings(draft)
    yield from _control_findings(draft)
    yield from _act_findings(draft)


def _taken_names(draft: Draft, path: Path) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, name in draft.names[path]:
        if first.setdefault(name, index) != index:
            owner = dotted((*path, first[name]))
            message = f"the name {shown(name)} is taken by {owner}; names are used once"
            yield (*path, index, "name"), message


def _class_findings(draft: Draft, known: Known) -> Iterator[Finding]:
    if TRUST_STORES in draft.faulty:
        return
    for position, one in enumerate(draft.config.device_classes):
        place = draft.place(DEVICE_CLASSES, position)
        for key, names in (("holds", one.holds), ("signed_by", one.signed_by)):
            for problem in store_problems(key, names, known.trust_stores):
                yield (*place, *_steps(problem.key)), problem.message


def _desired_findings(draft: Draft, known: Known) -> Iterator[Finding]:
    for index, one in enumerate(draft.config.trust_sync.desired):
        place: Path = ("trust_sync", "desired", index)
        if TRUST_STORES not in draft.faulty:
            for problem in store_problems("trust_stores", one.trust_stores, known.trust_stores):
                yield (*place, *_steps(problem.key)), problem.message
        is_known = not one.device_class or one.device_class in known.device_classes
        if not is_known and DEVICE_CLASSES not in draft.faulty:
            none = "device_classes is empty"
            message = unknown(
                "the device class", one.device_class, known.device_classes, none=none
            )
            yield (*place, "device_class"), message


def _gateway_findings(draft: Draft) -> Iterator[Finding]:
    if STATIC in draft.faulty or STATIC[:1] in draft.faulty:
        return
    config = draft.config
    devices = {one.name for one in config.targets.static if one.role is Role.DEVICE or one.gateway}
    gateways = {name: None for _, name in draft.names[STATIC] if name not in devices}
    for position, static in enumerate(config.targets.static):
        place = (*draft.place(STATIC, position), "gateway")
        yield from _gateway_finding(place, static.gateway, gateways, devices)
    if config.targets.files or config.targets.http:
        return  # a log's gateway may be discovered; only the running service can tell
    for position, source in enumerate(config.handshake_logs):
        place = (*draft.place(HANDSHAKE_LOGS, position), "gateway")
        yield from _gateway_finding(place, source.gateway, gateways, devices)


def _gateway_finding(
    place: Path, name: str | None, gateways: Collection[str], devices: Collection[str]
) -> Iterator[Finding]:
    if name is None or name in gateways:
        return
    if name in devices:
        yield place, f"{shown(name)} is a device; name a gateway of targets.static here"
        return
    none = "targets.static has no gateway"
    yield place, unknown("the gateway", name, gateways, none=none)


def _log_findings(draft: Draft) -> Iterator[Finding]:
    """Yield each log that two sources read: its lines would be counted twice."""
    first: dict[tuple[str, object], str] = {}
    for position, source in enumerate(draft.config.handshake_logs):
        place = draft.place(HANDSHAKE_LOGS, position)
        for key in ("file", "journald", "push", "stdin"):
            value = getattr(source, key)
            if value and first.setdefault((key, value), dotted(place)) != dotted(place):
                owner = first[key, value]
                yield (*place, key), f"this is read by {owner} already; each log is read once"


def _adapter_findings(draft: Draft) -> Iterator[Finding]:
    for position, api in enumerate(draft.config.management_apis):
        if api.adapter not in ADAPTERS:
            place = (*draft.place(MANAGEMENT_APIS, position), "adapter")
            yield place, unknown("the adapter", api.adapter, ADAPTERS, none="there is none")


def _control_findings(draft: Draft) -> Iterator[Finding]:
    for index, text in enumerate(draft.config.probe.control_targets):
        try:
            parse_address(text)
        except ValueError as exc:
            yield ("probe", "control_targets", index), str(exc)


def _act_findings(draft: Draft) -> Iterator[Finding]:
    """Yield the mode that acts on the word of anybody."""
    config = draft.config
    webhook = config.webhook
    is_open = webhook.token_file is None and not webhook.users
    if config.remediation.mode is Mode.ACT and is_open and config.web.client_ca_file is None:
        message = (
            "act needs callers who prove who they are; set webhook.token_file, webhook.users or"
            " web.client_ca_file"
        )
        yield ("remediation", "mode"), message
    if config.rotation.mode is Mode.ACT and config.rotation.signer is None:
        message = (
            "act needs somebody who signs for the gateways; set rotation.signer.command or"
            " rotation.signer.folder"
        )
        yield ("rotation", "mode"), message
