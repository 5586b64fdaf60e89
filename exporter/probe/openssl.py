"""A TLS client without a socket: bytes in, bytes out, and what was learned.

The one module of the package that touches pyOpenSSL's private ``_lib``, for six things that the
public API (26.4; the lock file pins it) does not give:

- the list of key exchange groups (``Context.set_tmp_ecdh`` takes one only);
- the list of signatures that are offered;
- errors by number: the public API tells texts, which change between OpenSSL's versions;
- whether a CertificateRequest came: the certificate callback is asked exactly then;
- whether a session ticket came (TLS 1.3: the server's consent);
- the chain as DER and the stapled OCSP answer without an object or a Python callback each.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from exporter.probe.failure import TlsError

log = logging.getLogger(__name__)

# One key share, of the first. X25519 alone would break TLS 1.2 servers with an EC certificate.
# No post-quantum group at all: servers with OpenSSL 3.5 prefer one even where they are sent no
# share of it, and the second round (HelloRetryRequest) costs more than the rest of the look.
# "?": where this OpenSSL has it.
_GROUPS = (
    b"X25519:P-256:P-384:P-521:X448:?brainpoolP256r1:?brainpoolP384r1:?brainpoolP512r1"
    b":?secp256k1:?P-224:?ffdhe2048:?ffdhe3072"
)
# SHA-256's key schedule is cheaper than SHA-384's; every server has it (RFC 8446, 9.1)
_TLS13_SUITES = (
    b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    b":TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256"
)
# Everything that shows a certificate, weak or not: we look and report, others judge.
_CIPHERS = b"ALL:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=0"
# What a client that can check one kind of signature only would offer: TLS 1.3's by their names
# (RFC 8446, 4.2.3), and the suites of TLS 1.2 that need the other kind left out.
_RSA_SIGNATURES = (
    b"rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:rsa_pss_pss_sha256"
    b":rsa_pss_pss_sha384:rsa_pss_pss_sha512:rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512"
)
_ECDSA_SIGNATURES = b"ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:ecdsa_secp521r1_sha512"
_SCRATCH_BYTES = 32_768
_OCSP_STATUS = 1  # TLSEXT_STATUSTYPE_ocsp


class Step(StrEnum):
    """What a call into the TLS machine came to."""

    DONE = "done"
    WANTS_READ = "wants_read"
    CLOSED = "closed"
    FAILED = "failed"


class Version(StrEnum):
    """A version of TLS, as OpenSSL spells it."""

    TLS12 = "TLSv1.2"
    TLS13 = "TLSv1.3"


class Signatures(StrEnum):
    """The one kind of signature that a client can check."""

    RSA = "RSA"
    ECDSA = "ECDSA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a look is less able than it could be: a server may serve others something else.

    Attributes:
        version: Speak this one only; None: any.
        signatures: Offer these only; None: all.
    """

    version: Version | None = None
    signatures: Signatures | None = None


_OPENSSL_VERSIONS = {Version.TLS12: SSL.TLS1_2_VERSION, Version.TLS13: SSL.TLS1_3_VERSION}
_OPENSSL_SIGNATURES = {
    Signatures.RSA: (_RSA_SIGNATURES, b":!aECDSA"),
    Signatures.ECDSA: (_ECDSA_SIGNATURES, b":!aRSA"),
}


class Credential(Protocol):
    """A client certificate with its chain and key."""

    @property
    def chain(self) -> Sequence[x509.Certificate]:
        """Leaf first, at least one."""
        ...

    @property
    def key(self) -> PrivateKeyTypes:
        """The leaf's private key."""
        ...


