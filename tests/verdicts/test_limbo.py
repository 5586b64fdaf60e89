"""An extra where the public x509-limbo suite lies beside the project; see docs/verdicts.md."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from exporter.anchors import Profile, trust_store
from exporter.certificates import read_pem
from exporter.errors import CertificateError
from exporter.verdicts.judge import judge
from tests.pki import utc
from tests.verdicts.peer import openssl_verify

DOCUMENT = Path(__file__).parents[2] / "docs" / "verdicts.md"
SUITE = Path(__file__).parents[3] / "shared" / "x509-limbo" / "limbo.json"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not SUITE.exists(), reason="the suite is an extra, not part of the project"
    ),
    # some of its certificates have a serial number that is not positive
    pytest.mark.filterwarnings("ignore:Parsed a serial number"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One case and what the three judges say: accepted or not."""

    case: str
    suite: bool
    openssl: bool
    ours: bool


def applicable() -> Iterator[dict[str, Any]]:
    for case in json.loads(SUITE.read_text())["testcases"]:
        if (
            case["validation_kind"] == "SERVER"
            and not case["crls"]
            and case["max_chain_depth"] is None
        ):
            yield case


def judged(case: dict[str, Any], directory: Path) -> Judged:
    sent = [case["peer_certificate"], *case["untrusted_intermediates"]]
    name = case["expected_peer_name"] and case["expected_peer_name"]["value"]
    told = case["validation_time"]
    at = datetime.fromisoformat(told) if told else utc("2026-12-15")
    theirs = openssl_verify(
        directory,
        [pem.encode() for pem in sent],
        [pem.encode() for pem in case["trusted_certs"]],
        name=name,
        at=at,
        strict=True,
    )
    try:
        anchors = [
            c for pem in case["trusted_certs"] for c in read_pem(pem.encode(), what="anchor")
        ]
        chain = [c for pem in sent for c in read_pem(pem.encode(), what="sent")]
        store = trust_store("limbo", anchors, profile=Profile.STRICT)
        ours = judge(chain, store, name=name, at=at).verified
    except CertificateError:
        ours = False
    return Judged(
        case=case["id"], suite=case["expected_result"] == "SUCCESS", openssl=theirs == 0, ours=ours
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Judged]:
    directory = tmp_path_factory.mktemp("limbo")
    return [judged(case, directory) for case in applicable()]


def test_where_suite_and_openssl_agree_so_do_we(results: list[Judged]) -> None:
    assert len(results) == 184
    assert [r for r in results if r.suite == r.openssl != r.ours] == []


def test_each_other_difference_is_in_the_document(results: list[Judged]) -> None:
    words = {True: "accepted", False: "refused"}
    expected = {
        f"| {words[r.ours]} | {words[r.suite]} | {words[r.openssl]} |": {
            other.case
            for other in results
            if (other.ours, other.suite, other.openssl) == (r.ours, r.suite, r.openssl)
        }
        for r in results
        if not r.suite == r.openssl == r.ours
    }
    documented: dict[str, set[str]] = {}
    for line in DOCUMENT.read_text().splitlines():
        row = re.match(r"\| (?:accepted|refused) \| (?:accepted|refused) \| \w+ \|", line)
        if row is not None:
            documented.setdefault(row.group(), set()).update(re.findall(r"`([\w-]+::\S+)`", line))

    assert documented == expected
