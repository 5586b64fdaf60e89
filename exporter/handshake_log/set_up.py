"""What a terminator's own configuration says about its log, where it can be read."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from exporter.handshake_log import advice
from exporter.handshake_log.silence import APACHE_AT_INFO, AT_DEFAULTS, SET_UP, Failing, listed

_MAX_FILES = 500
_MAX_BYTES = 1 << 20


class Sight(StrEnum):
    """What a source can show; the worst first."""

    BLIND = "blind"
    UNKNOWN = "unknown"
    PARTIAL = "partial"
    CLEAR = "clear"

    @property
    def badness(self) -> int:
        """The place in the order; the worst has the lowest."""
        return list(Sight).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One finding.

    Attributes:
        snippet: What to set, for pasting; None where nothing would help.
    """

    sight: Sight
    sentence: str
    snippet: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminators:
    """Folders or files in which terminators are configured."""

    nginx: Path = Path("/etc/nginx")
    haproxy: Path = Path("/etc/haproxy")
    mosquitto: Path = Path("/etc/mosquitto")
    apache: Path = Path("/etc/apache2")
    stunnel: Path = Path("/etc/stunnel")


SYSTEM = Terminators()

# nginx: https://nginx.org/en/docs/ngx_core_module.html#error_log; the level defaults to error
_NGINX = re.compile(r"^\s*error_log\s+(?P<file>[^\s;]+)(?:\s+(?P<level>\w+))?\s*;", re.MULTILINE)
_NGINX_ENOUGH = {"info", "debug"}
_DONT_LOG_NULL = re.compile(r"^\s*option\s+dontlognull\b", re.MULTILINE)
_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))#.*$")
_LOG_TYPE = re.compile(r"^\s*log_type\s+(?P<type>\w+)", re.MULTILINE)
_SILENT = re.compile(r"^\s*connection_messages\s+false\b", re.MULTILINE)
# LogLevel may name modules: https://httpd.apache.org/docs/2.4/mod/core.html#loglevel
_LOG_LEVEL = re.compile(r"^\s*LogLevel\s+(?P<levels>.+)$", re.MULTILINE | re.IGNORECASE)
_APACHE_ENOUGH = re.compile(
    r"(?:^|\s)(?:ssl(?:_module)?:)?(?:info|debug|trace[1-8])\b", re.IGNORECASE
)
_APACHE_ALL = re.compile(r"(?:^|\s)(?:ssl(?:_module)?:)?(?:debug|trace[1-8])\b", re.IGNORECASE)
_STUNNEL_DEBUG = re.compile(r"^\s*debug\s*=\s*(?:\w+\.)?(?P<level>\w+)", re.MULTILINE)
_STUNNEL_ENOUGH = {"info", "debug", "6", "7"}


def remarks_on(path: Path, writer: str | None, terminators: Terminators) -> Iterator[Remark]:
    """Yield what the configuration of the program that writes ``path`` says.

    Nothing where it cannot be read, or where it is not known who writes the file.
    """
    check = _CHECKS.get(writer or _by_name(path) or "")
    if check is not None:
        yield from check(path, terminators)


def snippet_for(writer: str | None) -> str | None:
    """Return the settings that make refusals show."""
    return _SNIPPETS.get(writer or "")


def successes_snippet_for(writer: str | None) -> str | None:
    """Return the settings that make good handshakes, full or resumed, show."""
    return _SUCCESSES.get(writer or "")


def _by_name(path: Path) -> str | None:
    words = str(path).lower()
    return next((name for name in _SNIPPETS if name in words), None)


def _nginx(path: Path, terminators: Terminators) -> Iterator[Remark]:
    text = _text_of(terminators.nginx, "*.conf", "sites-enabled/*")
    levels = {
        found["level"] or "error"
        for found in _NGINX.finditer(text)
        if _same_file(Path(found["file"]), path)
    }
    if not levels:
        return
    if levels & _NGINX_ENOUGH:
        yield _clear(
            f"nginx writes {path} at level {'/'.join(sorted(levels))}; its stream module logs"
            f" nothing of {listed(SET_UP['nginx'])}"
        )
        return
    yield Remark(
        sight=Sight.BLIND,
        sentence=f"nginx error_log at level {'/'.join(sorted(levels))}: the device's refusal is"
        " logged at info, as is every other failed handshake but"
        f" {listed(SET_UP['nginx'])} in stream",
        snippet=advice.NGINX_ERROR_LOG.replace("/var/log/nginx/error.log", str(path)),
    )


def _haproxy(_path: Path, terminators: Terminators) -> Iterator[Remark]:
    text = _text_of(terminators.haproxy, "*.cfg", "conf.d/*.cfg")
    if not text:
        return
    if re.search(r"^\s*error-log-format\b.*ssl_fc_err", text, re.MULTILINE) or re.search(
        r"^\s*option\s+httpslog\b", text, re.MULTILINE
    ):
        sentence = "HAProxy's error-log-format tells why a handshake failed"
        hidden = f"; option dontlognull keeps {listed(SET_UP['haproxy'])} out of the log"
        yield _clear(sentence + (hidden if _DONT_LOG_NULL.search(text) else ""))
        return
    yield Remark(
        sight=Sight.BLIND,
        sentence='HAProxy has no error-log-format with ssl_fc_err: it says just "SSL handshake'
        ' failure", not who refused or why',
        snippet=advice.HAPROXY_FORMATS,
    )


