"""Plain words by which any program says that a TLS handshake failed.

Written from the log calls of nginx, HAProxy, httpd, mosquitto, stunnel, Postfix, Dovecot, curl,
OpenVPN, FreeRADIUS, rsyslog (nsd_gtls.c, nsd_ossl.c, rsyslog.h), ESP-IDF esp-tls, the AWS and
Azure IoT SDKs, gRPC, Kafka and libwebsockets.
"""

from exporter.handshake_log.words.saying import WORTH, Kind, sayings
from exporter.observations import Reason, ToldBy

_LOCAL = ToldBy.LOCAL
_PEER = ToldBy.PEER
_TLS = r"(?:d?tls|ssl)(?:v?[\d.]+)?"
_SHAKE = r"hand ?shak\w*"
_FAILS = (
    r"(?:fail\w*|error|abort\w*|timed? ?out|timeout|unsuccessful|refused|rejected|interrupted)"
)
_WITH_PEER = rf"(?:{_SHAKE}|negotiation) (?:with|from|to|of|for) \S+"
_FAILING = r"(?:fail\w*|error|abort\w*|unable|not able|could not|couldn't|cannot|can't)"

FRAMES = (
    *sayings(
        Kind.FRAME, Reason.OTHER, None, None,
        # "TLS handshake failed", "SSL/TLS handshake has failed", "DTLS negotiation error".
        rf"{_TLS}(?:/(?:tls|ssl))?[ :]+(?:\w+ )?(?:{_SHAKE}|negotiation)[ :]+(?:\w+ "
        rf"){{0,3}}{_FAILS}",
        # "TLS handshake with 10.0.0.5:51234 failed".
        rf"{_TLS}(?:/(?:tls|ssl))? {_WITH_PEER} (?:\w+ ){{0,2}}{_FAILS}",
        # "failed to perform TLS handshake", "could not establish secure connection".
        rf"{_FAILING} (?:\S+ ){{0,5}}(?:\(?{_TLS}\)?|secure) (?:\w+ )?"
        rf"(?:{_SHAKE}|connection|session|negotiation)",
        rf"{_FAILING} (?:to )?(?:start|enable|establish|set ?up|open|accept|create|negotiate|"
        rf"initiate|complete)(?: \S+){{0,3}} {_TLS}",
        # The library's calls: "SSL_accept() failed", "SSL_connect: error", "SSL_do_handshake: -1".
        r"SSL[ _](?:accept|connect|do[ _]handshake|handshake)\(?\)? ?:? (?:\S+ ){0,3}?"
        r"(?:fail\w*|error\w*|returned -1|rc ?-1)",
        r"SSL_ ?(?:accept|connect|do_handshake) ?\(?\)? ?(?:fail\w*|error\w*|=? ?-\d+|: \w+)",
        r"(?:error|fail\w*) (?:\(\d+\) )?(?:in|on|from|during|at|calling) "
        r"SSL_ ?(?:accept|connect|do_handshake)",
        r"(?:TLS|SSL)_(?:accept|connect)[ :]+(?:fail\w*|error) in",
        # "TLS connection error", "SSL authentication failed", "TLS Error: …", "SSL error:".
        rf"{_TLS} (?:accept|connect|connection|authentication|session|client|server|transport|"
        r"upgrade|init|setup|peer) (?:\w+ ){0,2}?(?:error|failed|failure|refused|rejected|"
        r"aborted)",
        rf"{_TLS} ?(?:library|verification|peer|certificate|connect|fatal)? ?error"
        r"(?:\[\d+\]|: |:$| \(| occurred|\.$)",
        rf"fatal {_TLS} error", rf"(?:{_TLS})_error: .*",
        rf"{_TLS}[ _)]*(?:error)?[ _]negotiation[ _]fail\w*", r"error during negotiation",
        r"certificate (?:verif\w*|validation|check\w*|authentication) (?:\w+ )?"
        r"(?:fail\w*|error|unsuccessful)",
        r"failed authentication with \S+ \((?:ssl|errormessage=ssl)*",
        r"tls key negotiation failed", r"failed to do pre-tls reading",
        r"start_?tls (?:\w+ ){0,2}(?:failed|failure|error)", r"aborting handshake with peer",
        r"ssl ?socket ?error \(\d+\)", r"event_dtls_error",
        r"(?:tls|ssl) alert (?:received|sent)", r"start_ssl_client[:(].*(?:-\d+|fail)",
        r"connect to server failed!",
        # rsyslog.h: RS_RET_TLS_HANDSHAKE_ERR, RS_RET_TLS_CERT_ERR, RS_RET_TLS_NO_CERT.
        r"error -208[345]",
    ),
    # "handshake failed" is also said of SSH, AMQP and WebSocket: it needs TLS beside it.
    *sayings(
        Kind.HINTS, Reason.OTHER, None, None,
        rf"(?:{_SHAKE}|negotiation)[ :]+(?:\w+ ){{0,2}}{_FAILS}",
        rf"{_FAILING} (?:\S+ ){{0,6}}{_SHAKE}",
    ),
    # OpenVPN's control channel: refused before TLS, with TLS' own words.
    *sayings(
        Kind.FAILS, Reason.OTHER, _LOCAL, None,
        r"ssl connection to non ssl listener", r"tls (?:crypt|auth) unwrapping failed",
        r"cannot locate hmac in incoming packet", r"tls error: incoming packet authentication",
        worth=WORTH[Reason.CONNECTION_RESET] + 5,
    ),
)  # fmt: skip

