"""OpenSSL's own judgement of a chain; the one module here that touches pyOpenSSL's ``_lib``.

The public ``X509StoreContext`` (26.4; the lock file pins it) hides three things that a verdict
needs: the path that was built when verification *fails*, the purpose, and the name check. There
is no way to a verify callback, so OpenSSL stops at its first error and is asked several times
with one rule less; see ``questions.py``.
"""

import calendar
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, Flag, auto
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from OpenSSL import crypto
from OpenSSL._util import ffi, lib

from exporter.certificates import Certificate

# openssl/x509_vfy.h: the one that pyOpenSSL's enum of flags lacks
_NO_CHECK_TIME = 0x200000
_STORES_KEPT = 512


class Rules(Flag):
    """Which rules a question to OpenSSL adds or leaves out; none: the normal profile."""

    NORMAL = 0
    STRICT = auto()
    ANY_TIME = auto()
    ANY_PURPOSE = auto()
    ANY_EXTENSION = auto()


_FLAGS: Mapping[Rules, int] = {
    Rules.STRICT: int(crypto.X509StoreFlags.X509_STRICT),
    Rules.ANY_TIME: _NO_CHECK_TIME,
    Rules.ANY_EXTENSION: int(lib.X509_V_FLAG_IGNORE_CRITICAL),
}


class KeyKind(Enum):
    """What a public key's strength rests on."""

    FACTORING = auto()
    CURVE = auto()
    OTHER = auto()


_KEY_KINDS = {
    lib.EVP_PKEY_RSA: KeyKind.FACTORING,
    lib.EVP_PKEY_DSA: KeyKind.FACTORING,
    lib.EVP_PKEY_EC: KeyKind.CURVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What OpenSSL said.

    Attributes:
        error: ``X509_V_ERR_…`` of openssl/x509_vfy.h; 0: verified.
        depth: Position on ``path`` that the error is about.
        path: As far as it was built, leaf first; never empty.
    """

    error: int
    depth: int
    path: tuple[Certificate, ...]

    @property
    def about(self) -> Certificate:
        """The certificate that the error is about."""
        return self.path[min(self.depth, len(self.path) - 1)]


class _Parsed:
    """Certificates as OpenSSL objects; those that OpenSSL itself cannot read are left out."""

    def __init__(self, certificates: Iterable[Certificate]) -> None:
        self.objects: list[crypto.X509] = []
        self.by_pointer: dict[int, Certificate] = {}
        for certificate in certificates:
            try:
                loaded = crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.der)
            except crypto.Error:
                continue
            self.objects.append(loaded)
            self.by_pointer[_address(_raw(loaded))] = certificate


class Chain(_Parsed):
    """A chain as OpenSSL objects, made once for several questions.

    Raises:
        ValueError: OpenSSL cannot read the leaf.
    """

    def __init__(self, certificates: Sequence[Certificate]) -> None:
        super().__init__(certificates)
        leaf = self.objects and self.by_pointer[_address(_raw(self.objects[0]))]
        if leaf is not certificates[0]:
            raise ValueError("OpenSSL cannot read the leaf")
        self.leaf = _raw(self.objects[0])
        # X509_STORE_CTX_init takes a stack that it does not own; ours lives as long as we do
        self.stack = ffi.gc(lib.sk_X509_new_null(), lib.sk_X509_free)
        for extra in self.objects[1:]:
            lib.sk_X509_push(self.stack, _raw(extra))


class Anchors(_Parsed):
    """The anchors of a trust store, parsed once, with an OpenSSL store for each set of rules."""

    def __init__(self, certificates: Sequence[Certificate]) -> None:
        super().__init__(certificates)
        self._stores: dict[Rules, tuple[int, crypto.X509Store]] = {}
        self.fingerprints = frozenset(c.fingerprint_sha256 for c in certificates)
        self._moments = sorted({m for c in certificates for m in moments_of(c)})

    def next_change(self, at: datetime) -> datetime | None:
        """Return the first moment after ``at`` at which an anchor begins or ends."""
        position = bisect_right(self._moments, at)
        return self._moments[position] if position < len(self._moments) else None

    def store(self, rules: Rules, at_s: int) -> Any:
        """Return the raw OpenSSL store for ``rules`` at a moment (seconds since 1970).

        The moment of a store cannot be changed: ``X509_STORE_set1_param`` takes over a time only
        while there is none yet. So there is one store for each second in which it is asked for.
        """
        moment, found = self._stores.get(rules, (None, None))
        if found is None or moment != at_s:
            found = _make_store(self.objects, rules)
            param = ffi.gc(lib.X509_VERIFY_PARAM_new(), lib.X509_VERIFY_PARAM_free)
            lib.X509_VERIFY_PARAM_set_time(param, at_s)
            lib.X509_STORE_set1_param(found._store, param)  # noqa: SLF001 - see the module's docstring
            self._stores[rules] = (at_s, found)
        return found._store  # noqa: SLF001 - see the module's docstring


def moments_of(certificate: Certificate) -> tuple[datetime, ...]:
    """Return the moments at which a verdict on a path with ``certificate`` can change."""
    ends = certificate.not_after
    # We say "expired" in the second it names, see judge.py, but OpenSSL 4.0 goes over to another
    # path only one second later
    return (certificate.not_before, ends, *_second_after(ends))


def _second_after(moment: datetime) -> tuple[datetime, ...]:
    try:
        return (moment + timedelta(seconds=1),)
    except OverflowError:  # 99991231235959Z, RFC 5280, 4.1.2.5: no end
        return ()


class AnchorsCache:
    """Parsed anchors by the digest of their trust store; the least used go first."""

    def __init__(self, limit: int = _STORES_KEPT) -> None:
        self._limit = limit
        self._known: OrderedDict[str, Anchors] = OrderedDict()

    def get(self, digest: str, anchors: Sequence[Certificate]) -> Anchors:
        """Return ``anchors`` parsed; equal digests mean equal anchors."""
        with _LOCK:
            found = self._known.get(digest)
            if found is None:
                found = self._known[digest] = Anchors(anchors)
                if len(self._known) > self._limit:
                    self._known.popitem(last=False)
            else:
                self._known.move_to_end(digest)
            return found


_LOCK = threading.Lock()


def verify(chain: Chain, anchors: Anchors, rules: Rules, at: datetime) -> Answer:
    """Return OpenSSL's judgement at ``at`` (to the second)."""
    context = ffi.gc(lib.X509_STORE_CTX_new(), lib.X509_STORE_CTX_free)
    # The context keeps a bare pointer to the store: ours must not be replaced meanwhile
    with _LOCK:
        store = anchors.store(rules, calendar.timegm(at.utctimetuple()))
        lib.X509_STORE_up_ref(store)
    store = ffi.gc(store, lib.X509_STORE_free)
    ready = lib.X509_STORE_CTX_init(context, store, chain.leaf, chain.stack)
    if ready != 1:  # pragma: no cover - only for want of memory
        raise MemoryError("OpenSSL could not prepare the verification of a chain")
    is_verified = lib.X509_verify_cert(context) == 1
    error = 0 if is_verified else lib.X509_STORE_CTX_get_error(context) or _UNSPECIFIED
    depth = 0 if is_verified else lib.X509_STORE_CTX_get_error_depth(context)
    lib.ERR_clear_error()
    return Answer(error=error, depth=depth, path=_path(context, chain, anchors))


_UNSPECIFIED = 1  # X509_V_ERR_UNSPECIFIED


def is_named(chain: Chain, name: bytes | IPv4Address | IPv6Address) -> bool:
    """Return whether the leaf is for ``name``, a DNS name of A-labels or an IP.

    This is ``X509_check_host`` with its default flags, or ``X509_check_ip``: the leaf is made the
    only anchor and all other rules are left out, so that nothing but the name can fail.
    """
    store = _make_store(chain.objects[:1], Rules.ANY_TIME | Rules.ANY_PURPOSE)
    raw_store = store._store  # noqa: SLF001 - see the module's docstring
    param = ffi.gc(lib.X509_VERIFY_PARAM_new(), lib.X509_VERIFY_PARAM_free)
    lib.X509_VERIFY_PARAM_set_flags(
        param, lib.X509_V_FLAG_IGNORE_CRITICAL | lib.X509_V_FLAG_ALLOW_PROXY_CERTS
    )
    if isinstance(name, bytes):
        is_set = lib.X509_VERIFY_PARAM_set1_host(param, name, len(name))
    else:
        is_set = lib.X509_VERIFY_PARAM_set1_ip(param, name.packed, len(name.packed))
    if is_set != 1:
        return False
    lib.X509_STORE_set1_param(raw_store, param)
    context = ffi.gc(lib.X509_STORE_CTX_new(), lib.X509_STORE_CTX_free)
    ready = lib.X509_STORE_CTX_init(context, raw_store, chain.leaf, ffi.NULL)
    if ready != 1:  # pragma: no cover - only for want of memory
        raise MemoryError("OpenSSL could not prepare the check of a name")
    lib.X509_verify_cert(context)
    error = lib.X509_STORE_CTX_get_error(context)
    lib.ERR_clear_error()
    return error not in {
        lib.X509_V_ERR_HOSTNAME_MISMATCH,
        lib.X509_V_ERR_IP_ADDRESS_MISMATCH,
    }


def key_of(certificate: Certificate) -> tuple[KeyKind, int]:
    """Return the kind of the public key and its bits; OTHER and 0: OpenSSL cannot read it."""
    try:
        key = crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.der).get_pubkey()
    except crypto.Error:
        return KeyKind.OTHER, 0
    return _KEY_KINDS.get(key.type(), KeyKind.OTHER), key.bits()


