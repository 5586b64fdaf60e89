"""The trust stores of one command, as named on the command line."""

from collections.abc import Sequence

from exporter.anchors import (
    Profile,
    TrustStore,
    WeakCrypto,
    load_trust_store,
    system_trust_store,
    trust_store,
)
from exporter.cli.arguments import UNNAMED_STORE, StoreFile
from exporter.errors import ConfigError, Fault

_OPTION = "--trust-store"


def stores_of(files: Sequence[StoreFile], profile: Profile) -> tuple[TrustStore, ...]:
    """Return what ``files`` hold, in their order; none given: the system's store.

    Raises:
        ConfigError: two of one name.
        CertificateError: a file cannot be read, or holds no anchors.
    """
    names = [file.name for file in files]
    for name in names:
        if names.count(name) > 1:
            message = (
                "only one can be without a name; write NAME=PEM"
                if name == UNNAMED_STORE
                else f"the name {name!r} is given twice"
            )
            raise ConfigError([Fault(place=_OPTION, message=message)])
    if not files:
        system = system_trust_store()
        return (trust_store(system.name, system.anchors, profile=profile),)
    return tuple(
        load_trust_store(file.name, file.path, profile=profile, weak_crypto=WeakCrypto.WARN)
        for file in files
    )
