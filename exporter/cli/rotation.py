"""``rotation``: persons at the running service about the phased rotation of a CA."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click

from exporter.cli.arguments import MOMENT
from exporter.cli.asking import Service, asks_the_service, tell, told_by
from exporter.cli.rotation_text import (
    entry_line,
    plan_text,
    renewals_text,
    status_text,
    what_if_text,
)
from exporter.cli.terminal import safe

_BASE = "/api/v1/rotation"
_BAD_NEWS = 1
_PAGE = 1_000
_MOST_PEM_BYTES = 256 << 10
# What stands in the way of every plan that was just made
_USUAL = frozenset({"awaiting_approval", "no_candidate"})

_PEM = click.Path(path_type=Path, dir_okay=False, exists=True, readable=True)
_by = click.option("--by", metavar="NAME", default="", help="Who you are, for the journal.")
_reason = click.option("--reason", metavar="TEXT", default="", help="Why, for the journal.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_one = click.argument("rotation_id", metavar="[ROTATION]", required=False)


def _wish(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``command`` what a plan is made of."""
    for option in reversed(_WISH):
        command = option(command)
    return command


_WISH = (
    click.option(
        "--new-ca",
        type=_PEM,
        metavar="PEM",
        help="The CA that comes.  [default: rotation.new_ca_file of the service's configuration,"
        " else the same CA: a renewal]",
    ),
    click.option("--renew", is_flag=True, help="Renew under the same CA, whatever is configured."),
    click.option(
        "--old-ca",
        type=_PEM,
        metavar="PEM",
        help="The CA that goes.  [default: the one that all gateways' chains lead to]",
    ),
    click.option(
        "--gateway",
        "gateways",
        metavar="G",
        multiple=True,
        help="Only this one; may be repeated.  [default: all that serve a chain of the old CA]",
    ),
    click.option("--id", "wanted_id", metavar="NAME", default="", help="Name of the rotation."),
    click.option(
        "--same-subject-is-meant",
        is_flag=True,
        help="The new CA bears the old one's subject with another key, and that is meant.",
    ),
    click.option(
        "--client-ca-is-another",
        is_flag=True,
        help="The devices' own certificates are by another CA than the one that goes.",
    ),
)


@click.group(
    "rotation",
    epilog="""\b
Examples:
  fleet-tls-exporter rotation status --config config.yml
  fleet-tls-exporter rotation plan --new-ca new-ca.pem --config config.yml
""",
)
def rotation() -> None:
    """The phased rotation of a CA, whose gates are opened by measured facts only."""


@rotation.command(
    "plan",
    epilog="""\b
Examples:
  fleet-tls-exporter rotation plan --new-ca new-ca.pem --config config.yml
  fleet-tls-exporter rotation plan --renew --gateway gw-1
  fleet-tls-exporter rotation plan --at 2027-01-05
  fleet-tls-exporter rotation plan --remove old-ca.pem --json | jq .dark

\b
Exit codes: 0 nothing but the usual is in the way, or nobody goes dark; 1 something is in the
way, or somebody goes dark or may; 2 the service cannot be asked.
""",
)
@_wish
@click.option(
    "--at", type=MOMENT, metavar="DATE", help="Only who goes dark by then, as things are now."
)
@click.option(
    "--remove",
    metavar="CA",
    help="Only who goes dark without this CA: a PEM file, a SHA-256, its subject or name.",
)
@_json
@asks_the_service
def plan(
    *, service: Service, at: datetime | None, remove: str | None, as_json: bool, **given: Any
) -> int:
    """Show each step, what is in the way, and when the last device is ready; changes nothing.

    With --at or --remove it says instead who goes dark, by name.
    """
    if at is not None or remove is not None:
        return _what_if(service, at, remove, as_json=as_json)
    told = tell(service, f"{_BASE}/plan", _body(given), "steps")
    print(json.dumps(told) if as_json else plan_text(told, is_kept=False))
    reasons = {one["reason"] for one in told["gate"]["blockers"]}
    return _BAD_NEWS if reasons - _USUAL else 0


