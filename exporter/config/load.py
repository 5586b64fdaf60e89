"""From the file to a ``Config``, or to all its faults at once."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as FilePath

from exporter.config.draft import Draft, draft_of
from exporter.config.files import file_findings, load_stores
from exporter.config.model import Config, Loaded, anchored
from exporter.config.references import known_names, reference_findings, static_targets
from exporter.config.sentences import Finding, dotted
from exporter.errors import ConfigError, Fault
from exporter.probe import KNOWN_PROTOCOLS, PROBERS
from exporter.text_files import decode, read_bounded
from exporter.yaml_text import YamlDocument, parse_yaml

MAX_BYTES = 16 * 2**20
_MAX_FAULTS = 200


def load(path: FilePath, *, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration in the file at ``path``; files it names are checked too.

    Relative paths in it are relative to its folder. Trust stores are read.

    Raises:
        ConfigError: with every fault, each ``FILE:LINE dotted.key`` and a sentence.
    """
    name = str(path)
    document = parse_yaml(decode(read_bounded(path, MAX_BYTES), name), name)
    data = document.data
    if not isinstance(data, dict):
        message = (
            "the file is empty; at least `targets:` belongs in it"
            if data is None
            else "a mapping belongs here (key: value), beginning with `targets:`"
        )
        raise ConfigError([Fault(place=f"{name}:1", message=message)])
    draft, findings = draft_of(data)
    if draft is None:
        raise ConfigError(_faults(findings, document, name))
    folder = path.absolute().parent
    draft = replace(draft, config=anchored(draft.config, folder, environ))
    findings += _complete(draft, document, path)
    if findings:
        raise ConfigError(_faults(findings, document, name))
    return draft.config


def _complete(draft: Draft, document: YamlDocument, path: FilePath) -> list[Finding]:
    """Give the draft's configuration what is made of it; return what is wrong with that."""
    known = known_names(draft, tuple(PROBERS), KNOWN_PROTOCOLS)
    targets, findings = static_targets(draft, known)
    findings += reference_findings(draft, known)
    stores, store_findings = load_stores(draft)
    findings += store_findings
    findings += file_findings(draft)
    draft.config.complete(
        Loaded(
            path=path,
            known=known,
            static_targets=tuple(
                replace(target, source=f"{path}:{document.lines.at(place)}")
                for place, target in targets
            ),
            stores=stores,
        )
    )
    return findings


def _faults(findings: list[Finding], document: YamlDocument, name: str) -> list[Fault]:
    by_line = sorted((document.lines.at(place), dotted(place), text) for place, text in findings)
    faults = [
        Fault(place=f"{name}:{line} {key}".rstrip(), message=text)
        for line, key, text in by_line[:_MAX_FAULTS]
    ]
    if len(by_line) > _MAX_FAULTS:
        left = len(by_line) - _MAX_FAULTS
        faults.append(Fault(place=name, message=f"there are {left} faults more, not shown"))
    return faults
