"""Finds the other side of a connection in a line of unknown make."""

import re
from collections.abc import Mapping

# Masked parts ("x.x.x.x", "5.***5") are left in by people who publish their logs.
_V4 = r"(?:\d{1,3}|[xX*]{1,12}|\d?\*+\d?)(?:\.(?:\d{1,3}|[xX*]{1,12})){3}"
# Either "::" or all eight groups, so that a time of day is none.
_V6 = (
    r"(?=[0-9A-Fa-f:.]*::|(?:[0-9A-Fa-f]{1,4}:){6})(?:[0-9A-Fa-f]{0,4}:){2,7}"
    r"(?:[0-9A-Fa-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?:%\w+)?"
)
_PORT = r"(?::\d{1,5})"
_HOST = r"[A-Za-z0-9](?:[\w-]*\w)?(?:\.[A-Za-z0-9](?:[\w-]*\w)?)+"
_ADDRESS = rf"(?:\[{_V6}\]{_PORT}?|{_V4}{_PORT}?(?![\w.-])|{_V6}(?![\w:]))"
_ANY = rf"(?:{_ADDRESS}|<redacted>{_PORT}|{_HOST}{_PORT}?)"
# A bracket that opens an IPv6 address belongs to it.
_OPEN = rf"[\"'(<]{{0,2}}(?:\[(?!{_V6}\]))?"