def _what_if(service: Service, at: datetime | None, remove: str | None, *, as_json: bool) -> int:
    query = {"at": at.isoformat() if at is not None else None, "remove": _named(remove)}
    given = {key: value for key, value in query.items() if value is not None}
    told = told_by(service, f"{_BASE}/what-if?{urlencode(given, quote_via=quote)}", "dark")
    print(json.dumps(told) if as_json else what_if_text(told))
    return _BAD_NEWS if told["dark"] or told["unknown"] else 0


def _named(authority: str | None) -> str | None:
    """Return the SHA-256 where a file is named, else the word as it is."""
    if authority is None or not Path(authority).is_file():
        return authority
    from exporter.certificates import read_pem  # noqa: PLC0415 - help stays quick

    data = Path(authority).read_bytes()[: _MOST_PEM_BYTES + 1]
    return read_pem(data, what=authority)[0].fingerprint_sha256


def _body(given: Mapping[str, Any]) -> dict[str, object]:
    return {
        "id": given["wanted_id"],
        "new_ca": _pem(given["new_ca"]),
        "renew": given["renew"],
        "old_ca": _pem(given["old_ca"]),
        "gateways": given["gateways"],
        "same_subject_is_meant": given["same_subject_is_meant"],
        "client_ca_is_another": given["client_ca_is_another"],
        "by": given.get("by", ""),
        "reason": given.get("reason", ""),
    }


def _pem(path: Path | None) -> str | None:
    if path is None:
        return None
    from exporter.text_files import read_bounded  # noqa: PLC0415 - help stays quick

    return read_bounded(path, _MOST_PEM_BYTES).decode("latin-1")


@rotation.command(
    "start",
    epilog="""\b
Examples:
  fleet-tls-exporter rotation start --new-ca new-ca.pem --by anna --config config.yml
  fleet-tls-exporter rotation start --renew --gateway gw-1 --by anna
""",
)
@_wish
@_reason
@_by
@_json
@asks_the_service
def start(*, service: Service, as_json: bool, **given: Any) -> int:
    """Keep a plan. Keys are made and chains signed; the rest waits for an approval."""
    told = tell(service, f"{_BASE}/start", _body(given), "steps")
    print(json.dumps(told) if as_json else plan_text(told))
    return 0


@rotation.command(
    "status",
    epilog="""\b
Examples:
  fleet-tls-exporter rotation status --config config.yml
  fleet-tls-exporter rotation status --json | jq '.rotations[].gate.blockers'
""",
)
@_one
@_json
@asks_the_service
def status(*, rotation_id: str | None, as_json: bool, service: Service) -> int:
    """Show each rotation: phase, gate, what is in the way by name, and what would unblock it."""
    told = dict(told_by(service, _BASE, "rotations"))
    if rotation_id is not None:
        told["rotations"] = [one for one in told["rotations"] if one["id"] == rotation_id]
    print(json.dumps(told) if as_json else status_text(told))
    return _BAD_NEWS if rotation_id is not None and not told["rotations"] else 0


@rotation.command(
    "approve",
    epilog="""\b
Examples:
  fleet-tls-exporter rotation approve --plan-hash HASH --by anna --config config.yml
  fleet-tls-exporter rotation approve rotation-1 --plan-hash HASH --by anna
""",
)
@_one
@click.option(
    "--plan-hash", metavar="HASH", required=True, help="plan_hash that `rotation status` shows."
)
@_by
@_json
@asks_the_service
def approve(
    *, rotation_id: str | None, plan_hash: str, by: str, as_json: bool, service: Service
) -> int:
    """Say yes to what is next: to beginning, or, apart from that, to removing the old CA."""
    body = {"rotation": _the(service, rotation_id), "plan_hash": plan_hash, "by": by}
    told = tell(service, f"{_BASE}/approve", body, "approved")
    what = {"begin": "it may begin", "remove": "the old CA may be removed"}[told["approved"]]
    print(json.dumps(told) if as_json else safe(f"{told['rotation']}: {what}"))
    return 0


def _changing(name: str, said: str, summary: str, example: str) -> click.Command:
    """Return a command that tells the service one thing about one rotation."""

    @_one
    @_reason
    @_by
    @_json
    @asks_the_service
    def command(
        *, rotation_id: str | None, reason: str, by: str, as_json: bool, service: Service
    ) -> int:
        body = {"rotation": _the(service, rotation_id), "reason": reason, "by": by}
        told = tell(service, f"{_BASE}/{name}", body, "done")
        print(json.dumps(told) if as_json else safe(f"{told['rotation']} {said}"))
        return 0

    command.__doc__ = summary
    epilog = f"\b\nExamples:\n  fleet-tls-exporter rotation {name} {example}\n"
    return click.command(name, epilog=epilog)(command)


