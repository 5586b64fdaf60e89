"""What the TLS libraries of small devices say: mbedTLS, wolfSSL, BearSSL, axTLS.

mbedTLS: include/mbedtls/{ssl,x509,net_sockets}.h and 2.x's longer list, texts of library/error.c
and x509_crt.h. wolfSSL: wolfssl/error-ssl.h, wolfcrypt/error-crypt.h and the texts of
src/internal.c, wolfcrypt/src/error.c. BearSSL: inc/bearssl_ssl.h, inc/bearssl_x509.h. axTLS:
ssl/ssl.h and the display functions of ssl/tls1.c.
"""

import re

from exporter.handshake_log.words.alerts import REASONS as ALERT_REASONS
from exporter.handshake_log.words.saying import WORTH, Kind, Meaning, Number, sayings
from exporter.observations import Reason, ToldBy

_LOCAL = ToldBy.LOCAL
_PEER = ToldBy.PEER


def _local(reason: Reason) -> Meaning:
    return Meaning(reason, _LOCAL)


# By absolute value; printed as -0x2700, 0x2700, -9984.
MBEDTLS = {
    0x2700: _local(Reason.VERIFY_FAILED),  # X509_CERT_VERIFY_FAILED
    0x3000: _local(Reason.VERIFY_FAILED),  # X509_FATAL_ERROR, mostly a refusing callback
    0x2400: _local(Reason.OTHER),  # X509_INVALID_DATE
    0x2480: _local(Reason.BAD_SIGNATURE),  # X509_INVALID_SIGNATURE
    0x2680: _local(Reason.BAD_SIGNATURE),  # X509_SIG_MISMATCH
    0x2600: _local(Reason.OTHER),  # X509_UNKNOWN_SIG_ALG
    0x7200: _local(Reason.OTHER),  # SSL_INVALID_RECORD
    0x7180: _local(Reason.OTHER),  # SSL_INVALID_MAC
    0x7280: Meaning(Reason.CONNECTION_RESET, _PEER),  # SSL_CONN_EOF
    0x7300: _local(Reason.OTHER),  # SSL_DECODE_ERROR; SSL_UNKNOWN_CIPHER before 3.0
    0x7380: _local(Reason.NO_SHARED_CIPHER),  # SSL_NO_CIPHER_CHOSEN
    0x7480: _local(Reason.CLIENT_CERT_REQUIRED),  # SSL_NO_CLIENT_CERTIFICATE
    0x7500: _local(Reason.OTHER),
    0x7580: _local(Reason.OTHER),
    0x7600: _local(Reason.OTHER),
    0x7680: _local(Reason.UNKNOWN_CA),  # SSL_CA_CHAIN_REQUIRED: none is set
    0x7700: _local(Reason.OTHER),
    0x7780: Meaning(Reason.OTHER, _PEER),  # SSL_FATAL_ALERT_MESSAGE; which one is another line's
    0x7800: _local(Reason.OTHER),  # SSL_UNRECOGNIZED_NAME; SSL_PEER_VERIFY_FAILED before 2.24
    0x7880: Meaning(Reason.CONNECTION_RESET, _PEER),  # SSL_PEER_CLOSE_NOTIFY
    0x7900: _local(Reason.OTHER),  # SSL_BAD_HS_CLIENT_HELLO
    0x7980: _local(Reason.OTHER),  # SSL_BAD_HS_SERVER_HELLO
    0x7A00: _local(Reason.VERIFY_FAILED),  # SSL_BAD_CERTIFICATE
    0x7A80: _local(Reason.OTHER),
    0x7B00: _local(Reason.OTHER),  # SSL_BAD_HS_SERVER_KEY_EXCHANGE
    0x7C00: _local(Reason.OTHER),
    0x7D00: _local(Reason.OTHER),  # SSL_BAD_HS_CERTIFICATE_VERIFY
    0x7E00: _local(Reason.OTHER),
    0x7E80: _local(Reason.OTHER),  # SSL_BAD_HS_FINISHED
    0x6E80: _local(Reason.PROTOCOL_VERSION),  # SSL_BAD_PROTOCOL_VERSION
    0x6E00: _local(Reason.OTHER),  # SSL_HANDSHAKE_FAILURE
    0x6D00: _local(Reason.OTHER),
    0x6C80: _local(Reason.OTHER),
    0x6C00: _local(Reason.OTHER),
    0x6800: _local(Reason.HANDSHAKE_TIMEOUT),  # SSL_TIMEOUT
    0x6700: _local(Reason.OTHER),
    0x6600: _local(Reason.OTHER),  # SSL_ILLEGAL_PARAMETER
    0x6380: _local(Reason.NO_SHARED_CIPHER),  # SSL_NO_USABLE_CIPHERSUITE
    0x5F00: _local(Reason.PROTOCOL_VERSION),  # SSL_VERSION_MISMATCH
    0x5D80: _local(Reason.HOSTNAME_MISMATCH),  # no host name to compare with was given
    0x0050: Meaning(Reason.CONNECTION_RESET, _PEER),  # NET_CONN_RESET
    0x004C: Meaning(Reason.CONNECTION_RESET, _PEER),  # NET_RECV_FAILED
    0x004E: Meaning(Reason.CONNECTION_RESET, _PEER),  # NET_SEND_FAILED
}

