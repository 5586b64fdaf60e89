"""``rollback``, ``remediation``, ``journal`` and ``explain``: persons at the running service."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import click

from exporter.cli.asking import Service, ServiceError, asks_the_service
from exporter.cli.terminal import safe

_BASE = "/api/v1/remediation"
_BAD_NEWS = 1
_PAGE = 1_000

_gateway = click.option("--gateway", metavar="G", required=True, help="Name of the gateway.")
_by = click.option("--by", metavar="NAME", default="", help="Who you are, for the journal.")
_reason = click.option("--reason", metavar="TEXT", default="", help="Why, for the journal.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.command(
    "rollback",
    epilog="""\b
Examples:
  fleet-tls-exporter rollback --gateway gw-1 --dry-run --config /etc/fleet-tls-exporter/config.yml
  fleet-tls-exporter rollback --gateway gw-1 --yes --by anna --token-file token
  fleet-tls-exporter rollback --gateway gw-1 --yes --override gateway_held --reason 'second fault'

\b
Exit codes: 0 it would be done, or was begun; 1 refused; 2 the service cannot be asked.
""",
)
@_gateway
@click.option("--dry-run", "is_dry", is_flag=True, help="Show what would be done, by name.")
@click.option("--yes", "is_meant", is_flag=True, help="Do it, after the same decision.")
@click.option(
    "--override",
    "overrides",
    metavar="REFUSAL",
    multiple=True,
    help="Pass one refusal; needs --reason. Some are never passed.",
)
@_reason
@_by
@_json
@asks_the_service
def rollback(*, service: Service, **given: Any) -> int:
    """Roll a gateway's certificate back by hand: the same decision, the same journal.

    What would happen is shown first, by name; it is done only with --yes.
    """
    if given["is_dry"] == given["is_meant"]:
        raise click.UsageError("say either --dry-run or --yes")
    body = {key: given[key] for key in ("gateway", "overrides", "reason", "by")}
    told = _post(service, "/rollback", {**body, "act": given["is_meant"]}, "outcome")
    if given["as_json"]:
        print(json.dumps(told))
    else:
        _show_decision(told)
    return 0 if told["outcome"] in {"would_rollback", "rollback"} else _BAD_NEWS


@click.group(
    "remediation",
    epilog="""\b
Examples:
  fleet-tls-exporter remediation status --config config.yml
""",
)
def remediation() -> None:
    """What the guarded rollback did and would do; hold, release, approve, stop."""


@remediation.command(
    "status",
    epilog="""\b
Examples:
  fleet-tls-exporter remediation status --config config.yml
  fleet-tls-exporter remediation status --json | jq .gateways
""",
)
@_json
@asks_the_service
def status(*, as_json: bool, service: Service) -> int:
    """Show the mode, the kill switch, and each gateway's last decision and action."""
    told = _get(service, "", "gateways")
    if as_json:
        print(json.dumps(told))
        return 0
    switch = {True: "on", False: "off", None: "not known"}[told["kill_switch"]]
    print(f"mode {told['mode']}, kill switch {switch}, budget {told['budget_remaining']}")
    for one in told["gateways"]:
        _show_gateway(one)
    return 0


@remediation.command(
    "hold",
    epilog="""\b
Examples:
  fleet-tls-exporter remediation hold --gateway gw-1 --for 2h --reason 'works on site' --by anna
""",
)
@_gateway
@click.option("--for", "duration", metavar="TIME", default="1d", show_default=True)
@_reason
@_by
@asks_the_service
def hold(*, gateway: str, duration: str, reason: str, by: str, service: Service) -> int:
    """Let nothing change a gateway by itself for a while: 30m, 2h, 7d."""
    from exporter.durations import parse_duration  # noqa: PLC0415 - help stays quick

    try:
        seconds = parse_duration(duration)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--for") from exc
    body = {"gateway": gateway, "seconds": seconds, "reason": reason, "by": by}
    told = _post(service, "/hold", body, "hold_until")
    print(f"{safe(gateway)} is held until {told['hold_until']}")
    return 0


@remediation.command(
    "release",
    epilog="""\b
Examples:
  fleet-tls-exporter remediation release --gateway gw-1 --by anna
""",
)
@_gateway
@_reason
@_by
@asks_the_service
def release(*, gateway: str, reason: str, by: str, service: Service) -> int:
    """Release a gateway."""
    told = _post(service, "/release", {"gateway": gateway, "reason": reason, "by": by}, "was_held")
    print(f"{safe(gateway)} {'is released' if told['was_held'] else 'was not held'}")
    return 0


@remediation.command(
    "approve",
    epilog="""\b
Examples:
  fleet-tls-exporter remediation approve --gateway gw-1 --plan HASH --by anna
""",
)
@_gateway
@click.option(
    "--plan", metavar="HASH", required=True, help="plan_hash of the decision that was shown."
)
@_by
@asks_the_service
def approve(*, gateway: str, plan: str, by: str, service: Service) -> int:
    """Say yes to the plan that was shown; void when anything about it changes."""
    told = _post(service, "/approve", {"gateway": gateway, "plan_hash": plan, "by": by}, "outcome")
    _show_decision(told)
    return 0 if told["outcome"] == "rollback" else _BAD_NEWS


