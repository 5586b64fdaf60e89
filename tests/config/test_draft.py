import json

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import Config
from exporter.config.document import EXAMPLE
from exporter.config.draft import draft_of
from exporter.config.references import known_names, reference_findings, static_targets
from exporter.config.sentences import dotted
from exporter.errors import ConfigError
from exporter.yaml_text import parse_yaml

KEYS = sorted(
    {
        *Config.model_fields,
        *("static", "files", "http", "name", "address", "gateway", "holds", "mode", "users"),
        *("file", "url", "token", "interval", "allow", "push", "peers", "device_class", "x"),
    }
)
SCALARS = st.none() | st.booleans() | st.integers(-5, 10**18) | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS | st.sampled_from(["a:1", "30s", "off", "gw-1", "*.json", "http://a"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=15,
)


def checked(data: dict[str, object]) -> list[str]:
    """Run every check that touches no disk; return what is found."""
    draft, findings = draft_of(data)
    if draft is not None:
        known = known_names(draft, ("tls",), ("dtls",))
        findings += static_targets(draft, known)[1]
        findings += reference_findings(draft, known)
    return [f"{dotted(place)}: {text}" for place, text in findings]


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5))
def test_whatever_stands_in_the_file_ends_in_sentences(data: dict[str, object]) -> None:
    found = checked(data)

    assert all(text.isprintable() and len(text) < 1_000 for text in found)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(EXAMPLE)), st.integers(0, 30), st.text("[]{}:,'\" \nax1", max_size=4))
def test_however_the_example_is_damaged_it_ends_in_sentences(
    start: int, length: int, inserted: str
) -> None:
    try:
        data = parse_yaml(EXAMPLE[:start] + inserted + EXAMPLE[start + length :], "x").data
    except ConfigError:
        return
    if isinstance(data, dict):
        assert all(text.isprintable() for text in checked(data))


def test_a_sound_file_has_no_findings() -> None:
    data = parse_yaml(EXAMPLE, "x").data

    assert isinstance(data, dict)
    assert checked(data) == []
    assert checked(json.loads(json.dumps(data))) == []