WOLFSSL = {
    150: _local(Reason.NOT_YET_VALID),  # ASN_BEFORE_DATE_E
    151: _local(Reason.EXPIRED),  # ASN_AFTER_DATE_E
    152: _local(Reason.BAD_SIGNATURE),  # ASN_SIG_OID_E
    155: _local(Reason.BAD_SIGNATURE),  # ASN_SIG_CONFIRM_E
    160: _local(Reason.WRONG_USAGE),  # ASN_CRIT_EXT_E
    188: _local(Reason.UNKNOWN_CA),  # ASN_NO_SIGNER_E
    198: _local(Reason.WRONG_USAGE),  # ASN_NAME_INVALID_E, name constraints
    226: _local(Reason.WRONG_USAGE),
    229: _local(Reason.BAD_SIGNATURE),  # SIG_VERIFY_E
    237: _local(Reason.WRONG_USAGE),  # ASN_PATHLEN_SIZE_E
    238: _local(Reason.WRONG_USAGE),
    247: _local(Reason.WRONG_USAGE),
    275: _local(Reason.SELF_SIGNED),  # ASN_SELF_SIGNED_E
    308: Meaning(Reason.CONNECTION_RESET, _PEER),  # SOCKET_ERROR_E
    313: Meaning(Reason.OTHER, _PEER),  # FATAL_ERROR, "received alert fatal error"
    322: _local(Reason.HOSTNAME_MISMATCH),  # DOMAIN_NAME_MISMATCH
    325: _local(Reason.HOSTNAME_MISMATCH),  # IPADDR_MISMATCH
    326: _local(Reason.PROTOCOL_VERSION),  # VERSION_ERROR
    329: _local(Reason.VERIFY_FAILED),  # VERIFY_CERT_ERROR
    330: _local(Reason.BAD_SIGNATURE),  # VERIFY_SIGN_ERROR
    343: Meaning(Reason.CONNECTION_RESET, _PEER),  # ZERO_RETURN
    345: _local(Reason.CLIENT_CERT_REQUIRED),  # NO_PEER_CERT
    357: _local(Reason.WRONG_USAGE),  # NOT_CA_ERROR
    360: _local(Reason.REVOKED),  # OCSP_CERT_REVOKED
    361: _local(Reason.REVOKED),  # CRL_CERT_REVOKED
    368: _local(Reason.OTHER),
    378: _local(Reason.VERIFY_FAILED),  # NO_PEER_VERIFY
    383: _local(Reason.WRONG_USAGE),  # KEYUSE_SIGNATURE_E
    385: _local(Reason.WRONG_USAGE),  # KEYUSE_ENCIPHER_E
    386: _local(Reason.WRONG_USAGE),  # EXTKEYUSE_AUTH_E
    397: Meaning(Reason.CONNECTION_RESET, _PEER),  # SOCKET_PEER_CLOSED_E
    401: _local(Reason.WEAK_CRYPTO),  # DH_KEY_SIZE_E
    409: _local(Reason.WEAK_CRYPTO),  # RSA_KEY_SIZE_E
    410: _local(Reason.WEAK_CRYPTO),  # ECC_KEY_SIZE_E
    450: _local(Reason.PROTOCOL_VERSION),  # UNSUPPORTED_PROTO_VERSION
    500: _local(Reason.NO_SHARED_CIPHER),  # UNSUPPORTED_SUITE
    501: _local(Reason.NO_SHARED_CIPHER),  # MATCH_SUITE_ERROR
}
_WOLFSSL_RANGE = range(101, 520)