@remediation.command(
    "kill-switch",
    epilog="""\b
Examples:
  fleet-tls-exporter remediation kill-switch on --reason 'the rules are wrong' --by anna
""",
)
@click.argument("state", type=click.Choice(["on", "off"]))
@_reason
@_by
@asks_the_service
def kill_switch(*, state: str, reason: str, by: str, service: Service) -> int:
    """Stop all changes by anybody, or allow them again."""
    body = {"on": state == "on", "reason": reason, "by": by}
    _post(service, "/kill-switch", body, "kill_switch")
    print(f"the kill switch is {state}")
    return 0


@click.command(
    "journal",
    epilog="""\b
Examples:
  fleet-tls-exporter journal --gateway gw-1 --config config.yml
  fleet-tls-exporter journal verify --config config.yml

\b
Exit codes: 0 good; 1 an entry was changed or is missing; 2 the service cannot be asked.
""",
)
@click.argument("action", type=click.Choice(["show", "verify"]), default="show")
@click.option("--gateway", metavar="G", help="Only what is about this gateway.")
@_json
@asks_the_service
def journal(*, action: str, gateway: str | None, as_json: bool, service: Service) -> int:
    """Tell an incident in order; or see whether an entry was changed or is missing."""
    if action == "verify":
        told = _get(service, "/journal/verify", "faults")
        print(json.dumps(told) if as_json else _verified(told))
        return _BAD_NEWS if told["faults"] else 0
    after = 0
    while items := _entries(service, gateway, after):
        for entry in items:
            print(json.dumps(entry) if as_json else _line(entry))
        after = int(items[-1]["number"])
    return 0


@click.command(
    "explain",
    epilog="""\b
Examples:
  fleet-tls-exporter explain 17 --config config.yml
""",
)
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@_json
@asks_the_service
def explain(*, number: int, as_json: bool, service: Service) -> int:
    """Replay a decision from its stored evidence, and say why it was so."""
    told = _get(service, f"/decisions/{number}", "is_replayed_alike")
    if as_json:
        print(json.dumps(told))
        return 0
    _show_decision(told)
    alike = "decides the same" if told["is_replayed_alike"] else "DECIDES OTHERWISE"
    print(f"replayed: the function of today {alike} on this evidence")
    return 0


def _get(service: Service, path: str, key: str) -> Mapping[str, Any]:
    return _read(service, service.ask(_BASE + path), key)


def _post(service: Service, path: str, body: Mapping[str, object], key: str) -> Mapping[str, Any]:
    said = service.ask(_BASE + path, method="POST", body=json.dumps(body).encode())
    return _read(service, said, key)


def _read(service: Service, said: bytes, key: str) -> Mapping[str, Any]:
    """Return an answer, which holds ``key`` if it is our service that answered."""
    try:
        told = dict(json.loads(said))
    except (ValueError, TypeError):
        told = {}
    if key not in told:
        raise ServiceError(f"what {service.url} answers is not ours; is it another program?")
    return told


def _entries(service: Service, gateway: str | None, after: int) -> Sequence[Mapping[str, Any]]:
    query = {"after": after, "limit": _PAGE} | ({"gateway": gateway} if gateway else {})
    return list(_get(service, f"/journal?{urlencode(query, quote_via=quote)}", "items")["items"])


def _line(entry: Mapping[str, Any]) -> str:
    facts = entry["facts"]
    said = facts.get("sentence") or facts.get("detail") or json.dumps(facts, ensure_ascii=False)
    where = f" {entry['gateway']}" if entry["gateway"] else ""
    return safe(f"{entry['number']:>6}  {entry['at']}  {entry['kind']}{where}: {said}")


def _verified(told: Mapping[str, Any]) -> str:
    faults = [safe(fault) for fault in told["faults"]]
    return "\n".join(faults) or f"{told['entries']} entries, none changed, none missing"


def _show_decision(told: Mapping[str, Any]) -> None:
    print(safe(told["sentence"]))
    for kind, names in told["forecast"].items():
        if names:
            print(safe(f"  {kind:>7}: {len(names)}: {', '.join(names[:18])}"))
    for refusal, said in told["passed"].items():
        print(safe(f"  passed {refusal}: {said}"))
    print(f"  decision {told['id']}, plan {told['plan_hash']}")


def _show_gateway(one: Mapping[str, Any]) -> None:
    print(f"\n{safe(one['gateway'])}")
    ready = {True: "yes", False: "NO", None: "not known"}[one["rollback_ready"]]
    print(f"  ready to go back: {ready}")
    if one["hold_until"]:
        print(f"  held until {one['hold_until']}")
    if one["decision"]:
        print(safe(f"  decision {one['decision']['id']}: {one['decision']['sentence']}"))
    if one["action"]:
        action = one["action"]
        ending = action["ending"] or action["stage"]
        print(safe(f"  action {action['key']}: {ending}, {action['stage_at']}"))
