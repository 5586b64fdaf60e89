"""HAProxy's configuration as sections of lines: read, changed and written again; pure."""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from exporter.gateway.agent.driver import Address, DriverError
from exporter.gateway.agent.terminator import repointed
from exporter.gateway.messages import Tickets

_SECTIONS = {
    "global", "defaults", "frontend", "backend", "listen", "peers", "resolvers", "mailers",
    "userlist", "program", "cache", "http-errors", "ring", "log-forward", "fcgi-app", "crt-store",
    "traces", "acme",
}  # fmt: skip
_LIFETIME_S = 7_200.0  # of a ticket where tune.ssl.lifetime is not set; measured with 2.6
BEGIN = "# fleet-tls-exporter's gateway agent: begin"
END = "# fleet-tls-exporter's gateway agent: end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section.

    Attributes:
        head: Its first line; empty for what stands before the first section.
        lines: The others, as they are written.
    """

    head: str
    lines: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Which section it is, like ``frontend``."""
        return next(iter(words_of(self.head)), "")


def words_of(line: str) -> list[str]:
    """Return the words of a line without quotes and comment; empty when it is not readable."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    try:
        return list(lexer)
    except ValueError:
        return line.partition("#")[0].split()


def parsed(text: str) -> tuple[Section, ...]:
    """Return the sections of a configuration file."""
    sections = [Section(head="")]
    for line in text.splitlines():
        if next(iter(words_of(line)), "") in _SECTIONS:
            sections.append(Section(head=line))
        else:
            last = sections[-1]
            sections[-1] = replace(last, lines=(*last.lines, line))
    return tuple(sections)


def written(sections: Iterable[Section]) -> str:
    """Return sections as the text of a configuration file."""
    lines = [line for section in sections for line in (section.head, *section.lines)]
    return "\n".join(lines).removeprefix("\n") + "\n"


def served_from(sections: Iterable[Section], current: Path, folder: Path) -> tuple[Section, ...]:
    """Return the sections as they would be if ``current`` were ``folder``."""
    return tuple(
        replace(section, lines=tuple(repointed(line, current, folder) for line in section.lines))
        for section in sections
    )


def lists_of(sections: Iterable[Section]) -> set[str]:
    """Return the files that ``crt-list`` names."""
    found = set()
    for section in sections:
        for words in map(words_of, section.lines):
            found |= {after for word, after in pairwise(words) if word == "crt-list"}
    return found


def with_lists(sections: Iterable[Section], copies: dict[str, Path]) -> tuple[Section, ...]:
    """Return the sections with other files for ``crt-list``."""

    def line_with(line: str) -> str:
        for name, copy in copies.items():
            line = re.sub(rf"(\bcrt-list\s+){re.escape(name)}(?=\s|$)", rf"\g<1>{copy}", line)
        return line

    return tuple(
        replace(section, lines=tuple(line_with(line) for line in section.lines))
        for section in sections
    )


def mentions(sections: Iterable[Section], path: Path) -> bool:
    """Whether any word of any line is or begins with this path."""
    return any(
        word == str(path) or word.startswith(f"{path}/")
        for section in sections
        for line in section.lines
        for word in words_of(line)
    )


def binds_of(section: Section, places: Sequence[Path]) -> list[str]:
    """Return a section's ``bind`` lines that serve a certificate from one of ``places``."""
    return [line for line in section.lines if _is_bind(line) and _names(line, places)]


def _is_bind(line: str) -> bool:
    return words_of(line)[:1] == ["bind"]


def _names(line: str, places: Sequence[Path]) -> bool:
    return any(
        word == str(place) or word.startswith(f"{place}/")
        for word in words_of(line)
        for place in places
    )


def has_several_certificates(sections: Iterable[Section], certificate: Path) -> bool:
    """Whether one ``bind`` line may show several: it names another one, a folder, or a list."""
    for words in (words_of(line) for section in sections for line in section.lines):
        named = [Path(after) for word, after in pairwise(words) if word == "crt"]
        is_folder = any(one in certificate.parents for one in named)
        if words[:1] == ["bind"] and ("crt-list" in words or len(named) > 1 or is_folder):
            return True
    return False


