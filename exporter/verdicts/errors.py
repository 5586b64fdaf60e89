"""OpenSSL's verification errors as reasons; numbers of openssl/x509_vfy.h."""

from collections.abc import Mapping

from exporter.observations import Reason

# No path to an anchor; which reason that is, paths.py finds out
TRUST_ERRORS = frozenset({2, 18, 19, 20, 21, 27})
# DEPTH_ZERO_SELF_SIGNED_CERT: the leaf is its own issuer
SELF_SIGNED_ERROR = 18
# 9 - 14: notBefore, notAfter and their malformed forms
TIME_ERRORS = frozenset({9, 10, 13, 14})

_REASONS: Mapping[int, Reason] = {
    4: Reason.BAD_SIGNATURE,  # UNABLE_TO_DECRYPT_CERT_SIGNATURE
    6: Reason.BAD_SIGNATURE,  # UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY
    7: Reason.BAD_SIGNATURE,  # CERT_SIGNATURE_FAILURE
    9: Reason.NOT_YET_VALID,
    10: Reason.EXPIRED,
    22: Reason.WRONG_USAGE,  # CERT_CHAIN_TOO_LONG
    24: Reason.BAD_SIGNATURE,  # NO_ISSUER_PUBLIC_KEY
    25: Reason.WRONG_USAGE,  # PATH_LENGTH_EXCEEDED
    26: Reason.WRONG_USAGE,  # INVALID_PURPOSE
    28: Reason.WRONG_USAGE,  # CERT_REJECTED: an anchor whose trust settings exclude servers
    32: Reason.WRONG_USAGE,  # KEYUSAGE_NO_CERTSIGN
    37: Reason.WRONG_USAGE,  # INVALID_NON_CA
    47: Reason.WRONG_USAGE,  # PERMITTED_VIOLATION (name constraints)
    48: Reason.WRONG_USAGE,  # EXCLUDED_VIOLATION
    49: Reason.WRONG_USAGE,  # SUBTREE_MINMAX
    51: Reason.WRONG_USAGE,  # UNSUPPORTED_CONSTRAINT_TYPE
    52: Reason.WRONG_USAGE,  # UNSUPPORTED_CONSTRAINT_SYNTAX
    53: Reason.WRONG_USAGE,  # UNSUPPORTED_NAME_SYNTAX
    76: Reason.BAD_SIGNATURE,  # UNSUPPORTED_SIGNATURE_ALGORITHM
    77: Reason.BAD_SIGNATURE,  # SIGNATURE_ALGORITHM_MISMATCH
    78: Reason.BAD_SIGNATURE,  # SIGNATURE_ALGORITHM_INCONSISTENCY
    79: Reason.WRONG_USAGE,  # INVALID_CA
    80: Reason.WRONG_USAGE,  # PATHLEN_INVALID_FOR_NON_CA
    81: Reason.WRONG_USAGE,  # PATHLEN_WITHOUT_KU_KEY_CERT_SIGN
    82: Reason.WRONG_USAGE,  # KU_KEY_CERT_SIGN_INVALID_FOR_NON_CA
    89: Reason.WRONG_USAGE,  # CA_BCONS_NOT_CRITICAL
    92: Reason.WRONG_USAGE,  # CA_CERT_MISSING_KEY_USAGE
}


def reason_of(error: int) -> Reason:
    """Return the reason an error stands for; ``other`` where none of ours fits."""
    return _REASONS.get(error, Reason.OTHER)