def _mosquitto(_path: Path, terminators: Terminators) -> Iterator[Remark]:
    text = _text_of(terminators.mosquitto, "*.conf", "conf.d/*.conf")
    if not text:
        return
    types = {found["type"] for found in _LOG_TYPE.finditer(text)}
    # mosquitto.conf(5): error, warning, notice and information where no log_type is given
    missing = sorted({"error", "notice"} - types) if types and "all" not in types else []
    if missing:
        what = " and ".join(missing)
        yield Remark(
            sight=Sight.BLIND,
            sentence=f"mosquitto has log_type lines without {what}: refused handshakes or their"
            " peers are not logged",
            snippet=advice.MOSQUITTO_LOG_TYPES,
        )
    elif _SILENT.search(text):
        yield Remark(
            sight=Sight.PARTIAL,
            sentence="mosquitto has connection_messages false: no failure can be attributed to a"
            " device",
            snippet=advice.MOSQUITTO_LOG_TYPES,
        )
    else:
        yield _clear(
            "mosquitto logs errors and connections; it writes nothing of"
            f" {listed(SET_UP['mosquitto'])} at any setting, and waits for ever for a silent one"
        )


def _apache(_path: Path, terminators: Terminators) -> Iterator[Remark]:
    text = _text_of(
        terminators.apache, "*.conf", "conf-enabled/*.conf", "mods-enabled/*", "sites-enabled/*"
    )
    levels = [found["levels"].strip() for found in _LOG_LEVEL.finditer(text)]
    if not text:
        return
    if any(_APACHE_ALL.search(level) for level in levels):
        yield _clear("Apache httpd has a LogLevel that shows every failed handshake")
        return
    if any(_APACHE_ENOUGH.search(level) for level in levels):
        yield _clear(
            "Apache httpd has a LogLevel that shows refusals;"
            f" {listed(APACHE_AT_INFO)} show at ssl:debug only"
        )
        return
    silent = listed(AT_DEFAULTS["apache"] - APACHE_AT_INFO - {Failing.DEVICE_REFUSES})
    yield Remark(
        sight=Sight.BLIND,
        sentence=f"Apache httpd has LogLevel {levels[-1] if levels else 'warn'}: the device's"
        f" refusal is logged at ssl:info, as are {silent}; at ssl:debug also"
        f" {listed(APACHE_AT_INFO)}",
        snippet=advice.APACHE_LOG_LEVEL,
    )


def _stunnel(_path: Path, terminators: Terminators) -> Iterator[Remark]:
    text = _text_of(terminators.stunnel, "*.conf", "conf.d/*.conf")
    if not text:
        return
    levels = {found["level"].lower() for found in _STUNNEL_DEBUG.finditer(text)} or {"notice"}
    if levels & _STUNNEL_ENOUGH:
        yield _clear("stunnel logs at level info")
        return
    yield Remark(
        sight=Sight.PARTIAL,
        sentence=f"stunnel logs at level {'/'.join(sorted(levels))}: good handshakes and"
        f" {listed(AT_DEFAULTS['stunnel'])} show at info only",
        snippet=advice.STUNNEL_DEBUG_LEVEL,
    )


def _go(_path: Path, _terminators: Terminators) -> Iterator[Remark]:
    yield _clear(
        "Go tells of each failed handshake by itself, and of no good one; it answers"
        f" {listed(SET_UP['go'])}, and writes nothing of it"
    )


def _clear(sentence: str) -> Remark:
    return Remark(sight=Sight.CLEAR, sentence=sentence)


def _same_file(configured: Path, path: Path) -> bool:
    try:
        return configured.resolve() == path.resolve()
    except OSError:
        return configured == path


def _text_of(place: Path, *patterns: str) -> str:
    """Return the configuration below ``place``, without comments and what cannot be read."""
    files = [place] if place.is_file() else []
    for pattern in patterns if place.is_dir() else ():
        files += sorted(place.rglob(pattern))[:_MAX_FILES]
    texts = []
    for file in dict.fromkeys(files):
        try:
            if file.is_file():
                with file.open("rb") as open_file:
                    texts.append(open_file.read(_MAX_BYTES).decode("utf-8", "replace"))
        except OSError:
            continue
    return _COMMENT.sub("", "\n".join(texts))


_CHECKS: Mapping[str, Callable[[Path, Terminators], Iterator[Remark]]] = {
    "nginx": _nginx,
    "haproxy": _haproxy,
    "mosquitto": _mosquitto,
    "apache": _apache,
    "stunnel": _stunnel,
    "go": _go,
}
_SNIPPETS: Mapping[str, str] = {
    "nginx": advice.NGINX_ERROR_LOG,
    "haproxy": advice.HAPROXY_FORMATS,
    "mosquitto": advice.MOSQUITTO_LOG_TYPES,
    "apache": advice.APACHE_LOG_LEVEL,
    "stunnel": advice.STUNNEL_DEBUG_LEVEL,
}
_SUCCESSES: Mapping[str, str] = {
    "nginx": advice.NGINX_STREAM_FORMAT,
    "haproxy": advice.HAPROXY_FORMATS,
    "stunnel": advice.STUNNEL_DEBUG_LEVEL,
}