class ClientContext:
    """The settings of all looks with one client certificate (or none); built once, shared.

    Raises:
        ValueError: with OpenSSL's words, when the credential cannot be used.
    """

    def __init__(self, credential: Credential | None = None, manner: Manner | None = None) -> None:
        self.holds_certificate = credential is not None
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_verify(SSL.VERIFY_NONE, None)  # every verdict is made elsewhere
        context.set_cipher_list(_CIPHERS)  # first: the level decides on what follows
        context.set_tls13_ciphersuites(_TLS13_SUITES)
        context.set_min_proto_version(SSL.TLS1_VERSION)
        # No resumption: a resumed session shows no chain. RFC 5746 is missing in old devices.
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_LEGACY_SERVER_CONNECT)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        if credential is not None:
            _load(context, credential)
        raw = context._context  # noqa: SLF001 - see the module's docstring
        if manner is not None:
            _limit(context, raw, manner)
        if lib.SSL_CTX_set1_curves_list(raw, _GROUPS) != 1:
            raise ValueError(f"the groups {_GROUPS!r} cannot be set: {_drain_errors()}")
        self._was_asked = False
        self._on_request = ffi.callback("int (*)(SSL *, void *)", self._note_request)
        lib.SSL_CTX_set_cert_cb(raw, self._on_request, ffi.NULL)
        self.context = context

    def _note_request(self, _ssl: object, _arg: object) -> int:
        self._was_asked = True
        return 1  # go on with the certificate of the context, if any

    def take_request(self) -> bool:
        """Return whether a CertificateRequest came since the last call."""
        was_asked, self._was_asked = self._was_asked, False
        return was_asked


def _limit(context: SSL.Context, raw: Any, manner: Manner) -> None:
    if manner.version is not None:
        context.set_min_proto_version(_OPENSSL_VERSIONS[manner.version])
        context.set_max_proto_version(_OPENSSL_VERSIONS[manner.version])
    if manner.signatures is not None:
        signatures, left_out = _OPENSSL_SIGNATURES[manner.signatures]
        # The level stays the last word of the list
        context.set_cipher_list(_CIPHERS.replace(b":@", left_out + b":@"))
        if lib.SSL_CTX_set1_sigalgs_list(raw, signatures) != 1:
            raise ValueError(f"the signatures {signatures!r} cannot be set: {_drain_errors()}")


def _load(context: SSL.Context, credential: Credential) -> None:
    try:
        context.use_certificate(credential.chain[0])
        for extra in credential.chain[1:]:
            context.add_extra_chain_cert(extra)
        context.use_privatekey(credential.key)  # type: ignore[arg-type]  # its own check says which kinds it takes
        context.check_privatekey()
    except (SSL.Error, TypeError) as exc:
        raise ValueError(f"the client certificate cannot be used: {exc}") from exc


