"""What GnuTLS, NSS and Schannel say.

GnuTLS: texts of lib/errors.c, numbers of gnutls.h, lib/alert.c, verification status of
lib/cert-session.c and lib/x509/verify*.c. NSS: sslerr.h, secerr.h, texts of SSLerrs.h. Schannel:
winerror.h's SEC_E_* and the alert events 36874, 36884, 36887, 36888 of System.
"""

import re

from exporter.handshake_log.words.alerts import REASONS as ALERT_REASONS
from exporter.handshake_log.words.saying import Kind, Meaning, Number, sayings
from exporter.observations import Reason, ToldBy

_LOCAL = ToldBy.LOCAL
_PEER = ToldBy.PEER

_GNUTLS = {
    8: Meaning(Reason.PROTOCOL_VERSION, _LOCAL),  # UNSUPPORTED_VERSION_PACKET
    9: Meaning(Reason.OTHER, _LOCAL),  # UNEXPECTED_PACKET_LENGTH
    12: Meaning(Reason.OTHER, _PEER),  # FATAL_ALERT_RECEIVED
    21: Meaning(Reason.NO_SHARED_CIPHER, _LOCAL),  # UNKNOWN_CIPHER_SUITE
    43: Meaning(Reason.VERIFY_FAILED, _LOCAL),  # CERTIFICATE_ERROR
    49: Meaning(Reason.CLIENT_CERT_REQUIRED, _LOCAL),  # NO_CERTIFICATE_FOUND
    53: Meaning(Reason.CONNECTION_RESET, _PEER),  # PUSH_ERROR
    54: Meaning(Reason.CONNECTION_RESET, _PEER),  # PULL_ERROR
    63: Meaning(Reason.WEAK_CRYPTO, _LOCAL),  # DH_PRIME_UNACCEPTABLE
    87: Meaning(Reason.NO_SHARED_CIPHER, _LOCAL),  # NO_CIPHER_SUITES
    89: Meaning(Reason.BAD_SIGNATURE, _LOCAL),  # PK_SIG_VERIFY_FAILED
    110: Meaning(Reason.CONNECTION_RESET, _PEER),  # PREMATURE_TERMINATION
    112: Meaning(Reason.CLIENT_CERT_REQUIRED, _LOCAL),  # CERTIFICATE_REQUIRED
    319: Meaning(Reason.HANDSHAKE_TIMEOUT, _LOCAL),  # TIMEDOUT
    328: Meaning(Reason.HANDSHAKE_TIMEOUT, _LOCAL),
    348: Meaning(Reason.VERIFY_FAILED, _LOCAL),  # CERTIFICATE_VERIFICATION_ERROR
    431: Meaning(Reason.NO_SHARED_CIPHER, _LOCAL),
}
# By name, with the offset from the library's base: SSL -0x3000, SEC -0x2000.
_NSS_SSL = {
    2: ("NO_CYPHER_OVERLAP", Reason.NO_SHARED_CIPHER, _LOCAL),
    3: ("NO_CERTIFICATE", Reason.CLIENT_CERT_REQUIRED, _LOCAL),
    4: ("BAD_CERTIFICATE", Reason.VERIFY_FAILED, _LOCAL),
    8: ("UNSUPPORTED_CERTIFICATE_TYPE", Reason.WRONG_USAGE, _LOCAL),
    9: ("UNSUPPORTED_VERSION", Reason.PROTOCOL_VERSION, _LOCAL),
    12: ("BAD_CERT_DOMAIN", Reason.HOSTNAME_MISMATCH, _LOCAL),
    14: ("SSL2_DISABLED", Reason.PROTOCOL_VERSION, _LOCAL),
    17: ("BAD_CERT_ALERT", Reason.VERIFY_FAILED, _PEER),
    18: ("REVOKED_CERT_ALERT", Reason.REVOKED, _PEER),
    19: ("EXPIRED_CERT_ALERT", Reason.EXPIRED, _PEER),
    # The length field holds other bytes: mostly plain text on a TLS port.
    25: ("RX_RECORD_TOO_LONG", Reason.NOT_TLS, _LOCAL),
    61: ("HANDSHAKE_FAILURE_ALERT", Reason.OTHER, _PEER),
    62: ("ILLEGAL_PARAMETER_ALERT", Reason.OTHER, _PEER),
    63: ("UNSUPPORTED_CERT_ALERT", Reason.WRONG_USAGE, _PEER),
    64: ("CERTIFICATE_UNKNOWN_ALERT", Reason.VERIFY_FAILED, _PEER),
    93: ("UNKNOWN_CA_ALERT", Reason.UNKNOWN_CA, _PEER),
    94: ("ACCESS_DENIED_ALERT", Reason.OTHER, _PEER),
    96: ("DECRYPT_ERROR_ALERT", Reason.BAD_SIGNATURE, _PEER),
    98: ("PROTOCOL_VERSION_ALERT", Reason.PROTOCOL_VERSION, _PEER),
    99: ("INSUFFICIENT_SECURITY_ALERT", Reason.NO_SHARED_CIPHER, _PEER),
    100: ("INTERNAL_ERROR_ALERT", Reason.OTHER, _PEER),
    115: ("WEAK_SERVER_EPHEMERAL_DH_KEY", Reason.WEAK_CRYPTO, _LOCAL),
    131: ("INAPPROPRIATE_FALLBACK_ALERT", Reason.PROTOCOL_VERSION, _PEER),
    132: ("WEAK_SERVER_CERT_KEY", Reason.WEAK_CRYPTO, _LOCAL),
    181: ("RX_CERTIFICATE_REQUIRED_ALERT", Reason.CLIENT_CERT_REQUIRED, _PEER),
}
_NSS_SEC = {
    10: ("BAD_SIGNATURE", Reason.BAD_SIGNATURE, _LOCAL),
    11: ("EXPIRED_CERTIFICATE", Reason.EXPIRED, _LOCAL),
    12: ("REVOKED_CERTIFICATE", Reason.REVOKED, _LOCAL),
    13: ("UNKNOWN_ISSUER", Reason.UNKNOWN_CA, _LOCAL),
    20: ("UNTRUSTED_ISSUER", Reason.UNKNOWN_CA, _LOCAL),
    21: ("UNTRUSTED_CERT", Reason.UNKNOWN_CA, _LOCAL),
    30: ("EXPIRED_ISSUER_CERTIFICATE", Reason.EXPIRED, _LOCAL),
    36: ("CA_CERT_INVALID", Reason.WRONG_USAGE, _LOCAL),
    37: ("PATH_LEN_CONSTRAINT_INVALID", Reason.WRONG_USAGE, _LOCAL),
    41: ("UNKNOWN_CRITICAL_EXTENSION", Reason.WRONG_USAGE, _LOCAL),
    90: ("INADEQUATE_KEY_USAGE", Reason.WRONG_USAGE, _LOCAL),
    91: ("INADEQUATE_CERT_TYPE", Reason.WRONG_USAGE, _LOCAL),
    112: ("CERT_NOT_IN_NAME_SPACE", Reason.WRONG_USAGE, _LOCAL),
    176: ("CERT_SIGNATURE_ALGORITHM_DISABLED", Reason.WEAK_CRYPTO, _LOCAL),
}
_SCHANNEL = {
    0x80090302: ("UNSUPPORTED_FUNCTION", Reason.PROTOCOL_VERSION, _LOCAL),
    0x80090308: ("INVALID_TOKEN", Reason.OTHER, _LOCAL),
    0x80090317: ("CONTEXT_EXPIRED", Reason.CONNECTION_RESET, _PEER),
    0x80090322: ("WRONG_PRINCIPAL", Reason.HOSTNAME_MISMATCH, _LOCAL),
    0x80090325: ("UNTRUSTED_ROOT", Reason.UNKNOWN_CA, _LOCAL),
    0x80090326: ("ILLEGAL_MESSAGE", Reason.OTHER, _LOCAL),
    0x80090327: ("CERT_UNKNOWN", Reason.VERIFY_FAILED, _LOCAL),
    0x80090328: ("CERT_EXPIRED", Reason.EXPIRED, _LOCAL),
    0x80090330: ("DECRYPT_FAILURE", Reason.OTHER, _LOCAL),
    0x80090331: ("ALGORITHM_MISMATCH", Reason.NO_SHARED_CIPHER, _LOCAL),
    0x80090349: ("CERT_WRONG_USAGE", Reason.WRONG_USAGE, _LOCAL),
    0x80092010: ("CRYPT_E_REVOKED", Reason.REVOKED, _LOCAL),
    0x800B0101: ("CERT_E_EXPIRED", Reason.EXPIRED, _LOCAL),
    0x800B0109: ("CERT_E_UNTRUSTEDROOT", Reason.UNKNOWN_CA, _LOCAL),
    0x800B010A: ("CERT_E_CHAINING", Reason.CHAIN_INCOMPLETE, _LOCAL),
    0x800B010C: ("CERT_E_REVOKED", Reason.REVOKED, _LOCAL),
    0x800B010F: ("CERT_E_CN_NO_MATCH", Reason.HOSTNAME_MISMATCH, _LOCAL),
    0x800B0110: ("CERT_E_WRONG_USAGE", Reason.WRONG_USAGE, _LOCAL),
}
_NSS_SSL_BASE = 0x3000
_NSS_SEC_BASE = 0x2000


