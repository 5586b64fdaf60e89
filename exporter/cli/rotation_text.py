"""What the service says of rotations, for people; pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exporter.cli.terminal import safe

Told = Mapping[str, Any]
_MOST_BLOCKERS = 20
_GATE = {True: "open", False: "shut", None: "cannot be told, and so shut"}


def status_text(told: Told) -> str:
    """Return all rotations."""
    lines = [f"mode {told['mode']}"]
    if not told["rotations"]:
        lines.append("no rotation is under way")
    for one in told["rotations"]:
        lines += ["", *_rotation(one)]
    return safe_lines(lines)


def plan_text(told: Told, *, is_kept: bool = True) -> str:
    """Return a plan: what is to be done, then what is in its way.

    ``is_kept``: it was started; else there is nothing yet that could be approved.
    """
    renewal = told["kind"] == "renewal"
    old, new = told["old_ca"], told["new_ca"]
    lines = [
        f"{'renewal' if renewal else 'rotation'} {told['id']}, mode {told['mode']}",
        f"  from {_authority(old)}",
        f"  to   {'the same: no trust store changes' if renewal else _authority(new)}",
        "  steps:",
        *(f"    {place}. {step}" for place, step in enumerate(told["steps"], 1)),
        *_standing(told if is_kept else _not_kept(told)),
    ]
    return safe_lines(lines)


def _not_kept(told: Told) -> Told:
    gate = dict(told["gate"])
    gate["blockers"] = [one for one in gate["blockers"] if one["reason"] != "awaiting_approval"]
    return {**told, "gate": gate, "awaiting": None}


def what_if_text(told: Told) -> str:
    """Return who goes dark, by name."""
    removed = told["removed"]
    without = f" without {removed['subject']}" if removed else ""
    lines = [
        f"at {told['at']}{without}, as things are served and trusted now:",
        f"  {len(told['dark'])} of {told['devices']} devices go dark, {told['stay']} stay,"
        f" of {len(told['unknown'])} it cannot be said, {len(told['already'])} are dark already",
    ]
    for key, title in (
        ("dark", "go dark"),
        ("unknown", "cannot be said"),
        ("already", "dark already"),
    ):
        lines += [
            f"  {title}: {one['device']} behind {one['gateway']}: {one['why']}"
            for one in told[key]
        ]
    return safe_lines(lines)


def renewals_text(told: Told) -> str:
    """Return where renewals are."""
    lines = [f"mode {told['mode']}"]
    if not told["renewals"]:
        lines.append("no gateway's certificate lives so short that it is renewed by itself")
    for one in told["renewals"]:
        fault = f": {one['fault']}" if one["fault"] else ""
        lines.append(
            f"  {one['gateway']}: {one['state']}, renewed from {one['due_at']} on, ends"
            f" {one['expires_at']}{fault}"
        )
    lines += [
        f"  {one['device']}: its own certificate ends {one['expires_at']}; that is for its owner"
        for one in told["device_certificates"]
    ]
    return safe_lines(lines)


def entry_line(entry: Told) -> str:
    """Return one entry of the journal."""
    facts = dict(entry["facts"])
    name = facts.pop("rotation", "")
    where = f" {entry['gateway']}" if entry["gateway"] else ""
    said = json.dumps(facts, ensure_ascii=False)
    return safe(f"{entry['number']:>6}  {entry['at']}  {name}{where}: {said}")


def safe_lines(lines: Sequence[str]) -> str:
    """Return the lines, each without what a terminal would obey."""
    return "\n".join(safe(line) for line in lines)


def _authority(one: Told) -> str:
    return f"{one['subject']} ({one['fingerprint_sha256'][:16]}), until {one['not_after']}"


def _rotation(one: Told) -> Iterator[str]:
    yield f"{one['id']} ({one['kind']}): {one['phase']} since {one['since']}"
    yield from _standing(one)


def _standing(one: Told) -> Iterator[str]:
    counts = one["devices"]
    yield (
        f"  devices: {counts['total']}; {counts['synced']} trust the new CA,"
        f" {counts['on_new_chain']} are proven on the new chain"
    )
    serving = [it["gateway"] for it in one["gateways"] if it["state"] in {"on_new", "settled"}]
    yield f"  gateways: {len(one['gateways'])}; {len(serving)} serve the new chain"
    if one["forecast"]["sentence"]:
        yield f"  forecast: {one['forecast']['sentence']}"
    if one["overlap_end"]:
        yield f"  both CAs stay trusted until {one['overlap_end']} at least"
    if one["paused"] or one["aborting"]:
        yield "  it is being aborted" if one["aborting"] else "  it is paused"
    for said in one["drift"]:
        yield f"  DRIFT: {said}"
    for it in one["excluded"]:
        yield f"  left out: {it['device']} ({it['reason']})"
    yield from _gate(one)


def _gate(one: Told) -> Iterator[str]:
    gate = one["gate"]
    blockers = gate["blockers"]
    yield f"  gate: {_GATE[gate['open']]}{f'; {len(blockers)} in the way:' if blockers else ''}"
    for it in blockers[:_MOST_BLOCKERS]:
        since = f" since {it['since']}" if it["since"] else ""
        expected = f"; expected {it['expected_at']}" if it["expected_at"] else ""
        yield f"    {it['name']}: {it['reason']}{since}: {it['unblocks']}{expected}"
    if len(blockers) > _MOST_BLOCKERS:
        yield f"    and {len(blockers) - _MOST_BLOCKERS} more: --json has them all"
    if one["next"]:
        about = [*one["next"]["gateways"], *one["next"]["devices"]]
        names = f" ({', '.join(about[:6])}{', …' if len(about) > 6 else ''})" if about else ""
        yield f"  next: {one['next']['step']}{names}: {one['next']['why']}"
    if one["awaiting"]:
        yield f"  awaiting: rotation approve {one['id']} --plan-hash {one['plan_hash']}"
