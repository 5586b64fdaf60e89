import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from exporter.durations import Duration, format_duration, parse_duration


class Section(BaseModel):
    wait: Duration = 5.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h30m", 5_400.0),
        ("14d", 1_209_600.0),
        ("1w", 604_800.0),
        ("1y", 31_536_000.0),
        ("100ms", 0.1),
        ("1y2w3d4h5m6s7ms", 33_019_506.007),
    ],
)
def test_a_prometheus_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-5s", "1.5h", "5 m", "5m ", "1s1m", "1m1m", "٣s", "5M", "1h" * 40]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write it as Prometheus does"):
        parse_duration(text)


def test_more_than_prometheus_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than the 292 years"):
        parse_duration("293y")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.25, "250ms"),
        (90.0, "1m30s"),
        (3_600.0, "1h"),
        (1_209_600.0, "2w"),
        (691_200.0, "8d"),
    ],
)
def test_seconds_are_written_as_prometheus_would(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=0, max_value=10**12))
def test_what_is_written_is_read_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(
        milliseconds / 1000
    )


@given(st.text(max_size=80))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return  # refused; how, is tested above
    assert 0 <= seconds < 2**63 / 1e9


def test_in_the_configuration_a_number_needs_its_unit() -> None:
    with pytest.raises(ValidationError, match=r"30 is not a duration; .* with a unit"):
        Section.model_validate_json('{"wait": 30}')


@pytest.mark.parametrize(("value", "seconds"), [('"2m"', 120.0), ("0", 0.0), ('"0s"', 0.0)])
def test_the_configuration_takes_text_and_a_bare_zero(value: str, seconds: float) -> None:
    assert Section.model_validate_json(f'{{"wait": {value}}}').wait == seconds


def test_python_takes_seconds() -> None:
    assert Section(wait=0.25).wait == 0.25


def test_false_is_no_zero() -> None:
    with pytest.raises(ValidationError, match="False is not a duration"):
        Section.model_validate({"wait": False})


def test_json_shows_it_as_it_is_written() -> None:
    assert Section(wait=90.0).model_dump(mode="json") == {"wait": "1m30s"}
