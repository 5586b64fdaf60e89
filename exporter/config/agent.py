"""From the agent's file to its ``Options``, or to all its faults at once."""

import json
from collections.abc import Iterator
from pathlib import Path as FilePath

from pydantic import ValidationError

from exporter.config.anchoring import below
from exporter.config.files import pair_problem, problem_of
from exporter.config.sentences import Finding, Path, findings_of
from exporter.config.written import faults_of, read_mapping
from exporter.errors import ConfigError
from exporter.gateway.agent.options import Initial, Options


def load_agent(path: FilePath) -> Options:
    """Return the options in the file at ``path``; files it names are checked too.

    Relative paths in it are relative to its folder.

    Raises:
        ConfigError: with every fault, each ``FILE:LINE dotted.key`` and a sentence.
    """
    document, data = read_mapping(path, first_key="directory")
    try:
        # By way of JSON, where pydantic's strict mode takes a list for a tuple, and nothing else
        options = Options.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as exc:
        faults = faults_of(findings_of(exc, Options), document, str(path))
        raise ConfigError(faults) from exc
    options = below(options, path.absolute().parent)
    findings = list(_file_findings(options))
    if findings:
        raise ConfigError(faults_of(findings, document, str(path)))
    return options


def _file_findings(options: Options) -> Iterator[Finding]:
    faulty: set[Path] = set()
    for place, file, is_pem in _needed(options):
        problem = "" if file is None else problem_of(file, is_pem=is_pem)
        if problem:
            faulty.add(place)
            yield place, problem
    for places, (certificate, key) in _pairs(options).items():
        problem = "" if faulty & set(places) else pair_problem(certificate, key)
        if problem:
            yield places[1], problem


def _needed(options: Options) -> Iterator[tuple[Path, FilePath | None, bool]]:
    web, initial, proof = options.web, _initial(options), options.proof
    for key in ("token_file", "report_token_file", "key_file"):
        yield ("web", key), getattr(web, key), False
    for key in ("cert_file", "client_ca_file"):
        yield ("web", key), getattr(web, key), True
    if initial is not None:
        yield ("initial", "chain_file"), initial.chain_file, True
        yield ("initial", "key_file"), initial.key_file, False
    yield ("proof", "client_cert_file"), proof.client_cert_file, True
    yield ("proof", "client_key_file"), proof.client_key_file, False
    for index, device in enumerate(options.devices):
        yield ("devices", index, "token_file"), device.token_file, False


def _pairs(
    options: Options,
) -> dict[tuple[Path, Path], tuple[FilePath | None, FilePath | None]]:
    web, initial, proof = options.web, _initial(options), options.proof
    return {
        (("web", "cert_file"), ("web", "key_file")): (web.cert_file, web.key_file),
        (("initial", "chain_file"), ("initial", "key_file")): (
            (initial.chain_file, initial.key_file) if initial else (None, None)
        ),
        (("proof", "client_cert_file"), ("proof", "client_key_file")): (
            proof.client_cert_file,
            proof.client_key_file,
        ),
    }


def _initial(options: Options) -> Initial | None:
    """Return what is taken on at the first start; afterwards the files may be gone."""
    return None if (options.directory / "current").is_symlink() else options.initial
