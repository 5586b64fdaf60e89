"""Words of lines that speak of TLS and trouble and yet tell of no failed handshake.

Setting up, renewing certificates, fetching OCSP answers and CRLs, other protocols' handshakes,
stack frames, and lines that only follow from a failure told on another line: that one counts.
"""

from exporter.handshake_log.words.saying import Kind, sayings

SAYINGS = (
    *sayings(
        Kind.NOT, None, None, None,
        # s_client goes on after its verify callback and prints the result again at the end.
        r"^\s*verify error:num=\d+:*", r"^\s*(?:verify return code|verification(?: error)?): .*",
        r"^\s*verify return:\d", r"\[dbg\] .*",
        # No error at all: "(TLS) error : 0", "no errors", "failed=0", "error=null".
        r"(?:tls|ssl)\)?(?: alert)? (?:errors?|error code)\s*[:=]\s*(?:0|none|null|nil|ok)",
        r"(?:error|err|reason)\W{1,3}(?:null|nil|none|no error|\"\"|success)",
        r"*(?:^|[\s\[(,;])(?:no|0|zero) (?:ssl |tls |handshake |certificate |new )?(?:errors?|"
        r"failures?|failed|rejected|"
        r"problems?|alerts?)",
        r"(?:errors|failed|failures|rejected|error count)\"?[:=] ?\"?0",
        r"without (?:any )?(?:errors?|problems?)",
        r"error queue (?:is )?empty", r"verify(?: result)? ?[:=] ?ok",
        r"last tls stack error number",
        # Certificates as files: reading, writing, issuing and renewing them.
        r"(?:renew(?:al|ed|ing|s)?|re ?issu\w+|issuance|acme|certbot|let'?s "
        r"?encrypt)[^a-z].*cert\w*",
        r"cert\w*[^a-z].*(?:renew(?:al|ed|ing|s)?|re ?issu\w+)",
        r"(?:will|about to|going to|soon|due to) expir\w+",
        r"expir(?:es|y|ation|ing) (?:in|on|at|date|soon)",
        r"(?:fail\w*|unable|error|cannot|could not|couldn't|can't) (?:to |while |in )?"
        r"(?:load|read|open|pars|configur|import|stat|initiali|writ|creat|find|"
        r"locat|us)\w* "
        r"(?:\S+ ){0,4}(?:certificates?|key|keypair|crl|cert|pem|private|files?|trust ?store|"
        r"key ?store|"
        r"ciphers?|context|ssl_ctx|credentials?|ca ?file|bundle)",
        r"(?:cert|key|ca|crl|pem|certificate)(?: ?file)? (?:not found|does not exist|not "
        r"readable|unreadable)",
        r"no such file or directory", r"permission denied", r"*cert_file_not_found",
        r"*(?:key|cert)file",
        # Revocation data, fetched beside the handshake.
        r"ocsp (?:respon\w+|status|staple|stapling|updat\w+|request|server|fetch\w*|cache|"
        r"queue) .*",
        r"(?:fetch|updat|download|refresh)\w* (?:of )?(?:the )?(?:ocsp|crls?)", r"*stapling*",
        r"ocsp_\w+", r"ocsp routines", r"requesting certificate status",
        r"(?:crl|ocsp)s? (?:update|refresh|download)\w*", r"crl distribution point",
        # Advice, forecasts and settings.
        r"(?:to this source )?will (?:fail|not work)",
        r"no (?:server )?certificate verification method",
        r"your certificate (?:is not yet valid|has expired)", r"more details here",
        r"(?:verification|verify\w*|validation) (?:is |was |has been )?(?:disabled|turned off|"
        r"off|skipped)",
        r"self ?signed certs? allowed", r"certificate verify locations",
        r"(?:dis|en)abl(?:ed|ing) (?:tls|ssl|certificate)", r"is not available in this version",
        # Other protocols' handshakes and checks.
        r"web ?socket (?:opening )?handshake", r"sec-websocket-\w+",
        r"handshake (?:from|with) auth server",
        r"(?:amqp|mqtt|smb|bgp|dht|noise|wireguard|auth|proxy|socks\d?|http2|h2|rlpx|libp2p) "
        r"handshake",
        r"authorization_(?:failure|error)",
        r"(?:invalid|wrong|bad) (?:user ?name or )?password", r"log ?in failed",
        # A request of an access log: its words are the client's.
        r"\"[A-Z]+ [^\"]* HTTP/[\d.]+\" \d{3} *", r"^[A-Z]{3,7} /[^ ]* HTTP/[\d.]+ .*",
        # What follows from a failure that another line tells.
        r"socket error on client*", r"rejected by cert at depth*", r"^\s*at [\w.$/<>@]+\(.*",
        r"^\s*at .*:\d+:\d+\)",
        r"^\s*file \".*\", line \d+*",
        r"^\s*\.\.\. \d+ more", r"self\._sslobj\.do_handshake\(\)",
        r"traceback \(most recent call last\)",
        r"sigusr1\[soft,tls.?error\]", r"\(repeated \d+ times\)",
        # What went well.
        r"connection (?:established|accepted|succeeded)",
        r"handshake (?:completed?|done|succe\w+|finished|ok)",
        r"certificate accepted", r"verify ok", r"verify script ok", r"success\w*: (?:tls|ssl)",
        r"successfully",
        # Test suites.
        r"^\s*(?:pass|skip)(?:ed)? ?(?:-|:)*", r"--- (?:pass|skip)", r"(?:passed|skipped)\s*$",
    ),
    # Of a session that is set up already.
    *sayings(
        Kind.LATE, None, None, None,
        r"(?:reading|writing) data",
        r"while (?:keepalive|closing|sending to client|reading upstream|"
        r"sending response|reading response)", r"after (?:the )?handshake", r"preface",
        r"close notify(?: alert)?",
    ),
)  # fmt: skip
