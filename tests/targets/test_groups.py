import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.targets import groups
from exporter.targets.entries import Known
from exporter.targets.groups import Form, Groups, groups_in

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["targets", "labels", "name"]) | st.text(max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


def read(body: str | bytes, form: Form = Form.JSON) -> Groups:
    data = body.encode() if isinstance(body, str) else body
    return groups_in(data, form, Known(), source="f")


def test_groups_are_read_from_json() -> None:
    found = read(
        '[{"targets": ["a:1", "b:2"], "labels": {"rollout_group": "x"}}, {"targets": []}]'
    )

    assert [(one.name, one.rollout_group) for one in found.targets] == [("a:1", "x"), ("b:2", "x")]
    assert found.dropped_count == 0


def test_groups_are_read_from_yaml_where_numbers_are_text_as_in_prometheus() -> None:
    found = read("- targets: ['a:1']\n  labels: {rollout_group: 7, job: ~}\n", Form.YAML)

    assert found.targets[0].rollout_group == "7"


def test_an_empty_list_is_no_targets() -> None:
    assert read("[]") == Groups()
    assert read("[]", Form.YAML) == Groups()


@pytest.mark.parametrize(
    ("body", "form", "why"),
    [
        ('[{"targets": ["a:1"', Form.JSON, "line 1: this is not JSON: "),
        ("", Form.JSON, "line 1: this is not JSON: "),
        ("", Form.YAML, "it is empty or not a list; no targets at all are written as []"),
        ("{}", Form.JSON, "it is empty or not a list"),
        ("null", Form.JSON, "it is empty or not a list"),
        ("a: 1", Form.YAML, "it is empty or not a list"),
        ("- targets: [\n", Form.YAML, "line 2: this is not YAML: "),
        (b"\n\xff", Form.JSON, "line 2: byte 0xff is not UTF-8"),
        ("[" * 100_000, Form.JSON, "nested too deep"),
        ("[" * 100_000, Form.YAML, "nested more than 40 levels deep"),
        ("[" + "9" * 5_000 + "]", Form.JSON, "integer string conversion"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_text_that_is_not_usable_as_a_whole_is_refused(
    body: str | bytes, form: Form, why: str
) -> None:
    with pytest.raises(ValueError, match=why.replace("[", r"\[")):
        read(body, form)


@pytest.mark.parametrize(
    ("group", "why"),
    [
        ("7", "a group is a mapping with `targets` and `labels`"),
        ('{"targets": "a:1"}', "`targets` is not a list of texts"),
        ('{"targets": [7]}', "`targets` is not a list of texts"),
        ('{"targets": ["x:1"], "labels": ["a"]}', "`labels` is not a mapping of texts"),
        (
            '{"targets": ["x:1"], "labels": {"name": 7}}',
            "the label 'name' is not text; put its value in quotes",
        ),
    ],
)
def test_a_group_of_the_wrong_shape_is_dropped_alone(group: str, why: str) -> None:
    found = read('[{"targets": ["a:1"]}, ' + group + ', {"targets": ["b:2"], "labels": null}]')

    assert [one.name for one in found.targets] == ["a:1", "b:2"]
    assert [(one.name, one.message) for one in found.dropped] == [("group 1", why)]


def test_of_very_many_dropped_entries_some_are_kept_and_all_counted() -> None:
    found = read(json.dumps([{"targets": ["nowhere"] * 5_000}]))

    assert found.dropped_count == 5_000
    assert len(found.dropped) == 1_000


def test_more_targets_than_can_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MAX_TARGETS", 3)

    with pytest.raises(ValueError, match="more than 3 targets"):
        read('[{"targets": ["a:1", "b:1", "c", "d:1"]}]')


@given(JSON_VALUES)
def test_no_json_does_anything_but_give_targets_or_be_refused(value: object) -> None:
    try:
        found = read(json.dumps(value))
    except ValueError:
        return
    assert found.dropped_count >= 0


@given(st.binary(max_size=100), st.sampled_from(Form))
def test_no_bytes_do_anything_but_give_targets_or_be_refused(body: bytes, form: Form) -> None:
    try:
        found = read(body, form)
    except ValueError:
        return
    assert not found.targets