def _nss(number: int) -> Meaning | None:
    """Return what NSS' negative number means: -12288 + n of SSL, -8192 + n of SEC."""
    if _NSS_SEC_BASE >= number > _NSS_SEC_BASE - 1000:
        row = _NSS_SEC.get(_NSS_SEC_BASE - number)
    else:
        row = _NSS_SSL.get(_NSS_SSL_BASE - number)
    return None if row is None else Meaning(row[1], row[2])


def _alert(number: int) -> Meaning | None:
    return Meaning(ALERT_REASONS.get(number, Reason.OTHER))


def _schannel(number: int) -> Meaning | None:
    # Printed in hex, or as the signed 32-bit number that it is in C.
    row = _SCHANNEL.get(number if number >= 0x80000000 else 0x100000000 - number)
    return None if row is None else Meaning(row[1], row[2])


SAYINGS = (
    # GnuTLS.
    *sayings(Kind.FAILS, Reason.OTHER, _PEER, "gnutls", r"a tls fatal alert has been received"),
    *sayings(Kind.FAILS, Reason.CONNECTION_RESET, _PEER, "gnutls",
             r"the tls connection was non properly terminated"),
    *sayings(Kind.HINTS, Reason.CONNECTION_RESET, _PEER, "gnutls",
             r"error in the pu(?:ll|sh) function", r"peer has terminated the connection"),
    *sayings(Kind.FAILS, Reason.VERIFY_FAILED, _LOCAL, "gnutls",
             r"error in the certificate verification", r"the certificate is not trusted",
             r"certificate is not trusted", r"peer'?s? certificate is not trusted",
             r"could not authenticate peer"),
    *sayings(Kind.HINTS, Reason.VERIFY_FAILED, _LOCAL, "gnutls", r"error in the certificate"),
    *sayings(Kind.FAILS, Reason.UNKNOWN_CA, _LOCAL, "gnutls",
             r"the certificate issuer is unknown", r"certificate issuer is unknown",
             r"signer (?:is )?not found", r"hasn'?t got a known issuer",
             "GNUTLS_CERT_SIGNER_NOT_FOUND"),
    *sayings(Kind.FAILS, Reason.WRONG_USAGE, _LOCAL, "gnutls",
             r"the certificate issuer is not a ca", r"certificate issuer is not a ca",
             r"key usage violation in certificate", r"signer not ca",
             r"the certificate chain violates the signer'?s constraints",
             r"certificate does not match the intended purpose"),
    *sayings(Kind.FAILS, Reason.WEAK_CRYPTO, _LOCAL, "gnutls",
             r"the certificate chain uses insecure algorithm", r"uses insecure algorithm",
             r"diffie hellman prime sent by the server is not acceptable",
             r"involved algorithms has insufficient security level"),
    *sayings(Kind.FAILS, Reason.EXPIRED, _LOCAL, "gnutls",
             r"the certificate chain uses expired certificate", r"uses expired certificate",
             r"the session or certificate has expired"),
    *sayings(Kind.FAILS, Reason.NOT_YET_VALID, _LOCAL, "gnutls",
             r"the certificate chain uses not yet valid certificate",
             r"uses not yet valid certificate",
             r"the certificate is not yet activated"),
    *sayings(Kind.FAILS, Reason.REVOKED, _LOCAL, "gnutls", r"the certificate chain is revoked",
             r"certificate chain revoked"),
    *sayings(Kind.FAILS, Reason.HOSTNAME_MISMATCH, _LOCAL, "gnutls",
             r"the name in the certificate does not match the expected",
             r"certificate'?s? (?:owner|name) does not match",
             r"the certificate'?s owner does not match hostname"),
    *sayings(Kind.FAILS, Reason.BAD_SIGNATURE, _LOCAL, "gnutls",
             r"the signature in the certificate is invalid",
             r"public key signature verification has failed"),
    *sayings(Kind.FAILS, Reason.CLIENT_CERT_REQUIRED, _LOCAL, "gnutls",
             r"no certificate was found", r"no certificates found!?"),
    *sayings(Kind.FAILS, Reason.NO_SHARED_CIPHER, _LOCAL, "gnutls",
             r"no supported cipher suites have been found",
             r"could not negotiate a supported cipher suite", r"no common key share with peer",
             r"no supported ecc curves were found", r"signature algorithm is not supported"),
    *sayings(Kind.FAILS, Reason.PROTOCOL_VERSION, _LOCAL, "gnutls",
             r"a packet with illegal or unsupported version was received",
             r"a connection with inappropriate fallback was attempted"),
    *sayings(Kind.FAILS, Reason.OTHER, _LOCAL, "gnutls",
             r"an unexpected tls (?:handshake )?packet was received",
             r"error decoding the received tls packet",
             r"a tls record packet with invalid length was received",
             r"no common application protocol could be negotiated"),
    *sayings(Kind.FRAME, Reason.OTHER, None, "gnutls",
             r"gnutls_handshake\(?\)? ?(?:\w+ )?(?:failed|returned|error)",
             r"gnutls handshake failed",
             r"do_gnutls_handshake"),
    # gnutls-serv, src/serv.c.
    *sayings(Kind.FAILS, Reason.CLIENT_CERT_REQUIRED, _LOCAL, "gnutls",
             r"error in handshake: certificate is required"),
    *sayings(Kind.FRAME, Reason.OTHER, None, "gnutls", r"^\s*error in handshake: .*"),
    *sayings(Kind.LATE, None, None, "gnutls",
             r"^\s*error: the tls connection was non properly terminated\.?"),
    *sayings(Kind.SIDE, None, _PEER, "gnutls", r"received alert \[?\d*"),
    # NSS by name (Firefox, curl, Red Hat's servers).
    *(saying
      for prefix, table in (("SSL_ERROR_", _NSS_SSL), ("SEC_ERROR_", _NSS_SEC))
      for name, reason, told_by in table.values()
      for saying in sayings(Kind.FAILS, reason, told_by, "nss", f"{prefix}{name}")),
    *sayings(Kind.FAILS, Reason.PROTOCOL_VERSION, _PEER, "nss",
             r"ssl peer reports incompatible or unsupported protocol version"),
    *sayings(Kind.FAILS, Reason.UNKNOWN_CA, _LOCAL, "nss",
             r"peer'?s? certificate issuer has been marked as not trusted by the user",
             r"peer'?s? certificate issuer is not recogni[sz]ed",
             r"certificate issuer is not recogni[sz]ed"),
    *sayings(Kind.FAILS, Reason.UNKNOWN_CA, _PEER, "nss",
             r"peer does not recogni[sz]e and trust the ca that issued your certificate"),
    *sayings(Kind.FAILS, Reason.EXPIRED, _LOCAL, "nss", r"peer'?s certificate has expired"),
    *sayings(Kind.FAILS, Reason.EXPIRED, _PEER, "nss",
    r"ssl peer rejected your certificate as expired"),
    *sayings(Kind.FAILS, Reason.REVOKED, _PEER, "nss",
    r"ssl peer rejected your certificate as revoked"),
    *sayings(Kind.FAILS, Reason.REVOKED, _LOCAL, "nss", r"peer'?s certificate has been revoked"),
    *sayings(Kind.FAILS, Reason.VERIFY_FAILED, _PEER, "nss",
    r"ssl peer cannot verify your certificate",
             r"ssl peer had some unspecified issue with the certificate"),
    *sayings(Kind.FAILS, Reason.NO_SHARED_CIPHER, _LOCAL, "nss",
             r"cannot communicate securely with peer: no common encryption"),
    *sayings(Kind.FAILS, Reason.NOT_TLS, _LOCAL, "nss",
             r"ssl received a record that exceeded the maximum permissible length"),
    *sayings(Kind.FAILS, Reason.OTHER, _PEER, "nss",
             r"ssl peer was unable to negotiate an acceptable set of security parameters"),
    *sayings(Kind.FAILS, Reason.CLIENT_CERT_REQUIRED, _LOCAL, "nss",
             r"unable to find the certificate or key necessary for authentication"),
    # Schannel and .NET on it.
    *(saying
      for name, reason, told_by in _SCHANNEL.values()
      for saying in sayings(Kind.FAILS, reason, told_by, "schannel",
                            name if "_E_" in name else f"SEC_E_{name}")),
    *sayings(Kind.FAILS, Reason.UNKNOWN_CA, _LOCAL, "schannel",
             r"certificate chain was issued by an authority that is not trusted",
             r"certificate chain processed, but terminated in a root certificate which is not "
             r"trusted",
             r"a certificate chain processed, but terminated in a root certificate"),
    *sayings(Kind.FAILS, Reason.CHAIN_INCOMPLETE, _LOCAL, "schannel",
             r"a certificate chain could not be built to a trusted root authority"),
    *sayings(Kind.FAILS, Reason.EXPIRED, _LOCAL, "schannel",
             r"the received certificate has expired",
             r"a required certificate is not within its validity period", "NotTimeValid"),
    *sayings(Kind.FAILS, Reason.HOSTNAME_MISMATCH, _LOCAL, "schannel",
             r"the target principal name is incorrect", r"certificate'?s cn name does not match",
             "RemoteCertificateNameMismatch"),
    *sayings(Kind.FAILS, Reason.UNKNOWN_CA, _LOCAL, "dotnet", r"UntrustedRoot"),
    *sayings(Kind.FAILS, Reason.CHAIN_INCOMPLETE, _LOCAL, "dotnet", r"PartialChain"),
    *sayings(Kind.FAILS, Reason.VERIFY_FAILED, _LOCAL, "dotnet",
             r"the remote certificate (?:is invalid|was rejected)", "RemoteCertificateChainErrors",
             r"remote certificate is invalid"),
    *sayings(Kind.FAILS, Reason.CLIENT_CERT_REQUIRED, _LOCAL, "dotnet",
    "RemoteCertificateNotAvailable"),
    *sayings(Kind.FAILS, Reason.NO_SHARED_CIPHER, _LOCAL, "schannel",
             r"the client and server cannot communicate, because they do not possess a common "
             r"algorithm",
             r"none of the cipher suites supported by the client application are supported"),
    *sayings(Kind.FAILS, Reason.NOT_TLS, _LOCAL, "dotnet",
             r"the handshake failed due to an unexpected packet format",
             r"cannot determine the frame size or a corrupted frame was received"),
    *sayings(Kind.FAILS, Reason.CONNECTION_RESET, _PEER, "dotnet",
             r"authentication failed because the remote party has closed the transport stream",
             r"authentication failed because the remote party sent a tls alert",
             r"received an unexpected eof or 0 bytes from the transport stream", worth=12),
    *sayings(Kind.FRAME, Reason.OTHER, None, "dotnet",
             r"authentication failed, see inner exception", r"tls authentication error",
             r"a call to sspi failed", r"using ssl failed with system error",
             r"system\.security\.authentication\.authenticationexception",
             r"the ssl connection could not be established"),
    *sayings(Kind.SIDE, None, _PEER, "schannel",
             r"a fatal alert was received from the remote endpoint",
             # Before Windows 8: events 36887 and 36888.
             r"the following fatal alert was received"),
    *sayings(Kind.SIDE, None, _LOCAL, "schannel",
             r"a fatal alert was generated and sent to the remote endpoint",
             r"the following fatal alert was generated"),
    *sayings(Kind.FRAME, Reason.OTHER, None, "schannel",
             r"(?:a|the following) fatal alert was (?:received|generated)",
             r"an? (?:tls|ssl) [\d.]+ connection request was received"),
)  # fmt: skip

