"""One entry, written in the configuration or discovered, becomes a target or is refused."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from exporter.durations import format_duration, parse_duration
from exporter.names import parse_name
from exporter.targets.addresses import parse_address, parse_network
from exporter.targets.model import Dropped, Role, Target
from exporter.targets.options import MAX_EXPIRY_WARNING_S, DeviceClass, StaticTarget
from exporter.wording import listed, shown, unknown

SYSTEM_STORE = "system"
"""The trust store that a target is judged by when it names none."""

_MAX_LIST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The names an entry may refer to; all from the configuration.

    Attributes:
        protocols: Those that can be looked at.
        later_protocols: Those that have a name but cannot be looked at yet.
    """

    trust_stores: Collection[str] = frozenset()
    device_classes: Mapping[str, DeviceClass] = field(default_factory=dict)
    management_apis: Collection[str] = frozenset()
    protocols: Collection[str] = frozenset({"tls"})
    later_protocols: Collection[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with one key of an entry; ``key`` may be ``trust_stores[1]``."""

    key: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was written about one target, nothing checked; ``expiry_warning`` is a duration."""

    name: str
    address: str | None = None
    role: str | None = None
    protocol: str = "tls"
    server_name: str | None = None
    trust_stores: tuple[str, ...] = ()
    holds: tuple[str, ...] | None = None
    device_class: str = ""
    rollout_group: str = ""
    gateway: str | None = None
    peers: tuple[str, ...] = ()
    management_api: str | None = None
    expiry_warning: str = ""


def entry_of_static(static: StaticTarget) -> Entry:
    """Return the entry of a target written in the configuration."""
    return Entry(
        name=static.name,
        address=static.address,
        role=static.role,
        protocol=static.protocol,
        server_name=static.server_name,
        trust_stores=static.trust_stores,
        holds=static.holds,
        device_class=static.device_class,
        rollout_group=static.rollout_group,
        gateway=static.gateway,
        peers=static.peers,
        management_api=static.management_api,
        expiry_warning=""
        if static.expiry_warning is None
        else format_duration(static.expiry_warning),
    )


def entry_of_labels(text: str, labels: Mapping[str, str]) -> Entry:
    """Return the entry of ``text``, one of a discovered group's targets, with its labels.

    Unknown labels and those that start with ``__`` are ignored. An empty label is an absent one,
    as in Prometheus, but for two that mean something empty: ``server_name`` (no name is checked)
    and ``address`` (the device has none, and ``text`` is only its name).
    """
    address = labels.get("address", text)
    holds = labels.get("holds")
    return Entry(
        name=labels.get("name") or text,
        address=address or None,
        role=labels.get("role") or None,
        protocol=labels.get("protocol") or "tls",
        server_name=labels.get("server_name"),
        trust_stores=_split(labels.get("trust_stores", "")),
        holds=_split(holds) if holds else None,
        device_class=labels.get("device_class", ""),
        rollout_group=labels.get("rollout_group", ""),
        gateway=labels.get("gateway") or None,
        peers=_split(labels.get("peers", "")),
        management_api=labels.get("management_api") or None,
        expiry_warning=labels.get("expiry_warning", ""),
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(word for part in text.split(",") if (word := part.strip()))


def target_of(entry: Entry, known: Known, *, source: str) -> Target | tuple[Problem, ...]:
    """Return the target, or everything that is wrong with the entry."""
    problems = [
        *_text_problems(entry),
        *_reference_problems(entry, known),
        *_role_problems(entry),
    ]
    host, port = None, None
    if entry.address is not None:
        try:
            host, port = parse_address(entry.address)
        except ValueError as exc:
            problems.append(Problem(key="address", message=str(exc)))
    peers, peer_problems = _peers(entry.peers)
    problems += peer_problems
    warning_s: float | None = None
    try:
        warning_s = _warning_s(entry.expiry_warning)
    except ValueError as exc:
        problems.append(Problem(key="expiry_warning", message=str(exc)))
    if problems:
        return tuple(problems)
    device_class = known.device_classes.get(entry.device_class)
    stores = entry.trust_stores or ((SYSTEM_STORE,) if host is not None else ())
    holds = entry.holds
    if holds is None:
        holds = device_class.holds if device_class else ()
    return Target(
        name=entry.name,
        role=_role_of(entry),
        host=host,
        port=port,
        protocol=entry.protocol,
        server_name=entry.server_name,
        trust_stores=stores,
        holds=holds,
        device_class=entry.device_class,
        rollout_group=entry.rollout_group,
        gateway=entry.gateway,
        peers=peers,
        management_api=entry.management_api,
        contact_interval_s=device_class.contact_interval if device_class else None,
        expiry_warning_s=warning_s,
        source=source,
    )


def _warning_s(text: str) -> float | None:
    if not text:
        return None
    seconds = parse_duration(text)
    if not 0 < seconds <= MAX_EXPIRY_WARNING_S:
        longest = format_duration(MAX_EXPIRY_WARNING_S)
        raise ValueError(f"{text!r} is not possible; more than 0s and at most {longest} are")
    return seconds


def _role_of(entry: Entry) -> Role:
    if entry.role:
        return Role(entry.role)
    return Role.DEVICE if entry.gateway else Role.GATEWAY


def _text_problems(entry: Entry) -> Iterable[Problem]:
    try:
        parse_name(entry.name)
    except ValueError as exc:
        yield Problem(key="name", message=str(exc))
    for key, text in (
        ("rollout_group", entry.rollout_group),
        ("server_name", entry.server_name or ""),
    ):
        if len(text) > 253 or not text.isprintable():
            message = f"{shown(text)} is not usable; write at most 253 printable characters"
            yield Problem(key=key, message=message)
    for key, words in (
        ("trust_stores", entry.trust_stores),
        ("holds", entry.holds or ()),
        ("peers", entry.peers),
    ):
        if len(words) > _MAX_LIST:
            message = f"{len(words)} are named here; at most {_MAX_LIST} can be"
            yield Problem(key=key, message=message)


def _reference_problems(entry: Entry, known: Known) -> Iterable[Problem]:
    for key, words in (("trust_stores", entry.trust_stores), ("holds", entry.holds or ())):
        yield from store_problems(key, words, known.trust_stores)
    if entry.device_class and entry.device_class not in known.device_classes:
        message = unknown(
            "the device class",
            entry.device_class,
            known.device_classes,
            none="`device_classes` of the configuration is empty",
        )
        yield Problem(key="device_class", message=message)
    if entry.management_api and entry.management_api not in known.management_apis:
        message = unknown(
            "the management API",
            entry.management_api,
            known.management_apis,
            none="`management_apis` of the configuration is empty",
        )
        yield Problem(key="management_api", message=message)
    if entry.protocol not in known.protocols:
        yield Problem(key="protocol", message=_protocol_message(entry.protocol, known))


def store_problems(key: str, words: Iterable[str], stores: Collection[str]) -> Iterable[Problem]:
    """Yield a problem for each of ``words`` that is no trust store's name."""
    for index, word in enumerate(words):
        if word not in stores and word != SYSTEM_STORE:
            message = unknown(
                "the trust store",
                word,
                stores,
                none="`trust_stores` of the configuration is empty",
            )
            yield Problem(key=f"{key}[{index}]", message=message)


def _protocol_message(protocol: str, known: Known) -> str:
    usable = listed(sorted(known.protocols))
    if protocol in known.later_protocols:
        return f"the protocol {shown(protocol)} is not supported yet; supported: {usable}"
    return unknown("the protocol", protocol, sorted(known.protocols), none="")


def _role_problems(entry: Entry) -> Iterable[Problem]:
    if entry.role and entry.role not in set(Role):
        message = f"{shown(entry.role)} is not a role; a target is a gateway or a device"
        yield Problem(key="role", message=message)
        return
    if _role_of(entry) is Role.DEVICE:
        return
    if entry.gateway:
        message = "a gateway stands behind no gateway; leave out `gateway`, or the role"
        yield Problem(key="gateway", message=message)
    if entry.address is None:
        message = "a gateway needs an address, HOST:PORT; only a device may have none"
        yield Problem(key="address", message=message)


def _peers(words: tuple[str, ...]) -> tuple[tuple[str, ...], list[Problem]]:
    peers, problems = [], []
    for index, word in enumerate(words):
        try:
            peers.append(parse_network(word))
        except ValueError as exc:
            problems.append(Problem(key=f"peers[{index}]", message=str(exc)))
    return tuple(peers), problems


def targets_of_group(
    texts: Collection[str], labels: Mapping[str, str], known: Known, *, source: str
) -> Iterable[Target | Dropped]:
    """Yield a target, or why there is none, for each address of one discovered group."""
    several = [key for key in ("name", "address") if labels.get(key)] if len(texts) > 1 else []
    for text in texts:
        if several:
            message = (
                f"the label `{several[0]}` stands on a group of {len(texts)} targets;"
                " give each target a group of its own"
            )
            yield Dropped(source=source, name=shown(text)[1:-1], message=message)
            continue
        entry = entry_of_labels(text, labels)
        made = target_of(entry, known, source=source)
        yield made if isinstance(made, Target) else dropped(entry.name, made, source)


def dropped(name: str, problems: Iterable[Problem], source: str) -> Dropped:
    """Return the note on an entry that could not be used; bounded."""
    message = "; ".join(f"{problem.key}: {problem.message}" for problem in problems)
    return Dropped(source=source, name=shown(name)[1:-1], message=message[:600])
