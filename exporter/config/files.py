"""Checks the files that the configuration names; the only checks that read the disk."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath

from exporter.anchors import TrustStore, load_trust_store
from exporter.certificates import read_pem
from exporter.config.draft import HANDSHAKE_LOGS, MANAGEMENT_APIS, TRUST_STORES, Draft
from exporter.config.sentences import Finding, Path
from exporter.errors import CertificateError, ConfigError
from exporter.probe.client_files import read_pair
from exporter.text_files import read_bounded
from exporter.wording import shown

_MAX_PEM_BYTES = 8 * 2**20
_MAX_SECRET_BYTES = 65_536


def load_stores(draft: Draft) -> tuple[Mapping[str, TrustStore], list[Finding]]:
    """Return the trust stores by name, and what is wrong with their files."""
    stores: dict[str, TrustStore] = {}
    findings: list[Finding] = []
    for position, section in enumerate(draft.config.trust_stores):
        try:
            stores[section.name] = load_trust_store(
                section.name,
                section.file,
                profile=section.profile,
                weak_crypto=section.weak_crypto,
            )
        except CertificateError as exc:
            findings.append(((*draft.place(TRUST_STORES, position), "file"), str(exc)))
    return stores, findings


def file_findings(draft: Draft) -> Iterator[Finding]:
    """Yield what is wrong with the other files that are needed from the start.

    Logs and target files may appear later; those of sections not used yet are not looked at.
    """
    faulty = set()
    for place, path, is_pem in _needed(draft):
        problem = "" if path is None else problem_of(path, is_pem=is_pem)
        if problem:
            faulty.add(place)
            yield place, problem
    yield from _signer_findings(draft)
    for place, pair in _pairs(draft).items():
        if not faulty & pair.keys():
            problem = pair_problem(*pair.values())
            if problem:
                yield place, problem


def _signer_findings(draft: Draft) -> Iterator[Finding]:
    signer = draft.config.rotation.signer
    if signer is None:
        return
    place = ("rotation", "signer")
    if signer.folder is not None and not signer.folder.is_dir():
        message = f"{signer.folder}: this is no folder; make it, writable for this program's user"
        yield (*place, "folder"), message
    if signer.command and shutil.which(signer.command[0]) is None:
        message = f"{shown(signer.command[0])} is no program that can be run; write its whole path"
        yield (*place, "command"), message


def _pairs(draft: Draft) -> Mapping[Path, Mapping[Path, FilePath | None]]:
    """Return certificate and key by place, each pair by the place to blame."""
    web, probe = draft.config.web, draft.config.probe
    apis = {
        draft.place(MANAGEMENT_APIS, n): api for n, api in enumerate(draft.config.management_apis)
    }
    return {
        ("web", "key_file"): {
            ("web", "cert_file"): web.cert_file,
            ("web", "key_file"): web.key_file,
        },
        ("probe", "client_key_file"): {
            ("probe", "client_cert_file"): probe.client_cert_file,
            ("probe", "client_key_file"): probe.client_key_file,
        },
        **{
            (*place, "client_key_file"): {
                (*place, "client_cert_file"): api.client_cert_file,
                (*place, "client_key_file"): api.client_key_file,
            }
            for place, api in apis.items()
        },
    }


def pair_problem(cert_file: FilePath | None, key_file: FilePath | None) -> str:
    """Return why key and certificate cannot be used together; empty: they can."""
    if cert_file is None or key_file is None:
        return ""
    try:
        read_pair(cert_file, key_file)
    except CertificateError as exc:
        return str(exc)
    return ""


def _needed(draft: Draft) -> Iterator[tuple[Path, FilePath | None, bool]]:
    config = draft.config
    for key in ("cert_file", "client_ca_file"):
        yield ("web", key), getattr(config.web, key), True
    for key in ("key_file", "token_file"):
        yield ("web", key), getattr(config.web, key), False
    yield ("web", "token_file"), config.web.token_file, False
    yield ("probe", "client_cert_file"), config.probe.client_cert_file, True
    yield ("probe", "client_key_file"), config.probe.client_key_file, False
    yield ("rotation", "new_ca_file"), config.rotation.new_ca_file, True
    for position, http in enumerate(config.targets.http):
        place = draft.place(("targets", "http"), position)
        yield (*place, "token_file"), http.token_file, False
        yield (*place, "ca_file"), http.ca_file, True
    for position, source in enumerate(config.handshake_logs):
        place = draft.place(HANDSHAKE_LOGS, position)
        yield (*place, "token_file"), source.token_file, False
    for position, api in enumerate(config.management_apis):
        place = draft.place(MANAGEMENT_APIS, position)
        yield (*place, "token_file"), api.token_file, False
        yield (*place, "ca_file"), api.ca_file, True
        yield (*place, "client_cert_file"), api.client_cert_file, True
        yield (*place, "client_key_file"), api.client_key_file, False


def problem_of(path: FilePath, *, is_pem: bool) -> str:
    """Return why a file cannot be used; empty: it can."""
    try:
        data = read_bounded(path, _MAX_PEM_BYTES if is_pem else _MAX_SECRET_BYTES)
        if is_pem:
            read_pem(data, what=str(path))
    except ConfigError as exc:
        return f"{path}: {exc.faults[0].message}"
    except CertificateError as exc:
        return str(exc)
    return "" if data.strip() else f"{path}: this file is empty"
