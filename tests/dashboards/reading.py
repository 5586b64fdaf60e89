"""The committed dashboards as Grafana reads them: panels, and queries with their variables."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "dashboards").glob("*.json"))
DASHBOARDS: Mapping[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in FILES
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One query of one panel."""

    board: str
    panel: dict[str, Any]
    expr: str
    legend: str
    is_instant: bool

    @property
    def where(self) -> str:
        return f"{self.board} / {self.panel['title']}"


def panels_of(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels that show something, those inside of rows too."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def asked_by(name: str, panel: dict[str, Any], values: Mapping[str, str]) -> list[Asked]:
    return [
        Asked(
            board=name,
            panel=panel,
            expr=filled(target["expr"], values),
            legend=target["legendFormat"],
            is_instant=target.get("instant", False),
        )
        for target in panel["targets"]
    ]


def filled(expr: str, values: Mapping[str, str]) -> str:
    """``expr`` as Grafana sends it; a variable without a value is an error here."""
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], expr)


def name_of(legend: str, labels: Mapping[str, str]) -> str:
    """What stands in the legend for a series with ``labels``."""
    if legend == "__auto":
        return json.dumps(labels, sort_keys=True)
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), legend)