class Session:
    """One TLS connection as seen by the client; never touches a socket."""

    def __init__(self, shared: ClientContext, server_name: bytes | None) -> None:
        self._shared = shared
        self._connection = SSL.Connection(shared.context, None)
        self._connection.set_connect_state()
        if server_name:
            self._connection.set_tlsext_host_name(server_name)
        self._connection.request_ocsp()
        # taken out once: the calls below are made for every look
        self._ssl: Any = self._connection._ssl  # noqa: SLF001 - see the module's docstring
        self._inward: Any = self._connection._into_ssl  # noqa: SLF001 - likewise
        self._outward: Any = self._connection._from_ssl  # noqa: SLF001 - likewise
        self._has_data = False
        self.certificate_requested = False
        self.error: TlsError | None = None

    def receive(self, data: bytes) -> None:
        """Take in what came from the network."""
        lib.BIO_write(self._inward, data, len(data))

    def outgoing(self) -> bytes:
        """Return what is to be sent now; may be empty."""
        return _drained(self._outward)

    def handshake(self) -> Step:
        """Go on with the handshake; after FAILED, ``error`` says why."""
        lib.ERR_clear_error()
        self._shared.take_request()
        result = lib.SSL_do_handshake(self._ssl)
        self.certificate_requested |= self._shared.take_request()
        return Step.DONE if result == 1 else self._step(result)

    def read(self) -> Step:
        """Take in what came after the handshake; application data are thrown away.

        Returns:
            WANTS_READ: all taken in. CLOSED: the peer said close_notify. FAILED: see ``error``.
        """
        lib.ERR_clear_error()
        while (result := lib.SSL_read(self._ssl, _SCRATCH, _SCRATCH_BYTES)) > 0:
            self._has_data = True
        return self._step(result)

    @property
    def is_accepted(self) -> bool:
        """Whether the server showed that it accepts our answer to its CertificateRequest.

        Up to TLS 1.2 by its Finished, which comes last. In TLS 1.3 by what it sends after
        our Finished: data, or a ticket (RFC 8446, 4.6.1): only that gives a session its secret.
        """
        if self._has_data or self.version != "TLSv1.3":
            return True
        session = lib.SSL_get_session(self._ssl)
        return bool(lib.SSL_SESSION_get_master_key(session, ffi.NULL, 0) > 0)

    def close(self) -> None:
        """Put a close_notify into ``outgoing``; only after a finished handshake."""
        lib.ERR_clear_error()
        lib.SSL_shutdown(self._ssl)

    def _step(self, result: int) -> Step:
        code = lib.SSL_get_error(self._ssl, result)
        if code == lib.SSL_ERROR_WANT_READ:
            return Step.WANTS_READ
        if code == lib.SSL_ERROR_ZERO_RETURN:
            return Step.CLOSED
        errors = _drain_errors()
        # the first tells the cause, later ones that this or that function failed
        self.error = (
            errors[0] if errors else TlsError(library=0, reason=code, text="no error told")
        )
        return Step.FAILED

    @property
    def version(self) -> str:
        """Like ``TLSv1.3``; means something once the server has chosen."""
        return self._connection.get_protocol_version_name()

    @property
    def cipher(self) -> str | None:
        """OpenSSL's name of the cipher suite; None when none was agreed."""
        return self._connection.get_cipher_name()

    @property
    def chain_count(self) -> int:
        """How many certificates were sent."""
        stack = lib.SSL_get_peer_cert_chain(self._ssl)
        return 0 if stack == ffi.NULL else int(lib.sk_X509_num(stack))

    def chain(self, limit: int) -> list[bytes]:
        """Return the first ``limit`` certificates as sent, DER, leaf first."""
        count = min(limit, self.chain_count)
        stack = lib.SSL_get_peer_cert_chain(self._ssl)
        bio = lib.BIO_new(lib.BIO_s_mem())
        try:
            return [_der_of(lib.sk_X509_value(stack, index), bio) for index in range(count)]
        finally:
            lib.BIO_free(bio)

    @property
    def ocsp(self) -> bytes | None:
        """The stapled answer, DER (RFC 6066, 8); None when there was none."""
        place = ffi.new("unsigned char **")
        count = lib.SSL_get_tlsext_status_ocsp_resp(self._ssl, place)
        return ffi.buffer(place[0], count)[:] if count > 0 else None


_SCRATCH = ffi.new("char[]", _SCRATCH_BYTES)  # one event loop, never held across an await


def _der_of(certificate: Any, bio: Any) -> bytes:
    lib.i2d_X509_bio(bio, certificate)
    return _drained(bio)


def _drained(bio: Any) -> bytes:
    """Return all that is in a memory BIO."""
    count = lib.BIO_read(bio, _SCRATCH, _SCRATCH_BYTES)
    data = b""
    while count == _SCRATCH_BYTES:
        data += ffi.buffer(_SCRATCH, count)[:]
        count = lib.BIO_read(bio, _SCRATCH, _SCRATCH_BYTES)
    return data + ffi.buffer(_SCRATCH, count)[:] if count > 0 else data


def _drain_errors() -> list[TlsError]:
    errors = []
    while code := lib.ERR_get_error():
        words = lib.ERR_reason_error_string(code)
        errors.append(
            TlsError(
                # ERR_LIB_OFFSET and ERR_LIB_MASK of openssl/err.h, OpenSSL 3 and newer
                library=(code >> 23) & 0xFF,
                reason=lib.ERR_GET_REASON(code),
                text=ffi.string(words).decode() if words else f"error {code:#x}",
            )
        )
    return errors