def tickets_of(sections: Iterable[Section], *, by_reload: bool) -> Tickets:
    """Return what another certificate does to session tickets.

    A runtime commit leaves keys and cache as they are. A reload drops both, but for keys that are
    read from a file.
    """
    lifetime_s, has_key_file = _LIFETIME_S, False
    for words in (words_of(line) for section in sections for line in section.lines):
        if words[:1] == ["tune.ssl.lifetime"] and len(words) > 1 and words[1].isdecimal():
            lifetime_s = float(words[1])
        has_key_file = has_key_file or "tls-ticket-keys" in words
    if by_reload and not has_key_file:
        return Tickets(kept=False)
    return Tickets(kept=True, lifetime_seconds=lifetime_s)


_PROCESS = {"daemon", "master-worker", "pidfile", "stats", "localpeer"}


def rehearsal(
    sections: Sequence[Section], places: Sequence[Path], address: Address
) -> tuple[Section, ...]:
    """Return a configuration that serves what ``places`` hold at ``address`` and nothing else.

    Frontend and backends are the operator's own, so that a device that comes is served as usual.

    Args:
        sections: With the certificate's folder in place of ``current``.
        places: That folder, and the lists of certificates that name it.
        address: Where to listen.

    Raises:
        DriverError: no ``bind`` line names one of ``places``.
    """
    done, found = [], False
    for section in sections:
        if section.kind in {"peers", "program"}:
            continue
        lines = list(section.lines)
        if section.kind == "global":
            lines = [line for line in lines if not _PROCESS & set(words_of(line)[:1])]
        ours = binds_of(section, places)[:1] if not found else []
        lines = [_moved(line, address) if line in ours else line for line in lines
                 if not _is_bind(line) or line in ours]  # fmt: skip
        found = found or bool(ours)
        done.append(replace(section, lines=tuple(lines)))
    if not found:
        raise DriverError(f"no bind line of HAProxy has a certificate of {places[0]}")
    return tuple(done)


def _moved(bind: str, address: Address) -> str:
    """Return a ``bind`` line with another address and without what two HAProxy cannot share."""
    indent, _, rest = bind.partition("bind")
    _, _, settings = rest.strip().partition(" ")
    return f"{indent}bind {address} {settings.replace('accept-proxy', '')}"


# --- logging ---------------------------------------------------------------------------------

_FORMAT_WORDS = {"log-format", "error-log-format"}
_LOG_OPTIONS = {"httplog", "tcplog", "httpslog"}


def without_ours(text: str) -> str:
    """Return a file without the lines that the agent added."""
    pattern = re.compile(rf"^{re.escape(BEGIN)}\n.*?^{re.escape(END)}\n", re.DOTALL | re.MULTILINE)
    return pattern.sub("", text)


def with_ours(text: str, lines: str) -> str:
    """Return a file with lines of the agent's at its end, where its ``defaults`` section is.

    Raises:
        DriverError: its last section is another.
    """
    own = without_ours(text)
    kind = parsed(own)[-1].kind
    if kind != "defaults":
        raise DriverError(
            "the last section of HAProxy's handshake_include must be a defaults section, so that"
            f" log formats can be added to it; it is {kind or 'no section at all'}"
        )
    gap = "" if own.endswith("\n") else "\n"
    return f"{own}{gap}{BEGIN}\n{lines}{END}\n"


def own_format(section: Section) -> str | None:
    """Return the line by which a section wins over the log formats of its defaults."""
    for line in section.lines:
        words = words_of(line)
        if _FORMAT_WORDS & set(words[:1]) or (
            words[:1] == ["option"] and _LOG_OPTIONS & set(words[1:2])
        ):
            return line.strip()
    return None
