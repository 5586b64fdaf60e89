"""What the options' values look like, and the sentence when one is wrong."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

UNNAMED_STORE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPort:
    """``HOST:PORT`` as it was written."""

    host: str
    port: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFile:
    """``[NAME=]PEM``."""

    name: str
    path: Path


class DurationType(click.ParamType[float]):
    """A duration as Prometheus writes it; seconds inside."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds; more than nothing and at most an hour."""
        from exporter.durations import parse_duration  # noqa: PLC0415 - help stays quick

        try:
            seconds = parse_duration(str(value))
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
        if not 0 < seconds <= 3_600:
            self.fail(f"{value!r} is not possible; from 1ms to 1h is", param, ctx)
        return seconds


class HostPortType(click.ParamType[HostPort]):
    """Where to look."""

    name = "HOST:PORT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> HostPort:
        """Return host (no brackets) and port."""
        from exporter.targets.addresses import parse_address  # noqa: PLC0415 - help stays quick

        try:
            host, port = parse_address(str(value))
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
        return HostPort(host=host, port=port, text=str(value))


class StoreType(click.ParamType[StoreFile]):
    """A trust store's file, and its name in the answer."""

    name = "[NAME=]PEM"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> StoreFile:
        """Return name and path; a path that holds ``=`` needs a name before it, or a ``/``."""
        name, equals, path = str(value).partition("=")
        if not equals or "/" in name:
            return StoreFile(name=UNNAMED_STORE, path=Path(str(value)))
        if not name or not path or not name.isprintable():
            self.fail(f"{value!r} is not NAME=PEM, like fw-4.2=anchors/fw-4.2.pem", param, ctx)
        return StoreFile(name=name, path=Path(path))


class MomentType(click.ParamType[datetime]):
    """A moment."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the moment, aware, UTC; without an offset it was meant as UTC."""
        try:
            moment = datetime.fromisoformat(str(value))
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return aware.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is not a moment; write it like 2026-11-24T12:00:00Z or 2026-11-24",
                param,
                ctx,
            )


DURATION = DurationType()
HOST_PORT = HostPortType()
STORE = StoreType()
MOMENT = MomentType()
