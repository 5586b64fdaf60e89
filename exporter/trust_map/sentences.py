"""How the map words things, the same in every form it is shown in; pure."""

from collections.abc import Iterable
from datetime import UTC, datetime

from exporter.trust_map.model import Authority, DeviceClass, Effect, Gateway, Kind, Names, Trust

NEAR_DAYS = 30
_NAMES_SHOWN = 6

_KINDS = {
    Kind.ROOT: "root",
    Kind.INTERMEDIATE: "intermediate",
    Kind.BRIDGE: "bridge: the same CA, signed by another",
    Kind.HASH_ONLY: "only its hash is known",
}


def day(moment: datetime) -> str:
    """Return the day of a moment, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d")


def minute(moment: datetime) -> str:
    """Return the moment to the minute, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def short(fingerprint: str) -> str:
    """Return as much of a SHA-256 as people compare."""
    return fingerprint[:12]


def title(authority: Authority) -> str:
    """Return what people call the CA."""
    return authority.subject or f"unknown CA {short(authority.fingerprint)}"


def kind(authority: Authority) -> str:
    """Return what kind of CA it is."""
    return _KINDS[authority.kind]


def class_name(name: str) -> str:
    """Return what a device class is called."""
    return name or "(no class)"


def validity(authority: Authority, at: datetime) -> str:
    """Return from when to when, and how long that still is."""
    if authority.not_before is None or authority.not_after is None:
        return "not known"
    span = f"{day(authority.not_before)} to {day(authority.not_after)}"
    days = (authority.not_after - at).total_seconds() / 86_400
    if at < authority.not_before:
        return f"{span} (not yet)"
    left = f"{days:.0f} days left" if days >= 2 else f"{days * 24:.0f} hours left"
    return f"{span} ({f'EXPIRED {-days:.0f} days ago' if days < 0 else left})"


def trust(told: Trust) -> str:
    """Return how many devices of a class trust a CA, how that is known, and since when."""
    holding = told.reported_count + told.inventory_count
    if not told.inventory_count:
        basis = "reported"
    elif not told.reported_count:
        basis = "by the inventory"
    else:
        basis = f"{told.reported_count} reported, {told.inventory_count} by the inventory"
    since = f"since {day(told.since)}" if told.since is not None else "since when is not known"
    until = f"until {day(told.until)}" if told.until is not None else "until when is not known"
    name = class_name(told.device_class)
    return f"{name}: {holding:,} of {told.device_count:,} ({basis}), {since}, {until}"


def some(names: Names) -> str:
    """Return the first names and how many more there are."""
    shown = names.first[:_NAMES_SHOWN]
    more = names.count - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def carried(authority: Authority) -> list[str]:
    """Return what hangs on the CA, a line each."""
    told = authority.carries
    lines = []
    if told.gateways.count:
        lines.append(f"{count(told.gateways.count, 'gateway')}: {some(told.gateways)}")
    if told.devices.count:
        lines.append(f"{count(told.devices.count, 'listening device')}: {some(told.devices)}")
    if told.client_certificates.count:
        devices = told.client_certificates
        lines.append(f"client certificates of {count(devices.count, 'device')}: {some(devices)}")
    return lines or ["nothing"]


def effect(told: Effect) -> str:
    """Return who goes dark, in one line."""
    if not told.dark_count and not told.unknown_count:
        return "no device goes dark"
    parts = []
    if told.dark_count:
        verb = "goes" if told.dark_count == 1 else "go"
        parts.append(f"{count(told.dark_count, 'device')} {verb} dark")
    if told.unknown_count:
        parts.append(f"of {told.unknown_count} it cannot be said")
    return f"{', '.join(parts)} (behind {some(told.gateways)})"


def losses(told: Effect) -> list[str]:
    """Return who goes dark, class by class."""
    lines = []
    for loss in told.losses:
        name = class_name(loss.device_class)
        if loss.dark.count:
            lines.append(f"{name} {loss.dark.count}: {some(loss.dark)}")
        if loss.unknown.count:
            lines.append(f"{name} {loss.unknown.count} unknown: {some(loss.unknown)}")
    return lines


def gateway(told: Gateway) -> str:
    """Return what a gateway serves and what the devices behind it say to that."""
    if told.not_after is None:
        serves = "what it serves is not known now"
    else:
        leaf = f"{told.subject or '(no subject)'} by {told.issuer}"
        serves = f"serves {leaf}, until {day(told.not_after)}"
    return (
        f"{serves}; accepted by {told.accepted_count:,} devices, refused by"
        f" {told.refused_count:,}, unknown of {told.unknown_count:,}"
    )


def device_class(told: DeviceClass) -> str:
    """Return how many devices there are and how it is known what they trust."""
    parts = [
        f"{number:,} {word}"
        for number, word in (
            (told.reported_count, "reported"),
            (told.inventory_count, "by the inventory"),
            (told.unknown.count, "unknown"),
        )
        if number
    ]
    return f"{count(told.device_count, 'device')} ({', '.join(parts)})"


def led_to(told: Gateway, authorities: Iterable[Authority]) -> str:
    """Return the CAs that a gateway's chain leads to."""
    found = dict.fromkeys(title(one) for one in authorities if one.fingerprint in told.leads_to)
    return ", ".join(found) if found else "no CA that is known here"


def count(number: int, noun: str) -> str:
    """Return how many there are."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
