"""Trust stores: named sets of anchors (CA certificates), read from PEM files."""

import hashlib
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from exporter.certificates import Certificate, read_pem
from exporter.errors import CertificateError

_MAX_FILE_BYTES = 8 * 2**20
_USUAL_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
)


class Profile(StrEnum):
    """Which of OpenSSL's rule sets decides ``verified``."""

    NORMAL = "normal"
    STRICT = "strict"


class WeakCrypto(StrEnum):
    """What a store says of RSA below 2048 and EC below 224 bits."""

    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustStore:
    """A named set of anchors.

    Attributes:
        anchors: Each once, in the order of the file. Empty means "trusts nothing".
        digest: Of the anchors' set and the policy; equal digests judge alike.
    """

    name: str
    anchors: tuple[Certificate, ...]
    profile: Profile = Profile.NORMAL
    weak_crypto: WeakCrypto = WeakCrypto.WARN
    digest: str


def trust_store(
    name: str,
    anchors: Iterable[Certificate],
    *,
    profile: Profile = Profile.NORMAL,
    weak_crypto: WeakCrypto = WeakCrypto.WARN,
) -> TrustStore:
    """Return a store of ``anchors``, duplicates dropped."""
    unique = {anchor.fingerprint_sha256: anchor for anchor in anchors}
    words = [profile, weak_crypto, *sorted(unique)]
    return TrustStore(
        name=name,
        anchors=tuple(unique.values()),
        profile=profile,
        weak_crypto=weak_crypto,
        digest=hashlib.sha256("\n".join(words).encode()).hexdigest(),
    )


def union(name: str, stores: Iterable[TrustStore]) -> TrustStore:
    """Return what a device that holds all of ``stores`` trusts; the strictest policy of them."""
    members = tuple(stores)
    return trust_store(
        name,
        (anchor for member in members for anchor in member.anchors),
        profile=max((m.profile for m in members), default=Profile.NORMAL, key=list(Profile).index),
        weak_crypto=max(
            (m.weak_crypto for m in members), default=WeakCrypto.WARN, key=list(WeakCrypto).index
        ),
    )


def load_trust_store(
    name: str,
    path: Path,
    *,
    profile: Profile = Profile.NORMAL,
    weak_crypto: WeakCrypto = WeakCrypto.WARN,
) -> TrustStore:
    """Return the store in a PEM file.

    Raises:
        CertificateError: it cannot be read, is too large, or holds something else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        reason = getattr(exc, "strerror", None) or str(exc)
        raise CertificateError(f"{path}: this file cannot be read: {reason}") from exc
    if len(data) > _MAX_FILE_BYTES:
        raise CertificateError(
            f"{path}: this is no trust store, it is larger than {_MAX_FILE_BYTES} bytes"
        )
    anchors = read_pem(data, what=str(path))
    return trust_store(name, anchors, profile=profile, weak_crypto=weak_crypto)


def system_trust_store() -> TrustStore:
    """Return this machine's own store, as OpenSSL finds it (``SSL_CERT_FILE`` included).

    Raises:
        CertificateError: there is none.
    """
    paths = ssl.get_default_verify_paths()
    for candidate in (paths.cafile, *_USUAL_BUNDLES):
        if candidate and Path(candidate).is_file():
            return load_trust_store("system", Path(candidate))
    raise CertificateError(
        "this machine has no trust store; install ca-certificates, or name a PEM file"
    )
