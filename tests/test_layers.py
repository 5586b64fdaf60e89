"""Imports go down only; read from the sources, so that nothing has to be imported for it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "exporter"

# From the bottom up. Parts on one level never import each other.
LEVELS: tuple[frozenset[str], ...] = (
    # vocabulary: what every part speaks in
    frozenset({
        "exporter.anchors", "exporter.certificates", "exporter.chain_tree", "exporter.clock",
        "exporter.durations",
        "exporter.errors", "exporter.gateway.api", "exporter.gateway.messages",
        "exporter.journal", "exporter.labels", "exporter.modes", "exporter.names",
        "exporter.observations", "exporter.opening", "exporter.operations",
        "exporter.plain_words", "exporter.store",
        "exporter.transaction",
        "exporter.targets.model", "exporter.text_files", "exporter.urls",
        "exporter.verdicts.model", "exporter.wording", "exporter.yaml_text",
    }),
    # the parts of the data path; fleet says by a protocol what it wants of a judge
    frozenset({
        "exporter.fleet", "exporter.gateway", "exporter.handshake_log", "exporter.probe",
        "exporter.recovery.issue",
        "exporter.targets", "exporter.trust_store", "exporter.verdicts", "exporter.webhook",
    }),
    # what can be set stands beside the part it is for; config composes it
    frozenset({"exporter.web.options"}),
    # how HTTP is served, whatever it is that answers
    frozenset({
        "exporter.web.auth", "exporter.web.guard", "exporter.web.listener", "exporter.web.tls",
    }),
    # what is shown of them and decided from them; the agent stands in front of a terminator
    frozenset({
        "exporter.gateway.agent", "exporter.metrics", "exporter.remediation", "exporter.report",
        "exporter.rotation", "exporter.trust_map",
    }),
    # the fleet page draws together what the levels below found out
    frozenset({"exporter.fleet_page"}),
    frozenset({
        "exporter.bundled", "exporter.config", "exporter.control_targets", "exporter.demo",
        "exporter.gateways",
        "exporter.recovery", "exporter.ways",
        "exporter.web",
    }),
    frozenset({
        "exporter.alerts", "exporter.hands", "exporter.in_force", "exporter.log_output",
        "exporter.rotation_hands", "exporter.systemd",
    }),
    # what acts by itself, with the hands of the service
    frozenset({"exporter.renewing", "exporter.response"}),
    frozenset({"exporter.rotating"}),
    frozenset({"exporter.app"}),
    frozenset({"exporter.cli"}),
    frozenset({"exporter.__main__"}),
)  # fmt: skip
VOCABULARY = LEVELS[0]
PURE = (
    "exporter.verdicts", "exporter.report", "exporter.observations", "exporter.certificates",
    "exporter.anchors", "exporter.labels", "exporter.wording", "exporter.durations",
    "exporter.handshake_log.formats", "exporter.handshake_log.words", "exporter.targets.entries",
    "exporter.targets.merge", "exporter.probe.pace", "exporter.trust_store.compare",
    "exporter.trust_store.desired", "exporter.trust_store.merge", "exporter.trust_store.model",
    "exporter.gateway.adapters.pages", "exporter.gateway.answers", "exporter.gateway.calls",
    "exporter.gateway.messages", "exporter.gateway.retries", "exporter.names",
    "exporter.trust_map.build", "exporter.trust_map.facts", "exporter.trust_map.html",
    "exporter.trust_map.kinship", "exporter.trust_map.model", "exporter.trust_map.sentences",
    "exporter.trust_map.svg", "exporter.trust_map.text", "exporter.trust_map.weigh",
    "exporter.web.negotiate", "exporter.web.drop_in", "exporter.web.reach",
    "exporter.plain_words", "exporter.fleet_page", "exporter.chain_tree",
    "exporter.cli.paste", "exporter.remediation.decide",
    "exporter.remediation.forecast", "exporter.remediation.model", "exporter.remediation.codec",
    "exporter.remediation.measure", "exporter.remediation.readiness",
    "exporter.remediation.refusals", "exporter.remediation.hindsight",
    "exporter.recovery", "exporter.remediation.assemble", "exporter.remediation.sentences",
    "exporter.remediation.way_out",
    "exporter.webhook.payload", "exporter.webhook.times", "exporter.alerts",
    "exporter.rotation.authority", "exporter.rotation.blockers", "exporter.rotation.devices",
    "exporter.rotation.gate", "exporter.rotation.model", "exporter.rotation.phases",
    "exporter.rotation.reconcile", "exporter.rotation.steps", "exporter.rotation.view",
    "exporter.rotation.gathered", "exporter.rotation.kin", "exporter.rotation.gateway_facts",
    "exporter.rotation.device_facts", "exporter.rotation.assemble", "exporter.rotation.planning",
    "exporter.rotation.story", "exporter.rotation.forecast",
    "exporter.rotation.renewal",
    "exporter.rotation.seen", "exporter.rotation.what_if", "exporter.rotation.words",
    "exporter.gateway.agent.answers", "exporter.gateway.agent.history",
    "exporter.gateway.agent.proof", "exporter.gateway.agent.vetting",
    "exporter.gateway.agent.devices.acceptance", "exporter.gateway.agent.devices.inbox",
)  # fmt: skip
IMPURE = {"asyncio", "socket", "logging", "time", "aiohttp", "uvloop", "exporter.clock"}


def modules() -> dict[str, Path]:
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = ("exporter", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside in MODULES else node.module


def part_of(module: str) -> tuple[int, str]:
    """The level and the name of the most special entry that ``module`` belongs to."""
    matches = [
        (len(entry), level, entry)
        for level, entries in enumerate(LEVELS)
        for entry in entries
        if module == entry or module.startswith(f"{entry}.")
    ]
    assert matches, f"{module} belongs to no level of {Path(__file__).name}"
    _, level, entry = max(matches)
    return level, entry


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"exporter"}))
def test_a_module_imports_only_what_stands_below_it(module: str) -> None:
    level, own = part_of(module)

    upward = []
    for imported in set(imports_of(MODULES[module])):
        if not imported.startswith("exporter."):
            continue
        other_level, other = part_of(imported)
        both_words = own in VOCABULARY and other in VOCABULARY
        if other != own and not both_words and other_level >= level:
            upward.append(imported)

    assert upward == []


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith(PURE)))
def test_a_module_that_judges_does_nothing_else(module: str) -> None:
    assert IMPURE.isdisjoint(imports_of(MODULES[module]))


def test_only_the_command_line_prints() -> None:
    printing = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    }

    assert {m for m in printing if not m.startswith("exporter.cli")} <= {
        "exporter.config.document", "exporter.metrics.document",  # write pages of docs/
    }  # fmt: skip


def test_an_import_from_above_is_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from exporter.web import api\nimport exporter.cli.run\n")

    found = {part_of(name) for name in imports_of(wrong)}

    assert {name for _, name in found} == {"exporter.web", "exporter.cli"}
    assert min(level for level, _ in found) > part_of("exporter.probe.tls")[0]
