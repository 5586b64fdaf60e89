"""What OpenSSL's certificate verification says, by number and by text, in all releases.

Numbers and names: include/openssl/x509_vfy.h. Texts: crypto/x509/x509_txt.c (3.x) and its
wordings before 3.0 ("self signed", "unsupported certificate purpose"). The error constants are
Node.js' ``error.code`` (src/crypto/crypto_common.cc) and Python's ``verify_message``.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from exporter.handshake_log.words.saying import Kind, Meaning, Number, Saying, sayings
from exporter.observations import Reason, ToldBy


class VerifyError(NamedTuple):
    """One X509_V_ERR: its number, our reason, and its texts."""

    number: int
    reason: Reason
    texts: tuple[str, ...]


ERRORS = (
    VerifyError(
        2, Reason.UNKNOWN_CA, ("unable to get issuer certificate", "unable to get issuer cert")
    ),
    VerifyError(3, Reason.OTHER, ("unable to get certificate crl", "unable to get crl")),
    VerifyError(
        4,
        Reason.BAD_SIGNATURE,
        ("unable to decrypt certificate's signature", "unable to decrypt cert signature"),
    ),
    VerifyError(5, Reason.OTHER, ("unable to decrypt crl's signature",)),
    VerifyError(6, Reason.BAD_SIGNATURE, ("unable to decode issuer public key",)),
    VerifyError(
        7, Reason.BAD_SIGNATURE, ("certificate signature failure", "cert signature failure")
    ),
    VerifyError(8, Reason.OTHER, ("crl signature failure",)),
    VerifyError(9, Reason.NOT_YET_VALID, ("certificate is not yet valid", "cert not yet valid")),
    VerifyError(10, Reason.EXPIRED, ("certificate has expired", "cert has expired")),
    VerifyError(11, Reason.OTHER, ("crl is not yet valid", "crl not yet valid")),
    VerifyError(12, Reason.OTHER, ("crl has expired",)),
    VerifyError(
        13,
        Reason.OTHER,
        ("format error in certificate's notbefore field", "error in cert not before field"),
    ),
    VerifyError(
        14,
        Reason.OTHER,
        ("format error in certificate's notafter field", "error in cert not after field"),
    ),
    VerifyError(15, Reason.OTHER, ("format error in crl's lastupdate field",)),
    VerifyError(16, Reason.OTHER, ("format error in crl's nextupdate field",)),
    VerifyError(
        18, Reason.SELF_SIGNED, ("self signed certificate", "depth zero self signed cert")
    ),
    # More than 18: the chain came with its root, and that root is not trusted.
    VerifyError(
        19,
        Reason.UNKNOWN_CA,
        ("self signed certificate in certificate chain", "self signed cert in chain"),
    ),
    VerifyError(
        20,
        Reason.UNKNOWN_CA,
        ("unable to get local issuer certificate", "unable to get issuer cert locally"),
    ),
    VerifyError(
        21,
        Reason.CHAIN_INCOMPLETE,
        ("unable to verify the first certificate", "unable to verify leaf signature"),
    ),
    VerifyError(22, Reason.OTHER, ("certificate chain too long", "cert chain too long")),
    VerifyError(23, Reason.REVOKED, ("certificate revoked", "cert revoked")),
    VerifyError(24, Reason.WRONG_USAGE, ("invalid ca certificate", "invalid ca")),
    VerifyError(
        25, Reason.WRONG_USAGE, ("path length constraint exceeded", "path length exceeded")
    ),
    VerifyError(
        26,
        Reason.WRONG_USAGE,
        ("unsupported certificate purpose", "unsuitable certificate purpose", "invalid purpose"),
    ),
    VerifyError(27, Reason.UNKNOWN_CA, ("certificate not trusted", "cert untrusted")),
    VerifyError(28, Reason.VERIFY_FAILED, ("certificate rejected", "cert rejected")),
    VerifyError(29, Reason.UNKNOWN_CA, ("subject issuer mismatch",)),
    VerifyError(
        30,
        Reason.UNKNOWN_CA,
        ("authority and subject key identifier mismatch", "akid skid mismatch"),
    ),
    VerifyError(
        31,
        Reason.UNKNOWN_CA,
        ("authority and issuer serial number mismatch", "akid issuer serial mismatch"),
    ),
    VerifyError(
        32,
        Reason.WRONG_USAGE,
        ("key usage does not include certificate signing", "keyusage no certsign"),
    ),
    VerifyError(33, Reason.OTHER, ("unable to get crl issuer certificate",)),
    VerifyError(34, Reason.WRONG_USAGE, ("unhandled critical extension",)),
    VerifyError(37, Reason.WRONG_USAGE, (r"invalid non ca certificate",)),
    VerifyError(38, Reason.WRONG_USAGE, ("proxy path length constraint exceeded",)),
    VerifyError(39, Reason.WRONG_USAGE, ("key usage does not include digital signature",)),
    VerifyError(40, Reason.WRONG_USAGE, ("proxy certificates not allowed",)),
    VerifyError(41, Reason.WRONG_USAGE, ("invalid or inconsistent certificate extension",)),
    VerifyError(42, Reason.WRONG_USAGE, ("invalid or inconsistent certificate policy extension",)),
    VerifyError(43, Reason.WRONG_USAGE, ("no explicit policy",)),
    VerifyError(47, Reason.WRONG_USAGE, ("permitted subtree violation",)),
    VerifyError(48, Reason.WRONG_USAGE, ("excluded subtree violation",)),
    VerifyError(50, Reason.VERIFY_FAILED, ("application verification failure",)),
    VerifyError(51, Reason.WRONG_USAGE, ("unsupported name constraint type",)),
    VerifyError(62, Reason.HOSTNAME_MISMATCH, ("hostname mismatch", "host name mismatch")),
    VerifyError(63, Reason.HOSTNAME_MISMATCH, ("email address mismatch",)),
    VerifyError(64, Reason.HOSTNAME_MISMATCH, ("ip address mismatch",)),
    VerifyError(65, Reason.VERIFY_FAILED, ("no matching dane tlsa records",)),
    VerifyError(66, Reason.WEAK_CRYPTO, ("ee certificate key too weak", "ee key too small")),
    VerifyError(67, Reason.WEAK_CRYPTO, ("ca certificate key too weak", "ca key too small")),
    VerifyError(
        68, Reason.WEAK_CRYPTO, ("ca signature digest algorithm too weak", "ca md too weak")
    ),
    VerifyError(
        71, Reason.VERIFY_FAILED, ("certificate transparency required, but no valid scts found",)
    ),
    VerifyError(73, Reason.OTHER, ("ocsp verification needed",)),
    VerifyError(74, Reason.OTHER, ("ocsp verification failed",)),
    VerifyError(75, Reason.OTHER, ("ocsp unknown cert",)),
    # Since 3.0 what was 24 before (X509_V_ERR_INVALID_CA moved).
    VerifyError(79, Reason.WRONG_USAGE, ()),
    VerifyError(80, Reason.WRONG_USAGE, ("path length invalid for non ca cert",)),
    VerifyError(89, Reason.WRONG_USAGE, ("basic constraints of ca cert not marked critical",)),
    VerifyError(92, Reason.WRONG_USAGE, ("ca cert does not include key usage extension",)),
)
REASONS = {error.number: error.reason for error in ERRORS}
_BY_NUMBER = {number: Meaning(reason, ToldBy.LOCAL) for number, reason in REASONS.items()}

# Everyday words, or words that renewal tools use: a failure only where the line says so otherwise.
_EVERYDAY = {3, 7, 8, 9, 10, 11, 12, 18, 22, 23, 24, 26, 27, 28, 62, 63, 64, 73, 74, 75}


def _texts() -> Iterator[Saying]:
    for error in ERRORS:
        kind = Kind.HINTS if error.number in _EVERYDAY else Kind.FAILS
        for text in error.texts:
            yield from sayings(kind, error.reason, ToldBy.LOCAL, "openssl", text)


SAYINGS = (
    *_texts(),
    # A constant is no everyday word, whoever prints it.
    *sayings(
        Kind.FAILS,
        Reason.SELF_SIGNED,
        ToldBy.LOCAL,
        "openssl",
        "depth_zero_self_signed_cert",
    ),
    *sayings(Kind.FAILS, Reason.EXPIRED, ToldBy.LOCAL, "openssl", "CERT_HAS_EXPIRED"),
    *sayings(Kind.FAILS, Reason.NOT_YET_VALID, ToldBy.LOCAL, "openssl", "CERT_NOT_YET_VALID"),
)

NUMBERS = (
    # nginx "(20:unable to …)", OpenSSL "error 20 at 0 depth", mosquitto/lws "err=20",
    # FreeRADIUS "SSL says error 20 :", sudo "'26:unsupported …'".
    Number(
        pattern=re.compile(
            r"(?:\(|'|says error |verify error:num=|preverify_ok=0;err=|\berror[ =])(\d{1,2})"
            r"(?=:[A-Za-z]| at \d+ depth| : |;depth)"
        ),
        base=10,
        mark="er",
        meaning=_BY_NUMBER.get,
        library="openssl",
    ),
    Number(
        pattern=re.compile(r"X509_V_ERR[^\d]{0,40}\((\d{1,2})\)"),
        base=10,
        mark="x509_v_err",
        meaning=_BY_NUMBER.get,
        library="openssl",
    ),
)