CERTIFICATES = (
    *sayings(
        Kind.FAILS, Reason.VERIFY_FAILED, _LOCAL, None,
        r"certificate verif(?:y|ication) (?:failed|failure|error)",
        r"verif(?:y|ication) of (?:the )?(?:peer|server|client)?'?s? ?certificate failed",
        r"(?:tls|ssl) verification failed", r"certificate preverified not ok",
        rf"{_FAILING} (?:to )?verify (?:the )?(?:peer|server|client|remote|host|tls|ssl)?'?s? ?"
        r"certificate",
        r"(?:certificate|cert|chain|trust) (?:validation|authentication) (?:failed|failure|error)",
        r"(?:peer|server|client|remote) certificate (?:is |was )?"
        r"(?:invalid|rejected|refused|not accepted|untrusted|not valid|not trusted)",
        r"ssl certificate problem", r"(?:invalid|bad) (?:client|server|peer) certificate",
        r"certificate verify error", r"pre verification error",
        r"tls_process_(?:client|server)_certificate",
    ),
    *sayings(
        Kind.FAILS, Reason.UNKNOWN_CA, _LOCAL, None,
        r"cannot verify \S+ certificate, issued by*", r"client certificate not trusted",
        r"client ca chain cannot be verified", r"unable to locally verify the issuer'?s authority",
        r"certificate (?:was |is )?(?:signed|issued) by (?:an )?(?:unknown|untrusted) \w+",
        r"untrusted (?:root|issuer|ca)(?: certificate)?",
        r"(?:unknown|untrusted) certificate issuer",
        r"no trusted (?:root|ca)(?: certificate)? (?:found|available)",
    ),
    *sayings(
        Kind.FAILS, Reason.CLIENT_CERT_REQUIRED, _LOCAL, None,
        r"client sent no required ssl certificate", r"no required ssl certificate was sent",
        r"(?:peer|client) (?:did not|didn'?t|has not|does not) (?:return|provide|present|send|"
        r"supply)(?:ed|ted)? "
        r"(?:a |any |its )?(?:client |tls |ssl )?certificate",
        r"no client certificate (?:was )?(?:provided|presented|sent|received|found|given|"
        r"supplied)",
        r"client certificate (?:not|was not) (?:provided|presented|sent|supplied|received)",
        r"missing client certificate", r"client certificate is required but",
        r"peer did not present a (?:valid )?certificate",
    ),
    *sayings(
        Kind.FAILS, Reason.HOSTNAME_MISMATCH, _LOCAL, None,
        r"ssl certificate does not match", r"certificate does not match",
        r"certificate (?:subject )?(?:common )?name .{0,80}does(?: not|n't) match",
        r"(?:host ?name|server name|subject name|common name|cn|subjectaltname|ip address)s? "
        r"(?:\S+ ){0,3}(?:mismatch|does(?: not|n't) match|do not match)",
        r"no alternative certificate subject name matches", r"certificate name mismatch",
        r"common name invalid", r"host ?name verification (?:failed|error)",
        r"verify x509name error",
    ),
    # wget: "The certificate of 'gw' …".
    *sayings(
        Kind.FAILS, Reason.VERIFY_FAILED, _LOCAL, None, r"certificate of \S+ is not trusted",
    ),
    *sayings(Kind.FAILS, Reason.EXPIRED, _LOCAL, None, r"certificate of \S+ has expired"),
    *sayings(Kind.FAILS, Reason.NOT_YET_VALID, _LOCAL, None,
             r"certificate of \S+ is not yet activated"),
    *sayings(Kind.FAILS, Reason.REVOKED, _LOCAL, None, r"certificate of \S+ has been revoked"),
    # OpenVPN's own checks behind OpenSSL's.
    *sayings(Kind.FAILS, Reason.WRONG_USAGE, _LOCAL, None, r"verify (?:ku|eku|nscerttype) error"),
    *sayings(
        Kind.HINTS, Reason.WEAK_CRYPTO, _LOCAL, None,
        r"(?:key|dh|signature|digest|ca md|certificate) (?:\w+ ){0,2}too (?:weak|small|short)",
    ),
    *sayings(
        Kind.HINTS, Reason.EXPIRED, _LOCAL, None,
        r"(?:certificate|cert) (?:is|has|was|has been) expired",
        r"(?:expired|outdated) (?:\w+ )?cert(?:ificate)?",
        r"certificate validity (?:period )?(?:has )?expired",
    ),
    *sayings(
        Kind.HINTS, Reason.NOT_YET_VALID, _LOCAL, None,
        r"(?:certificate|cert) (?:is )?not yet (?:valid|active|activated)",
    ),
    *sayings(
        Kind.HINTS, Reason.REVOKED, _LOCAL, None,
        r"(?:certificate|cert) (?:is|was|has been) revoked",
    ),
    *sayings(
        Kind.HINTS, Reason.SELF_SIGNED, _LOCAL, None,
        r"self signed (?:server |client |peer )?cert(?:ificate)?",
    ),
    *sayings(
        Kind.HINTS, Reason.UNKNOWN_CA, _LOCAL, None,
        r"untrusted (?:server |client |peer )?certificate",
        r"certificate (?:is )?(?:not trusted|untrusted)", r"unable to get issuer",
        r"unknown (?:issuer|authority)",
    ),
    *sayings(
        Kind.HINTS, Reason.VERIFY_FAILED, _LOCAL, None,
        r"verify failed", r"verification failed", r"certificate (?:was )?rejected",
    ),
)  # fmt: skip

