"""``rollback``, ``remediation``, ``journal`` and ``explain``: persons at the running service."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import click

from exporter.cli.asking import Service, asks_the_service, tell, told_by
from exporter.cli.terminal import safe
from exporter.wording import listed

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
    """What the guarded rollback did and would do; hold, release, approve, rehearse, stop."""


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
    print(f"dry run: {safe(told['dry_run']['sentence'])}")
    for one in told["dry_run"]["latest"]:
        print(
            safe(
                f"  decision {one['decision']}, {one['gateway']}: {one['verdict']}:"
                f" {one['detail']}"
            )
        )
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


@remediation.command(
    "rehearse",
    epilog="""\b
Examples:
  fleet-tls-exporter remediation rehearse --gateway gw-1 --config config.yml

\b
Exit codes: 0 it could be rolled back; 1 it could not; 2 it could not be rehearsed.
""",
)
@_gateway
@_reason
@_by
@_json
@asks_the_service
def rehearse(*, gateway: str, reason: str, by: str, as_json: bool, service: Service) -> int:
    """Serve a gateway's previous certificate on its second port, and look at it.

    Devices meet nothing of it: the gateway's own port is not touched.
    """
    told = _post(
        service, "/rehearse", {"gateway": gateway, "reason": reason, "by": by}, "way_back"
    )
    print(json.dumps(told) if as_json else safe(f"{gateway}: {_way_back(told)}"))
    return 0 if told["rollback_ready"] else _BAD_NEWS


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
    if told["is_replayed_alike"]:
        print("replayed: the function of today decides the same on this evidence")
    else:
        print("replayed: the function of today DECIDES OTHERWISE on this evidence:")
        print(safe(f"  {told['replayed']['sentence']}"))
    _show_afterwards(told["afterwards"])
    return 0


def _get(service: Service, path: str, key: str) -> Mapping[str, Any]:
    return told_by(service, _BASE + path, key)


def _post(service: Service, path: str, body: Mapping[str, object], key: str) -> Mapping[str, Any]:
    return tell(service, _BASE + path, body, key)


def _entries(service: Service, gateway: str | None, after: int) -> Sequence[Mapping[str, Any]]:
    query = {"after": after, "limit": _PAGE} | ({"gateway": gateway} if gateway else {})
    return list(_get(service, f"/journal?{urlencode(query, quote_via=quote)}", "items")["items"])


def _line(entry: Mapping[str, Any]) -> str:
    facts = entry["facts"]
    said = facts.get("sentence") or facts.get("detail") or json.dumps(facts, ensure_ascii=False)
    how = facts.get("ending") or facts.get("verdict")
    said = f"{how}: {said}" if how else said
    where = f" {entry['gateway']}" if entry["gateway"] else ""
    return safe(f"{entry['number']:>6}  {entry['at']}  {entry['kind']}{where}: {said}")


def _verified(told: Mapping[str, Any]) -> str:
    faults = [safe(fault) for fault in told["faults"]]
    return "\n".join(faults) or f"{told['entries']} entries, none changed, none missing"


def _show_decision(told: Mapping[str, Any]) -> None:
    print(safe(told["sentence"]))
    _show_names(told["forecast"])
    for refusal, said in told["passed"].items():
        print(safe(f"  passed {refusal}: {said}"))
    print(f"  decision {told['id']}, plan {told['plan_hash']}")


def _show_names(lists: Mapping[str, Sequence[str]]) -> None:
    for kind, names in lists.items():
        if names:
            print(safe(f"  {kind:>7}: {len(names)}: {listed(names, 18)}"))


def _show_afterwards(entry: Mapping[str, Any] | None) -> None:
    """Show what was measured after the act, in the forecast's words, if anything was begun."""
    if entry is None:
        return
    facts = entry["facts"]
    how = facts.get("ending") or facts["verdict"]
    print(safe(f"afterwards, {entry['at']}: {how}: {facts['detail']}"))
    if "measured" in facts:
        _show_names(facts["measured"])
        if facts["surprises"]:
            print(safe(f"  otherwise than forecast: {listed(facts['surprises'], 18)}"))


def _show_gateway(one: Mapping[str, Any]) -> None:
    print(f"\n{safe(one['gateway'])}")
    as_of = f" (as of {one['way_back']['checked_at']})" if one["way_back"] else ""
    print(safe(f"  way back: {_way_back(one)}{as_of}"))
    if one["hold_until"]:
        print(f"  held until {one['hold_until']}")
    if one["decision"]:
        print(safe(f"  decision {one['decision']['id']}: {one['decision']['sentence']}"))
    if one["action"]:
        action = one["action"]
        ending = action["ending"] or action["stage"]
        print(safe(f"  action {action['key']}: {ending}, {action['stage_at']}"))


def _way_back(one: Mapping[str, Any]) -> str:
    told = one["way_back"]
    if told is None:
        return "not known"
    if not one["rollback_ready"]:
        return f"NOT READY: {told['reason']}"
    return (
        f"ready: version {told['version']}, accepted by {told['accepting_devices']} of"
        f" {told['devices']} devices, rehearsed at {told['rehearsed_at']}"
    )
