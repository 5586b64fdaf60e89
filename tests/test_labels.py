import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.labels import certificate_text, label_value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gw-1", "gw-1"),
        ('say "hi"\\', 'say \\"hi\\"\\\\'),
        ("two\nlines", "two\\nlines"),
        ("nul\x00bell\x07tab\tdel\x7fnext\x85", "nul\ufffdbell\ufffdtab\ufffddel\ufffdnext\ufffd"),
        ("half\ud800", "half\ufffd"),
        ("zero\u200bwidth \u202eright to left", "zero\u200bwidth \u202eright to left"),
        ("Zürich", "Zürich"),
        ("", ""),
    ],
)
def test_a_label_value_is_escaped(text: str, shown: str) -> None:
    assert label_value(text) == shown


def test_a_plain_value_is_the_same_object() -> None:
    text = "dev-" + "01"

    assert label_value(text) is text


def test_a_certificates_text_is_cut_before_it_is_escaped() -> None:
    assert certificate_text('"' * 200) == '\\"' * 128


@given(st.text(alphabet=st.characters()))
def test_no_text_can_end_its_label_or_its_line(text: str) -> None:
    shown = label_value(text)

    shown.encode()
    assert "\n" not in shown
    assert "\x00" not in shown
    assert not shown.replace("\\\\", "").replace('\\"', "").count('"')
