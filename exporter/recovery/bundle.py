"""The files of a recovery bundle: chain, manifest with hashes, deploy steps; pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

from cryptography.hazmat.primitives.serialization import Encoding

from exporter.certificates import Certificate
from exporter.report import rfc3339
from exporter.verdicts.model import Verdict

CHAIN, LEAF, MANIFEST, SIGNATURE, STEPS = (
    "chain.pem",
    "certificate.pem",
    "manifest.json",
    "manifest.sig",
    "README.md",
)
SIGNED_BY = "signer.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What was made.

    Attributes:
        chain: Leaf first; without the anchor that devices hold.
        verdicts: By every trust store that was asked.
    """

    chain: tuple[Certificate, ...]
    names: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    made_at: datetime


def pem_of(certificates: Sequence[Certificate]) -> bytes:
    """Return the certificates as PEM, in their order."""
    return b"".join(one.parsed().public_bytes(Encoding.PEM) for one in certificates)


def contents_of(bundle: Bundle) -> Mapping[str, bytes]:
    """Return the files to be deployed, by name."""
    steps = files("exporter.recovery").joinpath("steps.md").read_text("utf-8")
    return {
        LEAF: pem_of(bundle.chain[:1]),
        CHAIN: pem_of(bundle.chain),
        STEPS: steps.format(
            names=", ".join(bundle.names),
            not_after=f"{bundle.chain[0].not_after:%Y-%m-%d %H:%M} UTC",
            fingerprint=bundle.chain[0].fingerprint_sha256,
        ).encode(),
    }


def manifest_of(bundle: Bundle, contents: Mapping[str, bytes]) -> bytes:
    """Return the manifest: what is in the bundle, and what every trust store said of it."""
    leaf = bundle.chain[0]
    manifest = {
        "made_at": rfc3339(bundle.made_at),
        "certificate": {
            "fingerprint_sha256": leaf.fingerprint_sha256,
            "subject": leaf.subject,
            "issuer": leaf.issuer,
            "names": list(bundle.names),
            "not_before": rfc3339(leaf.not_before),
            "not_after": rfc3339(leaf.not_after),
        },
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        "trust_stores": [
            {"name": verdict.trust_store, "verified": verdict.verified, "detail": verdict.detail}
            for verdict in bundle.verdicts
        ],
    }
    return json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n"
