"""What ``verify`` does: judges a chain from a file."""

import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from exporter.anchors import Profile, TrustStore
from exporter.certificates import Certificate, read_pem
from exporter.cli.picture import chain_tree, console_for, headline, verdict_tree
from exporter.cli.stores import stores_of
from exporter.cli.verify import Asked
from exporter.clock import SystemClock
from exporter.errors import CertificateError, ConfigError, Fault
from exporter.observations import Reason
from exporter.report import chain_report_json, outcome_of
from exporter.text_files import read_bounded
from exporter.verdicts.judge import judge
from exporter.verdicts.model import Verdict

_BAD_NEWS = 1
_MAX_BYTES = 16 * 2**20
# HAProxy keeps the key in the file of the chain
_KEY = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL
)


def verify(asked: Asked) -> int:
    """Judge the chain, print the judgement, and return the exit code.

    Raises:
        ConfigError: the file cannot be read, or there is no certificate in it.
        CertificateError: a trust store cannot be used.
    """
    stores = stores_of(asked.stores, Profile(asked.profile))
    at = asked.at or SystemClock().now()
    body = _read(asked.chain_file)
    chain: Sequence[Certificate] = ()
    try:
        chain = read_pem(body, what=str(asked.chain_file))
        verdicts = [judge(chain, store, name=asked.server_name or None, at=at) for store in stores]
    except CertificateError as exc:
        verdicts = [_unreadable(store, str(exc), at) for store in stores]
    if asked.as_json:
        print(json.dumps(chain_report_json(chain, verdicts, at=at)))
    else:
        _show(chain, verdicts, stores, at)
    return 0 if all(verdict.verified for verdict in verdicts) else _BAD_NEWS


def _read(path: Path) -> bytes:
    body = (
        sys.stdin.buffer.read(_MAX_BYTES) if str(path) == "-" else read_bounded(path, _MAX_BYTES)
    )
    body = _KEY.sub(b"", body)
    if b"-----BEGIN " not in body:
        message = "there is no certificate in PEM form (-----BEGIN CERTIFICATE-----) in it"
        raise ConfigError([Fault(place=str(path), message=message)])
    return body


def _unreadable(store: TrustStore, detail: str, at: datetime) -> Verdict:
    return Verdict(
        trust_store=store.name,
        verified=False,
        reasons=(Reason.OTHER,),
        detail=detail,
        judged_at=at,
    )


def _show(
    chain: Sequence[Certificate],
    verdicts: Sequence[Verdict],
    stores: Sequence[TrustStore],
    at: datetime,
) -> None:
    console = console_for(sys.stdout)
    console.print(headline(outcome_of(verdicts)))
    if chain:
        console.print()
        console.print(chain_tree(chain, at))
    console.print()
    console.print(verdict_tree(verdicts, chain, {store.name: store for store in stores}, at))
