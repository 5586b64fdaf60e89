"""From a file of values to ``Values``, or to all its faults at once."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from exporter.alerts.book import alerts_of
from exporter.alerts.values import Values
from exporter.config.sentences import Finding, dotted, findings_of
from exporter.config.sentences import Path as Place
from exporter.errors import ConfigError, Fault
from exporter.text_files import decode, read_bounded
from exporter.wording import unknown
from exporter.yaml_text import parse_yaml

MAX_BYTES = 2**20


def load_values(path: Path) -> Values:
    """Return the values in the file at ``path``; what it does not say is as it ships.

    Raises:
        ConfigError: with every fault, each ``FILE:LINE dotted.key`` and a sentence.
    """
    name = str(path)
    document = parse_yaml(decode(read_bounded(path, MAX_BYTES), name), name)
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        message = "a mapping belongs here (key: value), as `rules --show-values` shows it"
        raise ConfigError([Fault(place=f"{name}:1", message=message)])
    values, findings = _validated(data)
    if values is not None:
        findings = list(_misnamed(values))
        if not findings:
            return values
    by_line = sorted((document.lines.at(place), dotted(place), text) for place, text in findings)
    faults = [
        Fault(place=f"{name}:{line} {key}".rstrip(), message=text) for line, key, text in by_line
    ]
    raise ConfigError(faults)


def _validated(data: dict[str, object]) -> tuple[Values | None, list[Finding]]:
    try:
        # By way of JSON, as the configuration: only there a list is taken for a tuple
        return Values.model_validate_json(json.dumps(data), strict=True), []
    except ValidationError as exc:
        return None, findings_of(exc, Values)


def _misnamed(values: Values) -> Iterator[Finding]:
    known = Counter(alert.name for alert in alerts_of(Values()))
    places: list[Place] = [("severities", name) for name in values.severities]
    places += [("without", index) for index in range(len(values.without))]
    names = (*values.severities, *values.without)
    for place, name in zip(places, names, strict=True):
        if name not in known:
            yield place, unknown("the alert", name, sorted(known), none="")
        elif place[0] == "severities" and known[name] > 1:
            yield place, f"{name} has several severities, each with a limit of its own; set those"
