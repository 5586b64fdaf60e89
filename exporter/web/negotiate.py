"""What a client's ``Accept`` headers ask for; pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# A header has at most 8 KB; more alternatives than this are no client's honest wish
_MOST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One alternative of an ``Accept`` header (RFC 9110, 12.5.1).

    Attributes:
        quality: 0: not wanted.
    """

    name: str
    quality: float = 1.0
    parameters: dict[str, str] = field(default_factory=dict)


def wishes_in(header: str) -> Iterator[Wish]:
    """Yield the alternatives in the order they stand; what cannot be read is left out."""
    for part in header.split(",")[:_MOST]:
        name, *rest = (piece.strip() for piece in part.split(";"))
        parameters = {
            key.strip().lower(): value.strip().strip('"')
            for key, equals, value in (piece.partition("=") for piece in rest)
            if equals
        }
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            continue
        if name and 0 <= quality <= 1:
            yield Wish(name=name.lower(), quality=quality, parameters=parameters)


def wants_openmetrics(accept: str) -> bool:
    """Return whether OpenMetrics 1.0 is wanted more than the text format.

    Prometheus sends both with qualities; the higher one wins, OpenMetrics where they are equal.
    Versions that we do not write (0.0.1) do not count.
    """
    openmetrics, text = 0.0, 0.0
    for wish in wishes_in(accept):
        if wish.name == "application/openmetrics-text":
            if wish.parameters.get("version", "1.0.0") == "1.0.0":
                openmetrics = max(openmetrics, wish.quality)
        elif wish.name in {"text/plain", "text/*", "*/*"} and wish.parameters.get(
            "version", "0.0.4"
        ) in {"0.0.4", "1.0.0"}:
            text = max(text, wish.quality)
    return openmetrics > 0 and openmetrics >= text


def wants_gzip(accept_encoding: str) -> bool:
    """Return whether the client takes gzip; not when it says ``gzip;q=0`` (RFC 9110, 12.5.3)."""
    named = {wish.name: wish.quality for wish in wishes_in(accept_encoding)}
    return named.get("gzip", named.get("*", 0.0)) > 0


def shard_in(text: str) -> tuple[int, int]:
    """Return part and count of ``?shard=1/4``.

    Raises:
        ValueError: with a sentence.
    """
    part, slash, count = text.partition("/")
    if slash and all(
        word.isascii() and word.isdigit() and len(word) <= 4 for word in (part, count)
    ):
        found = int(part), int(count)
        if 1 <= found[0] <= found[1] <= 1_000:
            return found
    raise ValueError(
        f"shard={text[:40]!r} is not possible; write shard=PART/COUNT like 1/4, "
        "PART from 1 to COUNT, COUNT at most 1000"
    )