def words_of(error: int) -> str:
    """Return OpenSSL's own words for an error of ``verify``."""
    text: bytes = ffi.string(lib.X509_verify_cert_error_string(error))
    return text.decode()


def _make_store(anchors: Sequence[crypto.X509], rules: Rules) -> crypto.X509Store:
    store = crypto.X509Store()
    flags = int(crypto.X509StoreFlags.PARTIAL_CHAIN)
    for rule in rules:
        flags |= _FLAGS.get(rule, 0)
    store.set_flags(flags)
    if Rules.ANY_PURPOSE not in rules:
        lib.X509_STORE_set_purpose(store._store, lib.X509_PURPOSE_SSL_SERVER)  # noqa: SLF001 - see the module's docstring
    for anchor in anchors:
        store.add_cert(anchor)
    return store


def _raw(certificate: crypto.X509) -> Any:
    return certificate._x509  # noqa: SLF001 - see the module's docstring


def _address(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


def _path(context: Any, chain: Chain, anchors: Anchors) -> tuple[Certificate, ...]:
    stack = lib.X509_STORE_CTX_get1_chain(context)
    found = []
    for index in range(lib.sk_X509_num(stack)):
        # OpenSSL hands out the very objects it was given, each with one reference more
        pointer = lib.sk_X509_value(stack, index)
        address = _address(pointer)
        found.append(chain.by_pointer.get(address) or anchors.by_pointer[address])
        lib.X509_free(pointer)
    lib.sk_X509_free(stack)
    # Empty: refused before there was a path
    return tuple(found) or (chain.by_pointer[_address(chain.leaf)],)