rotation.add_command(
    _changing(
        "pause",
        "is paused; the way back stays open",
        "Start no further step; what was rotated and is not confirmed goes back by itself.",
        "--by anna --reason 'works on site' --config config.yml",
    )
)
rotation.add_command(
    _changing(
        "resume",
        "goes on",
        "Go on from where the facts say that it is; try again what failed or was put back.",
        "--by anna --config config.yml",
    )
)
rotation.add_command(
    _changing(
        "abort",
        "is aborted: what can be put back is",
        "Leave nothing but the way back: gateways are put back, or the new CA is taken back.",
        "--by anna --reason 'the new CA is the wrong one' --config config.yml",
    )
)
rotation.add_command(
    _changing(
        "adopt",
        "takes what is served for right",
        "Take what gateways serve for right, where the journal says otherwise (drift).",
        "--by anna --config config.yml",
    )
)
rotation.add_command(
    _changing(
        "undo",
        "has what was changed by hand put back",
        "Put back the gateways that were changed by hand (drift).",
        "--by anna --config config.yml",
    )
)


@rotation.command(
    "exclude",
    epilog="""\b
Examples:
  fleet-tls-exporter rotation exclude dev-07 --reason 'in the workshop until May' --by anna
""",
)
@click.argument("device", metavar="DEVICE")
@click.option(
    "--rotation", "rotation_id", metavar="ROTATION", help="Which.  [default: the only one]"
)
@click.option("--reason", metavar="TEXT", required=True, help="Why, for the journal.")
@_by
@_json
@asks_the_service
def exclude(
    *,
    device: str,
    rotation_id: str | None,
    reason: str,
    by: str,
    as_json: bool,
    service: Service,
) -> int:
    """Leave a device out: it may go dark. What was approved before must be approved anew."""
    name = _the(service, rotation_id)
    body = {"rotation": name, "device": device, "reason": reason, "by": by}
    told = tell(service, f"{_BASE}/exclude", body, "done")
    print(json.dumps(told) if as_json else safe(f"{name}: {device} is left out"))
    return 0


@rotation.command(
    "renewals",
    epilog="""\b
Examples:
  fleet-tls-exporter rotation renewals --config config.yml
""",
)
@_json
@asks_the_service
def renewals(*, as_json: bool, service: Service) -> int:
    """Show which gateways are renewed by themselves, and when; devices' certificates that end."""
    told = told_by(service, f"{_BASE}/renewals", "renewals")
    print(json.dumps(told) if as_json else renewals_text(told))
    return _BAD_NEWS if any(one["fault"] for one in told["renewals"]) else 0


@rotation.command(
    "history",
    epilog="""\b
Examples:
  fleet-tls-exporter rotation history --config config.yml
  fleet-tls-exporter rotation history rotation-1 --json
""",
)
@_one
@_json
@asks_the_service
def history(*, rotation_id: str | None, as_json: bool, service: Service) -> int:
    """Tell what was asked, seen and done, in order: one line, or JSON object, each."""
    after = 0
    about = {"rotation": rotation_id} if rotation_id is not None else {}
    while True:
        query = urlencode({**about, "after": after, "limit": _PAGE}, quote_via=quote)
        items = told_by(service, f"{_BASE}/history?{query}", "items")["items"]
        for entry in items:
            print(json.dumps(entry) if as_json else entry_line(entry))
        if not items:
            return 0
        after = int(items[-1]["number"])


def _the(service: Service, rotation_id: str | None) -> str:
    """Return the rotation that is meant: the one that is named, else the only open one."""
    if rotation_id is not None:
        return rotation_id
    ended = {"done", "rolled_back", "aborted"}
    found = [
        str(one["id"])
        for one in told_by(service, _BASE, "rotations")["rotations"]
        if one["phase"] not in ended
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise click.UsageError("no rotation is under way")
    raise click.UsageError(f"several are under way; name one of {', '.join(sorted(found))}")
