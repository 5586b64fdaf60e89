"""From the file to a ``Config``, or to all its faults at once."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as FilePath

from exporter.config.draft import Draft, draft_of
from exporter.config.files import file_findings, load_stores
from exporter.config.model import Config, Loaded, anchored
from exporter.config.references import known_names, reference_findings, static_targets
from exporter.config.sentences import Finding
from exporter.config.written import faults_of, read_mapping
from exporter.errors import ConfigError
from exporter.probe import KNOWN_PROTOCOLS, PROBERS
from exporter.yaml_text import YamlDocument


def load(path: FilePath, *, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration in the file at ``path``; files it names are checked too.

    Relative paths in it are relative to its folder. Trust stores are read.

    Raises:
        ConfigError: with every fault, each ``FILE:LINE dotted.key`` and a sentence.
    """
    name = str(path)
    document, data = read_mapping(path, first_key="targets")
    draft, findings = draft_of(data)
    if draft is None:
        raise ConfigError(faults_of(findings, document, name))
    folder = path.absolute().parent
    draft = replace(draft, config=anchored(draft.config, folder, environ))
    findings += _complete(draft, document, path)
    if findings:
        raise ConfigError(faults_of(findings, document, name))
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
