"""Certificates for the tests, also those that no sane CA would make."""

import functools
from datetime import UTC, datetime

from exporter.certificates import Certificate, describe
from exporter.demo.pki import CLIENT_AUTH, SERVER_AUTH, Issued, PrivateKey, Wishes, issue, new_key

__all__ = [
    "CLIENT_AUTH",
    "SERVER_AUTH",
    "Issued",
    "PrivateKey",
    "Wishes",
    "certificate_of",
    "issue",
    "make_ca",
    "make_leaf",
    "new_key",
    "utc",
]


def utc(text: str) -> datetime:
    """``2026-11-24`` or ``2026-11-24T12:00:00`` as an aware moment."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@functools.cache  # a simulated fleet asks for the same one again and again
def certificate_of(issued: Issued) -> Certificate:
    return describe(issued.der)


def make_ca(
    common_name: str = "test CA",
    *,
    issuer: Issued | None = None,
    key: PrivateKey | None = None,
    **wishes: object,
) -> Issued:
    return issue(Wishes(common_name=common_name, is_ca=True, **wishes), issuer=issuer, key=key)  # type: ignore[arg-type]  # passed on by name


def make_leaf(
    issuer: Issued | None, *names: str, key: PrivateKey | None = None, **wishes: object
) -> Issued:
    shown = {"common_name": names[0] if names else "leaf", **wishes}
    return issue(Wishes(names=names, **shown), issuer=issuer, key=key)  # type: ignore[arg-type]  # passed on by name