BEARSSL = {
    3: _local(Reason.PROTOCOL_VERSION),  # ERR_UNSUPPORTED_VERSION
    4: _local(Reason.PROTOCOL_VERSION),  # ERR_BAD_VERSION
    16: _local(Reason.NO_SHARED_CIPHER),  # ERR_BAD_CIPHER_SUITE
    27: _local(Reason.BAD_SIGNATURE),
    28: _local(Reason.WRONG_USAGE),  # ERR_WRONG_KEY_USAGE
    29: _local(Reason.CLIENT_CERT_REQUIRED),  # ERR_NO_CLIENT_AUTH
    31: Meaning(Reason.CONNECTION_RESET, _PEER),  # ERR_IO
    35: _local(Reason.VERIFY_FAILED),  # X509_EMPTY_CHAIN
    52: _local(Reason.BAD_SIGNATURE),  # X509_BAD_SIGNATURE
    53: _local(Reason.OTHER),  # X509_TIME_UNKNOWN: the device has no clock yet
    54: _local(Reason.EXPIRED),  # X509_EXPIRED (also "not yet valid")
    56: _local(Reason.HOSTNAME_MISMATCH),  # X509_BAD_SERVER_NAME
    57: _local(Reason.WRONG_USAGE),  # X509_CRITICAL_EXTENSION
    58: _local(Reason.WRONG_USAGE),  # X509_NOT_CA
    59: _local(Reason.WRONG_USAGE),  # X509_FORBIDDEN_KEY_USAGE
    60: _local(Reason.WEAK_CRYPTO),  # X509_WEAK_PUBLIC_KEY
    62: _local(Reason.UNKNOWN_CA),  # X509_NOT_TRUSTED
}
_BEARSSL_RECEIVED = 256  # ERR_RECV_FATAL_ALERT + alert
_BEARSSL_SENT = 512  # ERR_SEND_FATAL_ALERT + alert

# From ssl.h: transport and protocol, and X509 errors at an offset of -512.
AXTLS = {
    256: Meaning(Reason.CONNECTION_RESET, _PEER),
    263: _local(Reason.PROTOCOL_VERSION),
    266: _local(Reason.NO_SHARED_CIPHER),
    268: _local(Reason.VERIFY_FAILED),
    514: _local(Reason.UNKNOWN_CA),
    515: _local(Reason.BAD_SIGNATURE),
    516: _local(Reason.NOT_YET_VALID),
    517: _local(Reason.EXPIRED),
    518: _local(Reason.SELF_SIGNED),
    519: _local(Reason.CHAIN_INCOMPLETE),
    523: _local(Reason.WRONG_USAGE),
}


def _bearssl(number: int) -> Meaning | None:
    if number >= _BEARSSL_SENT:
        return Meaning(ALERT_REASONS.get(number - _BEARSSL_SENT, Reason.OTHER), _LOCAL)
    if number >= _BEARSSL_RECEIVED:
        return Meaning(ALERT_REASONS.get(number - _BEARSSL_RECEIVED, Reason.OTHER), _PEER)
    return BEARSSL.get(number) or (_local(Reason.OTHER) if number else None)


def _wolfssl(number: int) -> Meaning | None:
    if number in {323, 327}:  # WANT_READ, WANT_WRITE
        return None
    return WOLFSSL.get(number) or (_local(Reason.OTHER) if number in _WOLFSSL_RANGE else None)