CONNECTIONS = (
    *sayings(
        Kind.FAILS, Reason.NOT_TLS, _LOCAL, None,
        r"client sent plain http request to https port",
        r"plain http request (?:was )?sent to https port", r"http spoken on https port",
        r"speaking plain http to an ssl enabled server port",
        r"plain ?text (?:http )?(?:connection|data|request|traffic) (?:\w+ ){0,3}(?:tls|ssl)",
        r"not (?:an? )?(?:valid )?(?:tls|ssl|ssl/tls) (?:client )?(?:record|connection|"
        r"handshake|traffic|hello)",
        r"does not look like (?:an? )?(?:tls|ssl)", r"non ssl connection (?:to|on)",
    ),
    *sayings(
        Kind.FAILS, Reason.HANDSHAKE_TIMEOUT, _LOCAL, None,
        rf"(?:tls|ssl)(?:/ssl)? (?:{_SHAKE} |negotiation |connect |accept )?(?:has )?(?:timed "
        rf"?out|timeout)",
        rf"(?:tls|ssl) {_WITH_PEER} (?:has )?(?:timed ?out|timeout)",
        rf"time(?:d )?out (?:during|in|while|waiting for)(?: \S+){{0,3}} (?:tls|ssl) "
        rf"(?:{_SHAKE}|negotiation)",
        r"key negotiation failed to occur within", r"ssl ?_?handshake ?_?timeout",
    ),
    *sayings(Kind.HINTS, Reason.HANDSHAKE_TIMEOUT, _LOCAL, None,
             rf"{_SHAKE}[ :]+(?:has )?(?:timed ?out|timeout)", r"timed ?out", r"timeout"),
    *sayings(
        Kind.FAILS, Reason.CONNECTION_RESET, _PEER, None,
        r"peer closed connection in ssl handshake",
        r"connection (?:was )?closed during ssl handshake",
        r"connection error during ssl handshake",
        r"(?:connection|socket|peer|client|server|remote)(?: \S+){0,3} "
        r"(?:closed|reset|dropped|hung up|terminated|lost)(?: \S+){0,4} (?:during|in|while|before)"
        rf"(?: \S+){{0,3}} (?:(?:tls |ssl ){_SHAKE}|secure)",
        r"ssl_connect: ssl_error_syscall", r"unexpected eof (?:during|in) (?:tls|ssl)",
    ),
    *sayings(
        Kind.HINTS, Reason.CONNECTION_RESET, _PEER, None,
        r"EOF", r"unexpected eof", r"end of file", r"broken pipe", r"econnreset", r"epipe",
        r"connection (?:was |has been )?(?:reset|closed|aborted|lost)"
        r"(?: by (?:peer|remote|foreign host|client|server))?",
        r"reset by peer", r"peer (?:closed|has closed|disconnected)", r"socket hang up",
        r"lost connection", r"suddenly disconnected",
        r"(?:client|server|remote|other side) (?:\w+ )?(?:closed|hung up|disconnected)",
        r"closed by (?:peer|client|server|remote|the remote host)", r"forcibly closed",
    ),
    *sayings(
        Kind.FAILS, Reason.NO_SHARED_CIPHER, _LOCAL, None,
        r"no (?:common|matching|shared|acceptable|usable|mutual\w*) (?:tls |ssl )?cipher(?:s| "
        r"?suites?)?",
        r"no cipher(?:s| ?suites?)? in common", r"cipher ?suite mismatch",
        r"no (?:common|shared|suitable) signature algorithms?",
    ),
    *sayings(
        Kind.HINTS, Reason.PROTOCOL_VERSION, _LOCAL, None,
        r"(?:unsupported|incompatible|wrong|invalid|bad) (?:tls|ssl|protocol|tls protocol) "
        r"version",
        r"(?:tls|ssl|protocol) version (?:mismatch|not supported|too (?:low|old|high))",
        r"no (?:common|shared|supported) (?:tls |ssl )?(?:protocol )?versions?",
    ),
)  # fmt: skip