# The first that matches tells; the more a phrase says about who is meant, the earlier it stands.
_RULES: tuple[re.Pattern[str], ...] = tuple(
    re.compile(pattern)
    for pattern in (
        # Go: the address is whatever stands before the colon, also when it is masked.
        r"TLS handshake error from (?P<peer>\S+?):? (?=\S)",
        r"rejected connection (?:from|on) \"?(?P<peer>[^\s\"(]+)",
        # nginx without its head: the upstream where it is the client, else the client.
        r", upstream: \"(?:[a-z0-9+]+://)?(?P<peer>\[[^\]\s]+\](?::\d+)?|[^/\"\s]+)",
        r", client: (?P<peer>[^\s,]+), server: ",
        # Go's net.OpError: local address, arrow, remote address.
        rf"->(?P<peer>{_ADDRESS})",
        r"\[(?:id: 0x\w+, )?L:\S+ [-!] R:(?P<peer>[^\s\]]+)",
        r"\brip=(?P<peer>[^\s,]+)",
        # Exim: "from name (helo) [address]:port".
        rf"\b(?:from|to|for) [\w.-]+ (?:\([^)]{{0,80}}\) )?\[(?P<peer>{_V4}|{_V6})\]",
        # Postfix: "from name[address]", "to name[address]:25".
        r"\b(?:from|to|for) (?P<peer>[\w.-]+\[[^\]\s]+\](?::\d{1,5})?)",
        r"(?P<peer>\[AF_INET6?\][0-9A-Fa-f:.]+\d)",
        # The certificate's own words: whose it is, or whom it is not for.
        r"VERIFY ERROR: depth=\d+, error=[^:]+: (?P<peer>.+?)(?:, serial=\S+)?\s*$",
        r"VERIFY \w+ ERROR: (?P<peer>.+?)(?:, must be .*)?$",
        r"for cert '(?P<peer>[^']+)'",
        r"x509: certificate is valid for .*, not (?P<peer>[^\s,;\"]+)",
        r"x509: cannot validate certificate for (?P<peer>[^\s,;\"]+)",
        r"but wanted to match (?P<peer>[^\s,;\"]+)",
        r"altnames: (?:IP: |Host: )(?P<peer>\S+?)\.? is not (?:in|cert)",
        r"\bmatching IP address (?P<peer>\S+) found",
        r"\b[Nn]o (?:subject alternative DNS )?name matching (?P<peer>\S+) found",
        r"\bAddress (?P<peer>\S+:\d+) Connection",
        rf"^\S+ Stats: (?P<peer>{_ADDRESS})",
        r"[Hh]ostname,? '?(?P<peer>[\w.:-]+)'?,? (?:doesn't match|not verified)",
        r"certificate is not valid for '(?P<peer>[^']+)'",
        r"certificate of [\u2018'\"](?P<peer>[^\u2019'\"]+)",
        r"[Cc]ertificate for <(?P<peer>[^>]+)> doesn't match",
        r"(?:target host name|does not match hostname) '(?P<peer>[^']+)'",
        r"cannot verify (?P<peer>\S+?)(?:'s|\u2019s) certificate",
        r"\brelp? conn to (?:clt |srvr? )?(?P<peer>[^\s']+)",
        r"\bconn to (?:clt |srvr? )(?P<peer>[^\s']+)",
        # HAProxy and its like begin a line with the client.
        rf"(?:^|\s)(?P<peer>{_ADDRESS}) \[\d\d/\w{{3}}/\d{{4}}:",
        # Words that name the other side.
        rf"\b(?:from|client|peer|remote|clt|addr(?:ess)?|ip|with|host ?name|endpoint|src|source|"
        rf"peername)"
        rf"(?: ?[:=])? ?{_OPEN}(?P<peer>/?{_ADDRESS})",
        rf"\b(?:handshake|authentication|connection|session|negotiation) (?:failed |error )?"
        rf"(?:with|from|to|for|on) (?:peer |client |server |host |broker "
        rf")?{_OPEN}(?P<peer>/?{_ANY})",
        rf"\b(?:[Hh]ost ?name|[Hh]ost|[Bb]roker|[Ss]erver)(?: ?[:=]) ?{_OPEN}(?P<peer>{_ANY})",
        # A URL of the one that was to be reached.
        rf"(?<![Ss]ee )(?<!try )\b(?:https|wss|mqtts|ssl|tls|grpcs|amqps|ldaps|ftps)://(?:[^\s/@\"]*@)?"
        rf"(?P<peer>{_ADDRESS}|{_HOST}{_PORT}?)",
        rf"\b(?:connect(?:ing|ion)?|connected|upgrade) (?:to|with) (?:\w+ "
        rf"){{0,2}}{_OPEN}(?P<peer>{_ANY})",
        rf"\bto {_OPEN}(?P<peer>{_ADDRESS})",
        r"\b[Ss]ubject ?[=:] ?['\"](?P<peer>[^'\"]+)",
    )
)
# Members of JSON lines and logfmt keys.
_KEYS = (
    "remote-addr", "remote_addr", "remoteAddr", "remote_address", "remoteAddress", "remote",
    "downstream_remote_address", "downstream_address", "peername", "peer", "peer_address",
    "client_addr", "client_address", "client_ip", "clientIp", "client", "source_ip", "sourceIp",
    "ip_address", "src", "addr", "address", "ip",
)  # fmt: skip
_PAIR = re.compile(
    rf"(?:^|[\s,{{(])(?:{'|'.join(map(re.escape, _KEYS))})=\"?(?P<peer>[^\s\",]+)", re.IGNORECASE
)
_ADDRESSLIKE = re.compile(rf"^/?{_ANY}$")
_SOLE = re.compile(rf"(?<![\w.:/#-])/?(?P<peer>{_ADDRESS})(?![\w-])")
_OWN = re.compile(
    r"(?:listen\w*|local|bind|lip|server|on port|version|v)[ =:\[\"']{0,3}$", re.IGNORECASE
)
_BEFORE = 16  # characters: a word of _OWN and what stands between
_TIME = re.compile(r"^\d{1,2}:\d{2}(?::\d{2})?")
_NOBODY = {"0.0.0.0", "::", "127.0.0.1:0"}  # noqa: S104 - recognised, not bound


def peer_in(text: str, fields: Mapping[str, str]) -> str | None:
    """Return the other side as it stands in ``text`` or ``fields``; None when there is none."""
    for key in _KEYS:
        value = fields.get(key)
        if value and (_ADDRESSLIKE.match(value) or ":" in value):
            return value
    for rule in _RULES:
        found = rule.search(text)
        if found is not None and not _TIME.match(found["peer"]):
            return found["peer"].rstrip(".,;")
    found = _PAIR.search(text)
    if found is not None and _ADDRESSLIKE.match(found["peer"]):
        return found["peer"]
    return _sole(text)


def _sole(text: str) -> str | None:
    """Return the one address of a line that holds one, unless it is the writer's own."""
    sole = None
    for match in _SOLE.finditer(text):
        peer = match["peer"]
        before = text[max(0, match.start() - _BEFORE) : match.start()]
        if peer in _NOBODY or peer == sole or _TIME.match(peer) or _OWN.search(before):
            continue
        if sole is not None:
            return None
        sole = peer
    return sole