SAYINGS = (
    # mbedTLS, texts of mbedtls_strerror() and of mbedtls_x509_crt_verify_info().
    *sayings(Kind.FAILS, Reason.VERIFY_FAILED, _LOCAL, "mbedtls",
             r"x509 certificate verification failed", r"failed to verify peer certificate",
             r"esp x509 crt bundle: failed to verify certificate",
             r"x509_(?:crt_)?verify(?:_cert|_with_profile)?\(?\)? returned "
             r"-?(?:0x)?[1-9a-f][0-9a-f]+"),
    # The text names examples of causes, and so no cause.
    *sayings(Kind.FAILS, Reason.VERIFY_FAILED, _LOCAL, "mbedtls",
             r"certificate verification failed, e\.g\. crl*",
             worth=WORTH[Reason.BAD_SIGNATURE] + 2),
    *sayings(Kind.FAILS, Reason.UNKNOWN_CA, _LOCAL, "mbedtls",
             r"the certificate is not correctly signed by the trusted ca", "badcert not trusted",
             r"no matching trusted root certificate found",
             r"no ca chain is set, but required to operate"),
    *sayings(Kind.FAILS, Reason.EXPIRED, _LOCAL, "mbedtls",
             r"the certificate validity has expired", "badcert expired"),
    *sayings(Kind.FAILS, Reason.NOT_YET_VALID, _LOCAL, "mbedtls",
             r"the certificate validity starts in the future", "badcert future"),
    *sayings(Kind.FAILS, Reason.REVOKED, _LOCAL, "mbedtls",
             r"the certificate has been revoked", "badcert revoked"),
    *sayings(Kind.FAILS, Reason.HOSTNAME_MISMATCH, _LOCAL, "mbedtls",
             r"the certificate common name \(cn\) does not match with the expected cn",
             "badcert cn mismatch", r"verify a certificate without an expected hostname"),
    *sayings(Kind.FAILS, Reason.WRONG_USAGE, _LOCAL, "mbedtls",
             r"usage does not match the (?:extended)?(?:keyusage|nscerttype) extension",
             "badcert (?:ext )?key usage", "badcert ns cert type"),
    *sayings(Kind.FAILS, Reason.WEAK_CRYPTO, _LOCAL, "mbedtls",
             r"the certificate is signed with an unacceptable (?:hash|pk alg|key)",
             "badcert bad (?:md|pk|key)"),
    *sayings(Kind.FAILS, Reason.CLIENT_CERT_REQUIRED, _LOCAL, "mbedtls",
             r"no client certification received from the client",
             r"ssl no client certificate"),
    *sayings(Kind.FAILS, Reason.PROTOCOL_VERSION, _LOCAL, "mbedtls",
             r"handshake protocol not within min/max boundaries", r"ssl bad protocol version"),
    *sayings(Kind.FAILS, Reason.NO_SHARED_CIPHER, _LOCAL, "mbedtls",
             r"got no ciphersuites in common", r"none of the common ciphersuites is usable",
             r"the server has no ciphersuites in common with the client"),
    *sayings(Kind.FAILS, Reason.HANDSHAKE_TIMEOUT, _LOCAL, "mbedtls",
             r"ssl ?- ?the operation timed out", "err ssl timeout"),
    *sayings(Kind.FAILS, Reason.CONNECTION_RESET, _PEER, "mbedtls",
             r"ssl ?- ?the connection indicated an eof", r"net ?- ?connection was reset by peer",
             r"err net conn reset", r"err ssl conn eof",
             r"ssl ?- ?the peer notified us that the connection is going to be closed"),
    *sayings(Kind.FAILS, Reason.OTHER, _PEER, "mbedtls",
             r"a fatal alert message was received from our peer"),
    *sayings(Kind.FAILS, Reason.OTHER, _LOCAL, "mbedtls",
             r"ssl ?- ?the handshake negotiation failed",
             r"ssl ?- ?(?:an invalid ssl record was received|verification of the message mac "
             r"failed)",
             r"ssl ?- ?processing of the \w+ handshake message failed",
             r"ssl ?- ?an unexpected message was received from our peer"),
    *sayings(Kind.FRAME, Reason.OTHER, None, "mbedtls",
             r"mbedtls_ssl_handshake\(?\)? (?:returned|failed|error)[ :]*(?:-|error|"
             r"\D{0,12}-?0x)*",
             r"mbedtls_ssl_\w+\(\) returned -\d+"),
    # A step of its own in the debug output, not a failure.
    *sayings(Kind.NOT, None, None, "mbedtls",
    r"handshake returned (?:0|-0x6900|-0x6880|-26880|-26752)",
             r"last tls stack error number: 0x0"),
    # wolfSSL.
    *sayings(Kind.FAILS, Reason.UNKNOWN_CA, _LOCAL, "wolfssl",
             r"asn no signer error to confirm failure", r"asn_no_signer_e"),
    *sayings(Kind.FAILS, Reason.NOT_YET_VALID, _LOCAL, "wolfssl",
             r"asn date error, current date (?:is )?before", "asn_before_date_e"),
    *sayings(Kind.FAILS, Reason.EXPIRED, _LOCAL, "wolfssl",
             r"asn date error, current date (?:is )?after", "asn_after_date_e"),
    *sayings(Kind.FAILS, Reason.BAD_SIGNATURE, _LOCAL, "wolfssl",
             r"asn sig error, confirm failure", "asn_sig_confirm_e", "verify_sign_error"),
    *sayings(Kind.FAILS, Reason.HOSTNAME_MISMATCH, _LOCAL, "wolfssl",
             r"peer subject name mismatch", r"peer ip address mismatch", "domain_name_mismatch",
             "ipaddr_mismatch"),
    *sayings(Kind.FAILS, Reason.NO_SHARED_CIPHER, _LOCAL, "wolfssl",
             r"can't match cipher suite", "unsupported cipher suite", "match_suite_error"),
    *sayings(Kind.FAILS, Reason.PROTOCOL_VERSION, _LOCAL, "wolfssl",
    r"record layer version error"),
    *sayings(Kind.FAILS, Reason.SELF_SIGNED, _LOCAL, "wolfssl",
    r"asn self ?-?signed certificate error"),
    *sayings(Kind.FAILS, Reason.CLIENT_CERT_REQUIRED, _LOCAL, "wolfssl",
             r"peer didn't send cert", r"peer didn't send key", r"no_peer_cert"),
    *sayings(Kind.FAILS, Reason.OTHER, _PEER, "wolfssl", r"received alert fatal error"),
    *sayings(Kind.FAILS, Reason.OTHER, _LOCAL, "wolfssl", r"asn parsing error, invalid input"),
    # BearSSL: names of the header, and the sentences of SSLClient and brssl.
    *sayings(Kind.FAILS, Reason.UNKNOWN_CA, _LOCAL, "bearssl",
             r"chain could not be linked to a trust anchor", "x509_not_trusted"),
    *sayings(Kind.FAILS, Reason.EXPIRED, _LOCAL, "bearssl",
             r"certificate is expired or not yet valid", "br_err_x509_expired"),
    *sayings(Kind.FAILS, Reason.HOSTNAME_MISMATCH, _LOCAL, "bearssl",
             r"expected server name was not found in the chain", "x509_bad_server_name"),
    *sayings(Kind.FAILS, Reason.BAD_SIGNATURE, _LOCAL, "bearssl",
             "br_err_x509_bad_signature", "br_err_bad_signature"),
    *sayings(Kind.FRAME, Reason.OTHER, _LOCAL, "bearssl", r"br_err_\w+",
    r"\(ssl_error\)\(m_\w+\)"),
    *sayings(Kind.NOT, None, None, "bearssl", r"br_err_ok", r"br_err_x509_ok"),
    # axTLS' ssl_display_error(): "Error: " and one of these. Its "Alert: " are received ones.
    *sayings(Kind.FAILS, Reason.OTHER, _LOCAL, "axtls",
    r"error: (?:invalid handshake|finished invalid)"),
    *sayings(Kind.SIDE, None, _PEER, "axtls", r"^\s*alert: \w+"),
    *sayings(Kind.FRAME, Reason.OTHER, _PEER, "axtls",
             r"^\s*alert: (?:unexpected|bad|record|handshake|unsupported|certificate|illegal|"
             r"unknown|"
             r"decode|decrypt|invalid|no|alert) .*"),
    *sayings(Kind.FAILS, Reason.PROTOCOL_VERSION, None, "axtls",
    r"^\s*(?:alert|error): invalid version"),
)  # fmt: skip

