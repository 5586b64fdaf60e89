"""nginx's configuration as a tree: read, changed and written again; pure."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.gateway.agent.driver import Address, DriverError
from exporter.gateway.agent.terminator import repointed
from exporter.gateway.messages import Tickets

# ngx_conf_read_token: quotes and comments only where a word begins; a bare word ends at white
# space, ; and { but not at }
_TOKEN = re.compile(
    r"""\s+ | \#[^\n]*
    | (?P<mark>[;{}])
    | (?P<word> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | (?:\\.|\$\{[^}\s]*\}|[^\s;{\\])+ )""",
    re.VERBOSE | re.DOTALL,
)
_CODE = "_by_lua_block"
_BRACE = re.compile(r"[{}]")
_DEFAULT_TIMEOUT_S = 300.0  # ssl_session_timeout
_TIME = re.compile(r"(\d+)(ms|[smhdwMy]?)")
_UNITS_S = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800,
            "M": 2_592_000, "y": 31_536_000}  # fmt: skip
CONTEXTS = ("http", "stream")
"""Blocks that hold the servers; ``mail`` has none that the agent could prove."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """One directive.

    Attributes:
        words: As they are written, quotes and all; the first is its name.
        block: None for one that ends in a semicolon.
        code: The text of a Lua block, kept as it is.
    """

    words: tuple[str, ...]
    block: tuple["Directive", ...] | None = None
    code: str | None = None

    @property
    def name(self) -> str:
        """Which directive it is; empty for a block without a name (there is none in nginx)."""
        return self.words[0] if self.words else ""

    @property
    def values(self) -> tuple[str, ...]:
        """Its arguments without quotes."""
        return tuple(unquoted(word) for word in self.words[1:])


Change = Callable[[Directive, tuple[str, ...]], Iterable[Directive]]
"""Gives what stands in a directive's place; it is told the names of the blocks around it."""


def unquoted(word: str) -> str:
    """Return a word without its quotes."""
    return word[1:-1] if len(word) >= 2 and word[0] in "\"'" and word[-1] == word[0] else word


def parsed(text: str, place: str) -> tuple[Directive, ...]:
    """Return the directives of a configuration file.

    Raises:
        DriverError: it is not one; ``place`` and the line are named.
    """
    return _Parser(text, place).directives()


class _Parser:
    """One pass over a text; open blocks are a stack."""

    def __init__(self, text: str, place: str) -> None:
        self._text = text
        self._place = place
        self._at = 0
        self._blocks: list[list[Directive]] = [[]]
        self._heads: list[tuple[str, ...]] = []
        self._words: tuple[str, ...] = ()

    def directives(self) -> tuple[Directive, ...]:
        while self._at < len(self._text):
            token = _TOKEN.match(self._text, self._at)
            if token is None:
                raise self._fault()
            self._at = token.end()
            if token["word"] is not None:
                self._words += (token["word"],)
            elif token["mark"] is not None:
                self._mark(token["mark"])
        if self._heads or self._words:
            raise self._fault()
        return tuple(self._blocks[0])

    def _mark(self, mark: str) -> None:
        if mark == "}":
            if not self._heads or self._words:
                raise self._fault()
            block = tuple(self._blocks.pop())
            self._blocks[-1].append(Directive(words=self._heads.pop(), block=block))
            return
        words, self._words = self._words, ()
        if mark == ";":
            self._blocks[-1].append(Directive(words=words))
        elif words and words[0].endswith(_CODE):
            self._blocks[-1].append(Directive(words=words, code=self._code()))
        else:
            self._heads.append(words)
            self._blocks.append([])

    def _code(self) -> str:
        """Take a Lua block up to its closing brace."""
        begin, depth = self._at, 1
        while depth:
            found = _BRACE.search(self._text, self._at)
            if found is None:
                raise self._fault()
            depth += 1 if found.group() == "{" else -1
            self._at = found.end()
        return self._text[begin : self._at - 1]

    def _fault(self) -> DriverError:
        line = self._text.count("\n", 0, self._at) + 1
        return DriverError(
            f"nginx's configuration {self._place}:{line} cannot be read; see what nginx -t says"
        )


def written(directives: Iterable[Directive], indent: str = "") -> str:
    """Return directives as the text of a configuration file."""
    lines = []
    for directive in directives:
        head = indent + " ".join(directive.words)
        if directive.code is not None:
            lines.append(f"{head} {{{directive.code}}}\n")
        elif directive.block is None:
            lines.append(f"{head};\n")
        else:
            lines.append(f"{head} {{\n{written(directive.block, indent + '  ')}{indent}}}\n")
    return "".join(lines)


def changed(
    directives: Iterable[Directive], change: Change, around: tuple[str, ...] = ()
) -> tuple[Directive, ...]:
    """Return a tree with ``change`` made to each directive, the inner ones afterwards."""
    done: list[Directive] = []
    for directive in directives:
        for new in change(directive, around):
            if new.block is None:
                done.append(new)
            else:
                inner = changed(new.block, change, (*around, new.name))
                done.append(replace(new, block=inner))
    return tuple(done)


def walked(
    directives: Iterable[Directive], around: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Directive]]:
    """Yield every directive with the names of the blocks around it."""
    for directive in directives:
        yield around, directive
        if directive.block is not None:
            yield from walked(directive.block, (*around, directive.name))


def named(directives: Iterable[Directive], name: str) -> list[Directive]:
    """Return all directives of this name, at any depth."""
    return [directive for _, directive in walked(directives) if directive.name == name]