NUMBERS = (
    Number(
        pattern=re.compile(
            r"(?:gnutls|GnuTLS|GNUTLS)[^\n]{0,60}?(?:\(|error |error: |returned |code "
            r")-(\d{1,3})\b"
        ),
        base=10,
        mark="gnutls",
        meaning=_GNUTLS.get,
        library="gnutls",
    ),
    Number(
        pattern=re.compile(r"(?:NSS|nss|PR_)[^\n]{0,60}?-(8[01]\d\d|12[0-2]\d\d)\b"),
        base=10,
        mark="-",
        meaning=_nss,
        library="nss",
    ),
    Number(
        pattern=re.compile(r"\b0x(80(?:09|0[bB])[0-9A-Fa-f]{4})\b"),
        base=16,
        mark="0x80",
        meaning=_schannel,
        library="schannel",
    ),
    Number(
        pattern=re.compile(r"-(21[0-9]{8})\b"),
        base=10,
        mark="-21",
        meaning=_schannel,
        library="schannel",
    ),
    # "The TLS protocol defined fatal alert code is 48.", "fatal error code is 70"; older Windows
    # wrote "The following fatal alert was received: 48".
    Number(
        pattern=re.compile(
            r"(?:protocol defined fatal (?:alert|error) code is"
            r"|following fatal alert was (?:received|generated):) (\d{1,3})"
        ),
        base=10,
        mark="fatal",
        meaning=_alert,
        library="schannel",
    ),
)