NUMBERS = (
    Number(
        pattern=re.compile(r"-0x([0-9A-Fa-f]{2,4})\b"),
        base=16,
        mark="-0x",
        meaning=MBEDTLS.get,
        library="mbedtls",
    ),
    Number(
        pattern=re.compile(r"(?:returned|start_ssl_client:|error:?|\() ?-(\d{2,5})\b"),
        base=10,
        mark="-",
        meaning=lambda number: MBEDTLS.get(number) if number > 0x2000 else None,
        library="mbedtls",
    ),
    Number(
        pattern=re.compile(
            r"(?:wolfSSL[^\n]*?(?:=|:|error|returned)|\berr(?:or)?(?: =|:)?|, Error|return "
            r"value =) "
            r"?-(\d{3})\b",
            re.IGNORECASE,
        ),
        base=10,
        mark=" -",
        meaning=_wolfssl,
        library="wolfssl",
    ),
    Number(
        pattern=re.compile(r"TLS connection error: (\d{1,3})\b"),
        base=10,
        mark="tls connection error",
        meaning=_bearssl,
        library="bearssl",
    ),
    Number(
        pattern=re.compile(
            r"(?:BearSSL|BSSL|br_ssl)[^\n]{0,60}?(?:err(?:or)?(?: code)?) ?[:=]? ?\(?(\d{1,3})\b"
        ),
        base=10,
        mark="ssl",
        meaning=_bearssl,
        library="bearssl",
    ),
    Number(
        pattern=re.compile(r"\bError: SSL error (\d{3})\b"),
        base=10,
        mark="ssl error",
        meaning=AXTLS.get,
        library="axtls",
    ),
)