def served_from(
    directives: Sequence[Directive], current: Path, folder: Path
) -> tuple[Directive, ...]:
    """Return the tree as it would be if ``current`` were ``folder``."""

    def change(directive: Directive, _around: tuple[str, ...]) -> Iterable[Directive]:
        words = tuple(repointed(word, current, folder) for word in directive.words)
        return (replace(directive, words=words),)

    return changed(directives, change)


def serves(directive: Directive, folder: Path) -> bool:
    """Whether a server's own certificate, or one chosen by a variable, is from ``folder``."""
    certificates = [
        value
        for found in named(directive.block or (), "ssl_certificate")
        for value in found.values
    ]
    return any("$" in path or path.startswith(f"{folder}/") for path in certificates)


def names_certificate(directives: Sequence[Directive], folder: Path) -> bool:
    """Whether a certificate is from ``folder``, or may be by a variable that is set to it."""
    paths = [v for found in named(directives, "ssl_certificate") for v in found.values]
    if any(path.startswith(f"{folder}/") for path in paths):
        return True
    is_mentioned = any(
        unquoted(word) == str(folder) or unquoted(word).startswith(f"{folder}/")
        for _, found in walked(directives)
        for word in found.words
    )
    return is_mentioned and any("$" in path for path in paths)


def has_several_certificates(directives: Sequence[Directive]) -> bool:
    """Whether one server may show several: two of its own or inherited, or by a variable."""
    certificates = [(around, d) for around, d in walked(directives) if d.name == "ssl_certificate"]
    if any("$" in value for _, found in certificates for value in found.values):
        return True
    blocks = [directives, *(d.block for _, d in walked(directives) if d.block is not None)]
    return any(sum(d.name == "ssl_certificate" for d in block) > 1 for block in blocks)


def servers_of(
    directives: Iterable[Directive], folder: Path
) -> list[tuple[tuple[str, ...], Directive]]:
    """Return the servers with the certificate of ``folder``, each with the blocks around it."""
    return [
        (around, found)
        for around, found in walked(directives)
        if found.name == "server" and around[:1] in {(name,) for name in CONTEXTS}
        if len(around) == 1 and serves(found, folder)
    ]


def tickets_of(directives: Sequence[Directive]) -> Tickets:
    """Return what a reload with another certificate does to session tickets.

    The certificates that are read at a reload are hashed into the context of a session, and
    sessions of another context are refused, whoever keeps the ticket keys (measured: 1.22). A
    certificate chosen by a variable is not in that hash: there old sessions live on where their
    keys do, and since 1.23.2 a shared cache keeps those.
    """
    is_chosen = any("$" in v for d in named(directives, "ssl_certificate") for v in d.values)
    keeps_keys = bool(named(directives, "ssl_session_ticket_key")) or any(
        value.startswith("shared:")
        for found in named(directives, "ssl_session_cache")
        for value in found.values
    )
    if not (is_chosen and keeps_keys):
        return Tickets(kept=False)
    times = [_seconds(v) for d in named(directives, "ssl_session_timeout") for v in d.values]
    return Tickets(kept=True, lifetime_seconds=max(times, default=_DEFAULT_TIMEOUT_S))


def _seconds(text: str) -> float:
    """Return the seconds of nginx's ``1h 30m`` or ``300``."""
    return float(sum(int(count) * _UNITS_S[unit] for count, unit in _TIME.findall(text)))


_OURS = {"pid", "daemon", "master_process", "worker_processes", "error_log"}
_CACHES = ("proxy", "fastcgi", "scgi", "uwsgi")


def rehearsal(
    directives: Sequence[Directive], folder: Path, *, address: Address, pid_file: Path
) -> tuple[Directive, ...]:
    """Return a configuration that serves ``folder`` at ``address`` and nothing else.

    Servers and upstreams are the operator's own, so that a device that comes is served as usual;
    what two nginx cannot share (pid file, cache folders) is left out.

    Raises:
        DriverError: no server has its certificate from ``folder``.
    """
    servers = servers_of(directives, folder)
    if not servers:
        raise DriverError(f"no server block of nginx has a certificate of {folder}")
    context = servers[0][0][0]
    # stream (1.22) has no names to tell two servers at one address apart
    chosen = [d for around, d in servers if around[0] == context]
    chosen = chosen[:1] if context == "stream" else chosen
    unwanted = (_OURS | {*CONTEXTS, "mail"}) - {context}

    def change(directive: Directive, around: tuple[str, ...]) -> Iterable[Directive]:
        if not around:
            return () if directive.name in unwanted else (directive,)
        if directive.name == "server" and around == (context,):
            return (_at(directive, address),) if directive in chosen else ()
        if directive.name in {f"{kind}_cache_path" for kind in _CACHES}:
            return ()
        if directive.name in {f"{kind}_cache" for kind in _CACHES}:
            return (Directive(words=(directive.name, "off")),)
        return (directive,)

    own = ("daemon off", "worker_processes 1", f"pid {pid_file}", "error_log stderr error")
    heads = tuple(Directive(words=tuple(line.split())) for line in own)
    return (*heads, *changed(directives, change))


def _at(server: Directive, address: Address) -> Directive:
    """Return a server that listens at ``address`` alone."""
    listens = [d for d in server.block or () if d.name == "listen"]
    speaks_http2 = any("http2" in found.values for found in listens)
    listen = Directive(words=("listen", str(address), "ssl", *(["http2"] if speaks_http2 else [])))
    rest = tuple(d for d in server.block or () if d.name != "listen")
    return replace(server, block=(listen, *rest))
