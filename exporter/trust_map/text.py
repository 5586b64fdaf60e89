"""The trust map as plain text; pure."""

from collections.abc import Iterable, Iterator

from exporter.trust_map import sentences as say
from exporter.trust_map.model import Authority, DeviceClass, Gateway, Kind, TrustMap

_LABEL = 13


def as_text(told: TrustMap) -> str:
    """Return the map for a terminal or a mail."""
    return "\n".join(_lines(told)) + "\n"


def _lines(told: TrustMap) -> Iterator[str]:
    yield f"Trust map of {say.minute(told.at)}"
    yield from _section("Device classes", (_class(one) for one in told.classes))
    yield from _section("Gateways", (_gateway(one, told) for one in told.gateways))
    yield from _section(
        "CAs, those first whose end would do most harm",
        (_authority(one, told) for one in told.authorities),
    )
    if told.left_out_count:
        yield f"  and {told.left_out_count} more on which nothing hangs"


def _section(heading: str, parts: Iterable[Iterable[str]]) -> Iterator[str]:
    yield ""
    yield heading
    lines = [line for part in parts for line in part]
    yield from lines or ["  there are none"]


def _class(one: DeviceClass) -> Iterator[str]:
    yield f"  {say.class_name(one.name)}: {say.device_class(one)}"
    if one.unknown.count:
        yield f"    nobody can say what they trust: {say.some(one.unknown)}"


def _gateway(one: Gateway, told: TrustMap) -> Iterator[str]:
    yield f"  {one.name}: {say.gateway(one)}"
    if one.not_after is not None:
        yield f"    leads to {say.led_to(one, told.authorities)}"


def _authority(one: Authority, told: TrustMap) -> Iterator[str]:
    yield f"  {say.title(one)}"
    if one.kind is not Kind.HASH_ONLY:
        yield from _row("certificate", [f"{say.short(one.fingerprint)}…, {say.kind(one)}"])
        yield from _row("valid", [say.validity(one, told.at)])
    signers = [say.title(up) for up in told.authorities if up.fingerprint in one.issuers]
    if signers:
        yield from _row("signed by", [", ".join(signers)])
    if one.stores:
        yield from _row("in stores", [", ".join(one.stores)])
    yield from _row("trusted by", [say.trust(by) for by in one.trusted_by] or ["no device"])
    yield from _row("carries", say.carried(one))
    yield from _row("if removed", [say.effect(one.if_removed), *say.losses(one.if_removed)])
    if one.if_expired == one.if_removed:
        yield from _row("if expired", ["the same"])
    else:
        yield from _row("if expired", [say.effect(one.if_expired), *say.losses(one.if_expired)])


def _row(label: str, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"    {label if not number else '':{_LABEL}}{line}"
