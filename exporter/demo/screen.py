"""What the demo tells the person at the terminal, and the script that reads its JSON; pure."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from exporter.demo.authorities import GATEWAY_NAME
from exporter.demo.device import Contact, Counted
from exporter.demo.layout import GATEWAY
from exporter.demo.options import Break, DemoOptions, Remediation, Terminator

_PHASES = {
    "planned": "a key is made on the gateway, and the new CA's side signs it",
    "adding": "devices are given the new CA beside the old one, the canary group first",
    "validating": "for each device it is asked whether it would accept the new chain",
    "canary": "the new chain is met on the second port, then served, and watched",
    "rotating": "the other gateways follow",
    "overlap": "every device shook hands with the new chain; both CAs stay trusted for a while",
    "removing": "the old CA is taken from the devices, the canary group first",
    "rolled_back": "the gateway serves again what it served before",
    "aborted": "it was given up",
}
_WHAT_BROKE = {
    Break.UNKNOWN_CA: "now serves a certificate of the new CA, which no device trusts",
    Break.EXPIRED: "now serves a certificate that ended an hour ago",
    Break.MISSING_INTERMEDIATE: "now serves its certificate without the intermediate",
    Break.HOSTNAME: "now serves another gateway's certificate",
}
_WHAT_IT_DOES = {
    Remediation.OFF: "Asked for help, the service refuses (--remediation off).",
    Remediation.DRY_RUN: "Asked for help, the service says what it would do.",
    Remediation.ACT: "Asked for help, the service rolls back, if the evidence is for it.",
}
_NO_WITNESSES = (
    "It will refuse with too_few_witnesses: mosquitto's log names nobody who refuses it, and\n"
    "does not tell full handshakes from resumed ones. A person must decide: docs/remediation.md."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where to find what the demo runs.

    Attributes:
        exporter: Base URL of the service.
        gateway: ``HOST:PORT``.
        management_api: Base URL of the gateway's agent.
    """

    exporter: str
    gateway: str
    management_api: str
    token_file: str
    directory: str


def as_json(found: Whereabouts) -> str:
    """Return the one line that scripts wait for."""
    return json.dumps(asdict(found))


def greeting(found: Whereabouts, options: DemoOptions, platforms_word: str, command: str) -> str:
    """Return what a person sees when everything runs; ``command`` is how to call this program."""
    lines = [
        f"A gateway and {options.devices} devices are running on loopback, and are watched.",
        "",
        f"  fleet page  {found.exporter}/fleet",
        f"  metrics     {found.exporter}/metrics",
        f"  targets     {found.exporter}/api/v1/targets",
        f"  gateway     {found.gateway}   (its log: {found.directory}/gateway.log)",
        f"  its agent   {found.management_api}   (the management API; token: {found.token_file})",
        f"  directory   {found.directory}",
        "",
    ]
    if options.break_ is not None:
        lines += [f"BROKEN: {GATEWAY} {_WHAT_BROKE[options.break_]}.", ""]
    if options.break_ is Break.UNKNOWN_CA:
        lines += [f"The platform says: Rotation: SUCCESS, {platforms_word}.", ""]
    if options.rotate:
        lines += [
            "It is rotated to a new CA, phase by phase, with seconds where days would be due.",
            "Each gate is opened by what is measured; here a person approves by script.",
            f"  curl -s {found.exporter}/api/v1/rotation",
            f"  curl -s {found.exporter}/metrics | grep fleet_tls_rotation",
            "",
        ]
    if options.break_ is not None:
        lines += [*_how_to_ask(found, options.remediation), ""]
    if options.break_ is not None and options.terminator is Terminator.MOSQUITTO:
        lines += [_NO_WITNESSES, ""]
    lines += [
        "Would each device accept what its gateway serves?",
        f"  curl -s {found.exporter}/metrics | grep device_accepts_gateway",
        "Look at the gateway with the eyes of a device:",
        f"  {command} probe {found.gateway} --server-name {GATEWAY_NAME} "
        f"--trust-store {found.directory}/pki/old-ca.pem",
        *_to_try(found, options.break_, command),
    ]
    others = [way for way in Break if way is not options.break_]
    lines += ["See another outage: stop this with Ctrl-C, then"]
    lines += [f'  make demo ARGS="--break {way}"' for way in others]
    return "\n".join([*lines, "", "Ctrl-C ends it and leaves nothing behind."])


def _to_try(found: Whereabouts, broken: Break | None, command: str) -> Iterator[str]:
    if broken is None:
        yield "Take a device's anchor away and see it refuse, within seconds:"
        yield (
            f"  rm {found.directory}/devices/dev-01/truststore/*.pem; tail -f "
            f"{found.directory}/gateway.log"
        )
        return
    yield "What would going back do? With --yes in place of --dry-run it is done:"
    yield (
        f"  {command} rollback --gateway {GATEWAY} --dry-run --url {found.exporter} "
        f"--token-file {found.token_file}"
    )


def _how_to_ask(found: Whereabouts, mode: Remediation) -> Sequence[str]:
    """Return how to send the alert that asks for a rollback: no Prometheus runs here."""
    post = (
        f'  curl -H "Authorization: Bearer $(cat {found.token_file})" '
        f"-H 'Content-Type: application/json' "
        f"--data @{found.directory}/alert.json {found.exporter}/webhook/alertmanager"
    )
    see = f"  curl -s {found.exporter}/api/v1/remediation"
    return (f"{_WHAT_IT_DOES[mode]} Be its Alertmanager, then see what it decided:", post, see)


def phase(found: Mapping[str, Any]) -> str:
    """Return one line on where a rotation is, by what the service says of it."""
    words, counts = _PHASES.get(found["phase"], ""), found["devices"]
    return (
        f"rotation {found['phase']}{f': {words}' if words else ''} ({counts['synced']} of "
        f"{counts['total']} trust the new CA, {counts['on_new_chain']} are proven on its chain)"
    )


def approval(found: Mapping[str, Any]) -> str:
    """Return what a person just approved."""
    what = (
        "REMOVE, the only step without a way back" if found["phase"] == "overlap" else "the plan"
    )
    return f"a person approves {what} (hash {found['plan_hash'][:16]})"


def ending(found: Mapping[str, Any], counted: Counted, still_old: int) -> str:
    """Return how a rotation ended, with what the devices themselves counted."""
    counts = found["devices"]
    failed = f"{counted.failure_count} failed, the last: {counted.last_refusal}"
    if not counted.failure_count:
        failed = "not one failed"
    return (
        f"rotation over: {found['phase']}; {counts['on_new_chain']} of {counts['total']} devices "
        f"are on the new chain, {still_old} still trust the old CA; of {counted.attempt_count} "
        f"handshakes on the way {failed}"
    )


def summary(contacts: Mapping[str, Contact], device_count: int) -> str:
    """Return one line on how the devices fare, the same as long as nothing changes."""
    refusals = Counter(
        contact.refusal for contact in contacts.values() if contact.refusal is not None
    )
    good_count = len(contacts) - refusals.total()
    text = f"{good_count} of {device_count} devices reach the gateway"
    if refusals:
        text += "; " + ", ".join(f"{count}: {why}" for why, count in refusals.most_common(3))
    return text
