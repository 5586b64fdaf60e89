import pytest

from exporter.web.negotiate import shard_in, wants_gzip, wants_openmetrics, wishes_in

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        pytest.param(PROMETHEUS_2_42, True, id="Prometheus 2.42"),
        pytest.param(PROMETHEUS_3, True, id="Prometheus 3"),
        pytest.param("", False, id="curl without a wish"),
        pytest.param("*/*", False, id="curl"),
        pytest.param("text/html,application/xhtml+xml,*/*;q=0.8", False, id="browser"),
        pytest.param("application/openmetrics-text", True, id="no version"),
        pytest.param("APPLICATION/OpenMetrics-Text", True, id="case"),
        pytest.param('application/openmetrics-text;version="1.0.0"', True, id="quoted"),
        pytest.param("application/openmetrics-text;version=0.0.1", False, id="old version"),
        pytest.param("application/openmetrics-text;version=2.0.0", False, id="future version"),
        pytest.param("application/openmetrics-text;q=0", False, id="refused"),
        pytest.param(
            "application/openmetrics-text;q=0.1,text/plain;q=0.9", False, id="text first"
        ),
        pytest.param("application/openmetrics-text;q=0.5,text/plain;q=0.5", True, id="equal"),
        pytest.param("application/openmetrics-text;q=much", False, id="not a quality"),
        pytest.param("application/openmetrics-text;q=nan", False, id="no number"),
        pytest.param("application/openmetrics-text;q=2", False, id="beyond one"),
        pytest.param(",,;q=1,;;,", False, id="garbage"),
    ],
)
def test_openmetrics_is_written_when_it_is_wanted_most(accept: str, openmetrics: bool) -> None:
    assert wants_openmetrics(accept) is openmetrics


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*", True),
        ("identity", False),
        ("", False),
    ],
)
def test_gzip_is_used_where_it_is_taken(accept_encoding: str, gzip: bool) -> None:
    assert wants_gzip(accept_encoding) is gzip


def test_a_header_of_thousands_of_wishes_is_read_in_part() -> None:
    assert len(list(wishes_in("text/plain," * 5_000))) == 50


@pytest.mark.parametrize(
    ("text", "shard"), [("1/1", (1, 1)), ("1/4", (1, 4)), ("4/4", (4, 4)), ("9/1000", (9, 1000))]
)
def test_a_shard_is_part_and_count(text: str, shard: tuple[int, int]) -> None:
    assert shard_in(text) == shard


@pytest.mark.parametrize(
    "text",
    ["", "1", "/", "1/", "/4", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "1/10000", "٣/٤", "1 /4",
     "1/1001", "a/b", "1.0/4"],
)  # fmt: skip
def test_a_crooked_shard_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not possible; write shard=PART/COUNT like 1/4"):
        shard_in(text)
