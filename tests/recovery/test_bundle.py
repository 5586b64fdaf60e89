"""The files of a bundle and what its manifest says of them."""

import hashlib
import json

from exporter.certificates import read_pem
from exporter.recovery.bundle import Bundle, contents_of, manifest_of
from exporter.verdicts.model import Verdict
from tests.pki import certificate_of, make_ca, make_leaf, utc

CA = make_ca("old CA")
CHAIN = (certificate_of(make_leaf(CA, "gw-1.example")), certificate_of(CA))
NOW = utc("2026-11-25")
MADE = Bundle(
    chain=CHAIN,
    names=("gw-1.example", "127.0.0.1"),
    verdicts=(Verdict(trust_store="fw-4.2", verified=True, judged_at=NOW),),
    made_at=NOW,
)


def test_the_chain_and_the_leaf_are_written_as_pem() -> None:
    contents = contents_of(MADE)

    assert read_pem(contents["chain.pem"], what="chain.pem") == CHAIN
    assert read_pem(contents["certificate.pem"], what="certificate.pem") == CHAIN[:1]


def test_the_steps_name_what_must_be_seen_afterwards() -> None:
    steps = contents_of(MADE)["README.md"].decode()

    assert CHAIN[0].fingerprint_sha256 in steps
    assert "For gw-1.example, 127.0.0.1, until" in steps
    assert "{" not in steps


def test_the_manifest_tells_the_hash_of_each_file_and_every_verdict() -> None:
    contents = contents_of(MADE)

    manifest = json.loads(manifest_of(MADE, contents))

    assert manifest["files"] == {
        name: hashlib.sha256(content).hexdigest() for name, content in contents.items()
    }
    assert manifest["trust_stores"] == [{"name": "fw-4.2", "verified": True, "detail": ""}]
    assert manifest["certificate"]["names"] == ["gw-1.example", "127.0.0.1"]
