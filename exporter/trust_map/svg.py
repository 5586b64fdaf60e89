"""The trust map drawn: classes on the left, CAs in the middle, gateways on the right; pure.

Only shapes, text and attributes: no script, no style sheet, nothing from elsewhere. What colour
says is said in words too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from html import escape

from exporter.trust_map import sentences as say
from exporter.trust_map.model import Authority, DeviceClass, Gateway, TrustMap

MOST_DRAWN = 40
"""Classes, CAs and gateways; the rest is counted below the drawing."""

_WIDTH, _TOP, _GAP = 1240, 96, 18
_INK, _FAINT, _LINE, _PAPER = "#1a1a1a", "#4d4d4d", "#6b7280", "#ffffff"
_GOOD, _NEAR, _OVER, _UNKNOWN = "#1b7f3b", "#b35c00", "#b3261e", "#6b7280"
_CHAR = 6.9  # width of a character at 13 px in the fonts that are named below


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """One box: its title, the lines below it, and the colour of the bar at its left."""

    key: str
    title: str
    lines: tuple[str, ...]
    colour: str
    hint: str = ""

    @property
    def height(self) -> int:
        return 34 + 18 * len(self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """Boxes below each other."""

    x: int
    width: int
    heading: str
    boxes: Sequence[_Box]

    def height(self) -> int:
        return sum(box.height + _GAP for box in self.boxes)

    def middles(self) -> Mapping[str, float]:
        found, y = {}, float(_TOP)
        for box in self.boxes:
            found[box.key] = y + box.height / 2
            y += box.height + _GAP
        return found


def as_svg(told: TrustMap) -> str:
    """Return the map as one SVG document."""
    drawn = [one for one in told.authorities if _is_worth_drawing(one)][:MOST_DRAWN]
    classes, gateways = told.classes[:MOST_DRAWN], told.gateways[:MOST_DRAWN]
    columns = (
        _Column(x=20, width=250, heading="Device classes", boxes=[_class(one) for one in classes]),
        _Column(x=430, width=400, heading="trust CAs", boxes=[_ca(one, told) for one in drawn]),
        _Column(
            x=970,
            width=250,
            heading="on which gateways hang",
            boxes=[_gateway(one) for one in gateways],
        ),
    )
    notes = _notes(told, len(drawn))
    bottom = _TOP + max(column.height() for column in columns)
    height = bottom + 22 * len(notes) + 10
    return "".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" role="img" aria-labelledby="map-title map-desc"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="13">',
        f'<title id="map-title">Trust map of {say.minute(told.at)}</title>',
        f'<desc id="map-desc">{_clean(_description(told))}</desc>',
        f'<rect width="{_WIDTH}" height="{height}" fill="{_PAPER}"/>',
        _text(20, 34, f"Trust map of {say.minute(told.at)}", size=20, weight="bold"),
        *_trust_lines(drawn, columns),
        *_hanging_lines(gateways, columns),
        *(part for column in columns for part in _column(column)),
        *(_text(20, bottom + 8 + 22 * n, note, fill=_FAINT) for n, note in enumerate(notes)),
        "</svg>\n",
    ])  # fmt: skip


def _is_worth_drawing(one: Authority) -> bool:
    return not one.carries.is_nothing or bool(one.stores) or bool(one.if_expired.dark_count)


def _description(told: TrustMap) -> str:
    return " ".join(
        f"{say.title(one)}: if removed, {say.effect(one.if_removed)}."
        for one in told.authorities[:MOST_DRAWN]
        if _is_worth_drawing(one)
    )


def _notes(told: TrustMap, drawn_count: int) -> list[str]:
    notes = [
        "Lines: solid where devices reported it themselves, dashed where the inventory says so.",
        f"Bars: green good; orange a CA in its last {say.NEAR_DAYS} days; red a CA that is over or"
        " not valid yet, a gateway that devices refuse; grey not known.",
    ]
    left = (
        (len(told.authorities) + told.left_out_count - drawn_count, "CAs"),
        (len(told.classes) - MOST_DRAWN, "device classes"),
        (len(told.gateways) - MOST_DRAWN, "gateways"),
    )
    notes += [f"Not drawn: {count:,} further {what}." for count, what in left if count > 0]
    return notes


# Boxes


def _class(one: DeviceClass) -> _Box:
    unknown = one.unknown.count
    lines = [say.count(one.device_count, "device")]
    if unknown:
        lines.append(f"{unknown:,} of them: trust unknown")
    return _Box(
        key=one.name,
        title=say.class_name(one.name),
        lines=tuple(lines),
        colour=_UNKNOWN if unknown else _GOOD,
        hint=say.device_class(one),
    )


def _ca(one: Authority, told: TrustMap) -> _Box:
    removed, expired = one.if_removed, one.if_expired
    lines = [
        say.validity(one, told.at),
        f"{say.kind(one)}, {say.short(one.fingerprint)}",
        f"if removed: {_dark(removed.dark_count, removed.unknown_count)}",
        f"if expired: {_dark(expired.dark_count, expired.unknown_count)}",
    ]
    if one.carries.client_certificates.count:
        lines.append(
            f"signs client certificates of {one.carries.client_certificates.count:,} devices"
        )
    return _Box(
        key=one.fingerprint,
        title=say.title(one),
        lines=tuple(lines),
        colour=_state_colour(one, told),
        hint="; ".join([say.title(one), *say.carried(one)]),
    )


def _dark(dark: int, unknown: int) -> str:
    verb = "goes" if dark == 1 else "go"
    text = f"{say.count(dark, 'device')} {verb} dark" if dark else "no device goes dark"
    return f"{text}, {unknown:,} unknown" if unknown else text


def _gateway(one: Gateway) -> _Box:
    if one.not_after is None:
        return _Box(
            key=one.name, title=one.name, lines=("what it serves is unknown",), colour=_UNKNOWN
        )
    lines = [
        f"until {say.day(one.not_after)}",
        f"accepted by {one.accepted_count:,}, refused by {one.refused_count:,}",
    ]
    if one.unknown_count:
        lines.append(f"unknown of {one.unknown_count:,}")
    if not one.leads_to:
        lines.append("leads to no CA known here")
    is_good = one.accepted_count and not one.unknown_count
    colour = _OVER if one.refused_count else _GOOD if is_good else _UNKNOWN
    return _Box(
        key=one.name, title=one.name, lines=tuple(lines), colour=colour, hint=say.gateway(one)
    )


def _state_colour(one: Authority, told: TrustMap) -> str:
    if one.not_after is None or one.not_before is None:
        return _UNKNOWN
    if not one.not_before <= told.at < one.not_after:
        return _OVER
    return _NEAR if one.not_after - told.at < timedelta(days=say.NEAR_DAYS) else _GOOD


# Shapes


def _column(column: _Column) -> Iterable[str]:
    yield _text(column.x, _TOP - 16, column.heading, size=15, weight="bold")
    y = _TOP
    for box in column.boxes:
        yield (
            f"<g><title>{_clean(box.hint or box.title)}</title>"
            f'<rect x="{column.x}" y="{y}" width="{column.width}" height="{box.height}" rx="4"'
            f' fill="{_PAPER}" stroke="{_LINE}"/>'
            f'<rect x="{column.x}" y="{y}" width="6" height="{box.height}" fill="{box.colour}"/>'
        )
        room = int((column.width - 28) / _CHAR)
        yield _text(column.x + 16, y + 21, _cut(box.title, room - 2), weight="bold")
        for number, line in enumerate(box.lines):
            yield _text(column.x + 16, y + 41 + 18 * number, _cut(line, room), fill=_FAINT)
        yield "</g>"
        y += box.height + _GAP


def _trust_lines(drawn: Iterable[Authority], columns: Sequence[_Column]) -> Iterable[str]:
    left, middle = columns[0], columns[1]
    starts, ends = left.middles(), middle.middles()
    for one in drawn:
        for trust in one.trusted_by:
            if trust.device_class not in starts:
                continue
            count = trust.reported_count + trust.inventory_count
            y1, y2 = starts[trust.device_class], ends[one.fingerprint]
            is_dashed = not trust.reported_count
            yield _curve(left.x + left.width, y1, middle.x, y2, dashed=is_dashed)
            label = f"{count:,} of {trust.device_count:,}"
            # at a third of the way, where lines to different CAs have parted
            yield _text(
                left.x + left.width + 70,
                y1 + (y2 - y1) * 0.44 - 4,
                label,
                size=12,
                halo=True,
            )


def _hanging_lines(gateways: Iterable[Gateway], columns: Sequence[_Column]) -> Iterable[str]:
    middle, right = columns[1], columns[2]
    starts, ends = middle.middles(), right.middles()
    for one in gateways:
        for fingerprint in one.leads_to:
            if fingerprint in starts:
                y1, y2 = starts[fingerprint], ends[one.name]
                yield _curve(middle.x + middle.width, y1, right.x, y2)


def _curve(x1: int, y1: float, x2: int, y2: float, *, dashed: bool = False) -> str:
    bend = (x2 - x1) / 2
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    way = f"M{x1} {y1:.1f} C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2} {y2:.1f}"
    return f'<path d="{way}" fill="none" stroke="{_LINE}" stroke-width="1.5"{dash}/>'


def _text(  # noqa: PLR0913 - what a text in a drawing has
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    weight: str = "normal",
    fill: str = _INK,
    halo: bool = False,
) -> str:
    halo_part = f' stroke="{_PAPER}" stroke-width="4" paint-order="stroke"' if halo else ""
    return (
        f'<text x="{x}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{fill}"'
        f"{halo_part}>{_clean(text)}</text>"
    )


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def _clean(text: str) -> str:
    """Return ``text`` as XML takes it, whatever it holds."""
    return escape("".join(one if one.isprintable() else "\ufffd" for one in text))
