"""OpenSSL's own judgement of a chain; the one module here that touches pyOpenSSL's ``_lib``.

The public ``X509StoreContext`` (26.4; the lock file pins it) hides three things that a verdict
needs: the path that was built when verification *fails*, the purpose, and the name check. OpenSSL
stops at its first error, so it is asked several times with different rules; see ``judge.py``.
"""

import calendar
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Flag, auto
from ipaddress import ip_address
from typing import Any

import idna
from OpenSSL import crypto
from OpenSSL._util import ffi, lib

from exporter.certificates import Certificate, fingerprint_of

# openssl/x509_vfy.h: the two that pyOpenSSL's enum of flags lacks
_NO_CHECK_TIME = 0x200000
_IGNORE_CRITICAL = 0x10
_STORES_KEPT = 512


class Rules(Flag):
    """Which rules a question to OpenSSL leaves out or adds; none: the normal profile."""

    NORMAL = 0
    STRICT = auto()
    ANY_TIME = auto()
    ANY_PURPOSE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What OpenSSL said.

    Attributes:
        error: ``X509_V_ERR_…`` of openssl/x509_vfy.h; 0: verified.
        depth: Position on ``path`` that the error is about.
        path: SHA-256 of each certificate on the path as far as it was built, leaf first.
    """

    error: int
    depth: int
    path: tuple[str, ...]


class Chain:
    """A chain as OpenSSL objects, made once for several questions."""

    def __init__(self, certificates: Sequence[Certificate]) -> None:
        self.objects = [_load(certificate) for certificate in certificates]
        # X509_STORE_CTX_init takes a stack that it does not own; ours lives as long as we do
        self.stack: Any = crypto.X509StoreContext._build_certificate_stack(self.objects[1:])  # noqa: SLF001 - see the module's docstring

    @property
    def leaf(self) -> Any:
        """The first certificate as a raw pointer."""
        return self.objects[0]._x509  # noqa: SLF001 - see the module's docstring


class StoreCache:
    """Anchors as OpenSSL stores, by their digest and rules; the least used goes first."""

    def __init__(self) -> None:
        self._stores: OrderedDict[tuple[str, Rules], crypto.X509Store] = OrderedDict()

    def get(self, digest: str, anchors: Sequence[Certificate], rules: Rules) -> crypto.X509Store:
        """Return the store of ``anchors``; equal digests mean equal anchors."""
        key = (digest, rules)
        found = self._stores.get(key)
        if found is None:
            found = self._stores[key] = _make_store(anchors, rules)
            if len(self._stores) > _STORES_KEPT:
                self._stores.popitem(last=False)
        else:
            self._stores.move_to_end(key)
        return found


def verify(store: crypto.X509Store, chain: Chain, at: datetime) -> Answer:
    """Return OpenSSL's judgement at ``at`` (to the second)."""
    context = ffi.gc(lib.X509_STORE_CTX_new(), lib.X509_STORE_CTX_free)
    raw_store = store._store  # noqa: SLF001 - see the module's docstring
    param = ffi.gc(lib.X509_VERIFY_PARAM_new(), lib.X509_VERIFY_PARAM_free)
    lib.X509_VERIFY_PARAM_set_time(param, calendar.timegm(at.utctimetuple()))
    lib.X509_STORE_set1_param(raw_store, param)
    lib.ERR_clear_error()
    if lib.X509_STORE_CTX_init(context, raw_store, chain.leaf, chain.stack) != 1:
        raise MemoryError("OpenSSL could not prepare the verification of a chain")
    if lib.X509_verify_cert(context) == 1:
        return Answer(error=0, depth=0, path=_path(context))
    answer = Answer(
        error=lib.X509_STORE_CTX_get_error(context),
        depth=lib.X509_STORE_CTX_get_error_depth(context),
        path=_path(context),
    )
    lib.ERR_clear_error()
    return answer


def is_named(leaf: Certificate, name: str) -> bool:
    """Return whether the certificate is for ``name``, a DNS name or an IP.

    This is ``X509_check_host`` with its default flags, or ``X509_check_ip``: the leaf is made the
    only anchor, so that nothing but the name can fail.
    """
    store = _make_store([leaf], Rules.ANY_TIME | Rules.ANY_PURPOSE)
    raw_store = store._store  # noqa: SLF001 - see the module's docstring
    param = ffi.gc(lib.X509_VERIFY_PARAM_new(), lib.X509_VERIFY_PARAM_free)
    lib.X509_VERIFY_PARAM_set_flags(param, _IGNORE_CRITICAL)
    if not _set_name(param, name):
        return False
    lib.X509_STORE_set1_param(raw_store, param)
    chain = Chain([leaf])
    context = ffi.gc(lib.X509_STORE_CTX_new(), lib.X509_STORE_CTX_free)
    if lib.X509_STORE_CTX_init(context, raw_store, chain.leaf, chain.stack) != 1:
        raise MemoryError("OpenSSL could not prepare the check of a name")
    lib.X509_verify_cert(context)
    error = lib.X509_STORE_CTX_get_error(context)
    lib.ERR_clear_error()
    return error not in {
        lib.X509_V_ERR_HOSTNAME_MISMATCH,
        lib.X509_V_ERR_IP_ADDRESS_MISMATCH,
    }


def words_of(error: int) -> str:
    """Return OpenSSL's own words for an error of ``verify``."""
    text: bytes = ffi.string(lib.X509_verify_cert_error_string(error))
    return text.decode()


def _set_name(param: Any, name: str) -> bool:
    try:
        packed = ip_address(name).packed
    except ValueError:
        host = ascii_name(name)
        return host is not None and bool(
            lib.X509_VERIFY_PARAM_set1_host(param, host, len(host)) == 1
        )
    return bool(lib.X509_VERIFY_PARAM_set1_ip(param, packed, len(packed)) == 1)


def ascii_name(name: str) -> bytes | None:
    """Return a DNS name as it stands in certificates (A-labels, RFC 5890); None: it is none."""
    if name.isascii():
        return name.encode() if name and "\0" not in name else None
    try:
        return idna.encode(name, uts46=True)
    except idna.IDNAError:
        return None


def _make_store(anchors: Sequence[Certificate], rules: Rules) -> crypto.X509Store:
    store = crypto.X509Store()
    flags = int(crypto.X509StoreFlags.PARTIAL_CHAIN)
    if Rules.STRICT in rules:
        flags |= crypto.X509StoreFlags.X509_STRICT
    if Rules.ANY_TIME in rules:
        flags |= _NO_CHECK_TIME
    store.set_flags(flags)
    if Rules.ANY_PURPOSE not in rules:
        lib.X509_STORE_set_purpose(store._store, lib.X509_PURPOSE_SSL_SERVER)  # noqa: SLF001 - see the module's docstring
    for anchor in anchors:
        store.add_cert(_load(anchor))
    return store


def _load(certificate: Certificate) -> crypto.X509:
    return crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.der)


def _path(context: Any) -> tuple[str, ...]:
    stack = lib.X509_STORE_CTX_get1_chain(context)
    if stack == ffi.NULL:
        return ()
    found = []
    for index in range(lib.sk_X509_num(stack)):
        certificate = crypto.X509._from_raw_x509_ptr(lib.sk_X509_value(stack, index))  # noqa: SLF001 - see the module's docstring
        found.append(fingerprint_of(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)))
    lib.sk_X509_free(stack)
    return tuple(found)
