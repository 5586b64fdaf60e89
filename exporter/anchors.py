"""Trust stores: named sets of anchors (CA certificates), read from PEM files."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from exporter.certificates import Certificate


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