SIDES = (
    *sayings(
        Kind.SIDE, None, _PEER, None,
        r"received (?:a )?(?:tls |ssl )?(?:fatal )?alert", r"recv (?:tls |ssl )?[\d.]* ?alert",
        r"peer sent (?:a )?(?:fatal )?alert", r"alert (?:received|read)",
        r"alert from (?:peer|client|server)", r"alert: read", r"got (?:a )?(?:fatal )?alert",
        r"\(in\), (?:tls|ssl)\S* (?:\S+ )?alert", r"is a fatal alert message",
        # GnuTLS, "A TLS fatal alert has been received"; Apple's boringssl_context, "read alert".
        r"alert (?:has been|was) received", r"read alert", r"alert (?:\w+ ){1,2}received",
        r"alert[ (:][^\n]{0,40} received from (?:the )?(?:peer|client|remote)",
    ),
    *sayings(
        Kind.SIDE, None, _LOCAL, None,
        r"(?:send|sent|sending) (?:a )?(?:tls |ssl )?[\d.]* ?(?:fatal )?alert",
        r"generated (?:a )?(?:fatal )?alert", r"alert: write", r"not permitted to talk to peer",
        r"\(out\), (?:tls|ssl)\S* (?:\S+ )?alert",
    ),
    *sayings(
        Kind.FRAME, Reason.OTHER, None, None,
        r"alert,? (?:level )?fatal", r"fatal alert", r"alert: fatal",
    ),
)  # fmt: skip

TOPICS = (
    *sayings(
        Kind.TOPIC, None, None, None,
        rf"*{_TLS}*", r"*certificat*", r"*cert(?:s|ificate)?", r"x\.?509", r"pkix", r"cipher\w*",
        r"mbedtls\w*", r"schannel", r"nss", r"*crt-bundle*", r"https", r"wss", r"mqtts",
    ),
    *sayings(
        Kind.TROUBLE, None, None, None,
        r"*err(?:or|ors)?", r"*error*", r"fail\w*", r"*failed", r"*failure", r"fatal", r"alert",
        r"reject\w*", r"refus\w*", r"den(?:y|ied)", r"abort\w*", r"*exception*", r"invalid\w*",
        r"unable", r"cannot", r"can't", r"could not", r"couldn't", r"problem\w*", r"bad",
        r"unknown", r"untrusted", r"mismatch", r"panick\w*", r"crit(?:ical)?", r"e!",
        r"not (?:ok|valid|trusted|permitted|allowed)", r"caused by", r"warn\w*",
    ),
)  # fmt: skip

SAYINGS = (*FRAMES, *CERTIFICATES, *CONNECTIONS, *SIDES, *TOPICS)
