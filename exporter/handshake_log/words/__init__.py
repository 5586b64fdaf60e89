"""What TLS libraries and the programs on them say: ``SAYINGS`` and ``NUMBERS`` hold all."""

from exporter.handshake_log.words import (
    alerts,
    embedded,
    general,
    gnutls_nss,
    openssl,
    ordinary,
    runtimes,
    x509,
)
from exporter.handshake_log.words.saying import Number, Saying

SAYINGS: tuple[Saying, ...] = (
    *alerts.SAYINGS,
    *x509.SAYINGS,
    *openssl.SAYINGS,
    *embedded.SAYINGS,
    *gnutls_nss.SAYINGS,
    *runtimes.SAYINGS,
    *general.SAYINGS,
    *ordinary.SAYINGS,
)

NUMBERS: tuple[Number, ...] = (
    *openssl.NUMBERS,
    *alerts.NUMBERS,
    *x509.NUMBERS,
    *embedded.NUMBERS,
    *gnutls_nss.NUMBERS,
)
