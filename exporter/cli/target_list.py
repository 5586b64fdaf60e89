"""The endpoints of ``probe --targets``: a Prometheus file_sd file, or one HOST:PORT a line."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exporter.cli.looks import Wanted
from exporter.errors import ConfigError, Fault
from exporter.probe import KNOWN_PROTOCOLS, PROBERS
from exporter.probe.model import Endpoint, endpoint_of
from exporter.targets.addresses import parse_address
from exporter.targets.entries import Known
from exporter.targets.groups import MAX_BYTES, Form, groups_in
from exporter.targets.model import Dropped, Role, Target
from exporter.text_files import decode, read_bounded

_STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetList:
    """What a file of targets holds.

    Attributes:
        dropped: Entries that cannot be used, each with the reason.
    """

    wanted: tuple[Wanted, ...]
    dropped: tuple[Dropped, ...] = ()


class _AnyName(dict[str, Any]):
    """Knows every name: stores and classes that labels refer to are the service's affair."""

    def __contains__(self, name: object) -> bool:
        return True


def wanted_of(
    host: str, port: int, *, server_name: str | None, protocol: str, text: str
) -> Wanted:
    """Return the look at one address; ``server_name`` None: the host, ``""``: no name."""
    target = Target(
        name=text,
        role=Role.GATEWAY,
        host=host,
        port=port,
        server_name=server_name,
        protocol=protocol,
    )
    return _look_at(target)


def _look_at(target: Target) -> Wanted:
    endpoint: Endpoint = endpoint_of(target)
    return Wanted(
        text=target.name,
        endpoint=replace(endpoint, target=endpoint.address),
        name=target.checked_name,
    )


def read_target_list(path: Path, *, server_name: str | None) -> TargetList:
    """Return what is to be looked at; ``-`` is standard input.

    ``server_name`` is for those that bring none of their own; None: each one's host.

    Raises:
        ConfigError: not readable, with every line that is no HOST:PORT, or nothing in it.
    """
    name = str(path)
    if name == _STANDARD_INPUT:
        body = sys.stdin.buffer.read(MAX_BYTES)
    else:
        body = read_bounded(path, MAX_BYTES)
    form = _form_of(path, body)
    if form is None:
        found = _of_lines(decode(body, name), name, server_name)
    else:
        found = _of_groups(body, form, name, server_name)
    if not found.wanted and not found.dropped:
        message = "there is no target in it; write one HOST:PORT a line, or a file_sd list"
        raise ConfigError([Fault(place=name, message=message)])
    return found


def _form_of(path: Path, body: bytes) -> Form | None:
    """Return how ``body`` is written; None: line by line. The content decides, not the name."""
    start = body.lstrip()
    if start.startswith(b"[") and _is_json(start):
        return Form.JSON
    if path.suffix in {".yml", ".yaml"} or start.startswith((b"- ", b"---")):
        return Form.YAML
    return Form.JSON if path.suffix == ".json" else None


def _is_json(body: bytes) -> bool:
    # A line like "[2001:db8::1]:8883" begins with a bracket too
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _of_groups(body: bytes, form: Form, name: str, server_name: str | None) -> TargetList:
    known = Known(
        trust_stores=_AnyName(),
        device_classes=_AnyName(),
        management_apis=_AnyName(),
        protocols=frozenset(PROBERS),
        later_protocols=frozenset(KNOWN_PROTOCOLS) - PROBERS.keys(),
    )
    try:
        groups = groups_in(body, form, known, source=name)
    except ValueError as exc:
        raise ConfigError([Fault(place=name, message=str(exc))]) from exc
    wanted = tuple(
        _look_at(
            target if target.server_name is not None else replace(target, server_name=server_name)
        )
        for target in groups.targets
        if target.host is not None  # a device without an address of its own
    )
    return TargetList(wanted=wanted, dropped=groups.dropped)


def _of_lines(text: str, name: str, server_name: str | None) -> TargetList:
    faults: list[Fault] = []
    wanted: list[Wanted] = []
    for number, line in _written(text):
        try:
            host, port = parse_address(line)
        except ValueError as exc:
            faults.append(Fault(place=f"{name}:{number}", message=str(exc)))
        else:
            wanted.append(
                wanted_of(host, port, server_name=server_name, protocol="tls", text=line)
            )
    if faults:
        raise ConfigError(faults)
    return TargetList(wanted=tuple(wanted))


def _written(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        kept = line.partition("#")[0].strip()
        if kept:
            yield number, kept
