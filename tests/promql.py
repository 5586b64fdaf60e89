"""What an expression of PromQL names: its selectors, and the labels it groups and joins by.

A tokenizer and the grammar's shape, no more: enough to tell a metric from a function, a label or
a keyword, wherever it stands. Whether an expression is right, Prometheus itself tells.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<duration>\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>[a-zA-Z_][a-zA-Z0-9_:]*)
    |(?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){}\[\],:@])
    """,
    re.VERBOSE,
)
_LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS = {*_LABEL_LISTS, "and", "or", "unless", "bool", "offset", "atan2", "Inf", "NaN"}
_MAKERS = {"label_replace": 1, "label_join": 1, "count_values": 0}
"""Functions that make a label, and which argument names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    label: str
    sign: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    metric: str
    matchers: tuple[Matcher, ...] = ()


@dataclass(slots=True, kw_only=True)
class Named:
    """What one expression names.

    Attributes:
        labels: Those it groups, joins or replaces by.
        made: Those that it makes itself.
    """

    selectors: list[Selector] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)


def named_in(expr: str) -> Named:
    """What ``expr`` names; raises ValueError where it is no PromQL."""
    tokens = list(_tokens(expr))
    found = Named()
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        follows = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if text in _LABEL_LISTS and kind == "word":
            at = _label_list(tokens, at + 1, found) if follows == "(" else at + 1
        elif text in _MAKERS and follows == "(":
            found.made.add(_argument(tokens, at + 1, _MAKERS[text]))
            at += 1
        elif text == "{" or (kind == "word" and _is_metric(text, follows)):
            at = _selector(tokens, at, found)
        else:
            at += 1
    return found


def _is_metric(word: str, follows: str) -> bool:
    """Whether ``word`` is no keyword, no function, and no aggregation (``sum by (x) (y)``)."""
    return word not in _WORDS and follows not in {"(", "by", "without"}


def _tokens(expr: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(expr):
        match = _TOKEN.match(expr, at)
        if match is None:
            raise ValueError(f"no PromQL at {expr[at : at + 20]!r}")
        at = match.end()
        if match.lastgroup != "space":
            yield str(match.lastgroup), match.group()


Tokens = Sequence[tuple[str, str]]


def _label_list(tokens: Tokens, at: int, found: Named) -> int:
    while tokens[at][1] != ")":
        if tokens[at][0] == "word":
            found.labels.add(tokens[at][1])
        at += 1
    return at + 1


def _argument(tokens: Tokens, at: int, index: int) -> str:
    """The text that is argument ``index`` of the call whose bracket is at ``at``."""
    depth = 0
    for kind, text in tokens[at:]:
        depth += (text in "([{" if kind == "sign" else 0) - (
            text in ")]}" if kind == "sign" else 0
        )
        if depth == 1 and text == ",":
            index -= 1
        elif index == 0 and kind == "text":
            return text[1:-1]
    raise ValueError("a call is not closed")


def _selector(tokens: Tokens, at: int, found: Named) -> int:
    metric = ""
    if tokens[at][0] == "word":
        metric = tokens[at][1]
        at += 1
    matchers = []
    if at < len(tokens) and tokens[at][1] == "{":
        at += 1
        while tokens[at][1] != "}":
            if tokens[at][1] == ",":
                at += 1
                continue
            (_, label), (_, sign), (_, value) = tokens[at : at + 3]
            matchers.append(Matcher(label=label, sign=sign, value=value[1:-1]))
            at += 3
        at += 1
    by_name = [one.value for one in matchers if one.label == "__name__" and one.sign == "="]
    rest = tuple(one for one in matchers if one.label != "__name__")
    found.selectors.append(Selector(metric=metric or "".join(by_name), matchers=rest))
    return at
