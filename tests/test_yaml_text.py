from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter import yaml_text
from exporter.errors import ConfigError
from exporter.yaml_text import as_text, parse_yaml, typed

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**15), max_value=10**15)
    | st.text(max_size=20).filter(lambda text: text.isprintable()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abc<", min_size=1, max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("2.5", 2.5),
        (".5", 0.5),
        ("1.0e3", 1000.0),
        ("yes", "yes"),
        ("off", "off"),
        ("007", "007"),
        ("12:30", "12:30"),
        ("0x1f", "0x1f"),
        (".inf", ".inf"),
        ("9" * 30, "9" * 30),
        ("2026-11-24", "2026-11-24"),
    ],
)
def test_an_unquoted_word_means_what_yaml_12_says(text: str, value: object) -> None:
    found = typed(text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("text", "value"), [("12", "12"), ("no", "no"), ("~", ""), ("null", "")])
def test_where_labels_are_wanted_every_word_is_text(text: str, value: str) -> None:
    assert parse_yaml(f"- {text}", "x", plain=as_text).data == [value]


def test_quoted_and_tagged_words_are_text() -> None:
    data = parse_yaml("['12', \"true\", !!str 13, ! 14]", "x")

    assert data.data == ["12", "true", "13", "14"]


def test_lines_are_known_for_keys_and_items() -> None:
    lines = parse_yaml("a:\n  b:\n    - 1\n    - {c: 2,\n       d: 3}\n", "x").lines

    assert lines.at(("a", "b")) == 2
    assert lines.at(("a", "b", 1, "d")) == 5
    assert lines.at(("a", "b", 1, "missing", "deep")) == 4
    assert lines.at(("nothing",)) == 1


def test_an_alias_stands_on_its_own_line_and_its_inside_where_it_was_written() -> None:
    lines = parse_yaml("a: &x\n  k: 1\nb: *x\n", "x").lines

    assert lines.at(("b",)) == 3
    assert lines.at(("b", "k")) == 2


def test_an_empty_text_is_nothing() -> None:
    assert parse_yaml("", "x").data is None


@given(VALUES)
def test_what_pyyaml_writes_is_read_as_it_was(value: object) -> None:
    text = yaml.safe_dump({"value": value})

    assert parse_yaml(text, "x").data == {"value": value}


@given(st.text(max_size=200))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    with suppress(ConfigError):
        parse_yaml(text, "x")


@given(st.text("[]{}:,&*a<! \n-?|>'\"", max_size=60))
def test_no_tangle_of_signs_does_anything_but_parse_or_be_refused(text: str) -> None:
    with suppress(ConfigError):
        parse_yaml(text, "x")


def test_without_libyaml_the_same_is_read_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_text, "_LOADER", yaml.SafeLoader)

    assert parse_yaml("a: [1, '2', !!str 3]\n", "x").data == {"a": [1, "2", "3"]}
    for text in ("a: [", "a: 1\na: 2", "- \x07", "!!python/name:os.system ''"):
        with pytest.raises(ConfigError):
            parse_yaml(text, "x")


def test_a_large_text_is_refused_without_aliases_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_text, "MAX_WEIGHT", 1_000)

    with pytest.raises(ConfigError, match="too large"):
        parse_yaml("[" + "1," * 100 + "]", "x")


@pytest.mark.parametrize("merged", ["1", "[1]", "[{a: 1}, x]"])
def test_only_mappings_are_merged(merged: str) -> None:
    with pytest.raises(ConfigError, match="<< takes a mapping"):
        parse_yaml(f"<<: {merged}", "x")


def test_a_quoted_merge_sign_is_a_key_like_any_other() -> None:
    assert parse_yaml("'<<': 1", "x").data == {"<<": 1}


def test_own_keys_win_over_merged_ones_and_keep_their_lines() -> None:
    document = parse_yaml("- &a {k: 1, l: 2}\n- &b {m: 3}\n-\n  k: 9\n  <<: [*a, *b]\n", "x")

    assert document.data == [{"k": 1, "l": 2}, {"m": 3}, {"k": 9, "l": 2, "m": 3}]
    assert document.lines.at((2, "k")) == 4
    assert document.lines.at((2, "l")) == 1
    assert document.lines.at((2, "m")) == 2
