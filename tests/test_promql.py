import pytest

from tests.promql import Matcher, Named, Selector, named_in


def metrics(expr: str) -> list[str]:
    return [one.metric for one in named_in(expr).selectors]


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ("up", ["up"]),
        ("up == 0", ["up"]),
        ("job:up:sum", ["job:up:sum"]),
        ("sum by (job, x) (rate(a_total[5m]))", ["a_total"]),
        ("sum(rate(a_total[5m])) by (job)", ["a_total"]),
        ("a and on (job) b unless ignoring (x) c or d", ["a", "b", "c", "d"]),
        ("a * on (x) group_left (y) b", ["a", "b"]),
        ("a * on (x) group_left b", ["a", "b"]),
        ("time() - a > bool 5 offset 1h", ["a"]),
        ('label_replace(a, "x", "$1", "y", "(up)")', ["a"]),
        ("histogram_quantile(0.99, sum by (le) (a_bucket))", ["a_bucket"]),
        ("max_over_time(a[7d:1h]) @ 12", ["a"]),
        ("1e3 + .5 * a # b + c\n- d", ["a", "d"]),
        ('{__name__="a"}', ["a"]),
        ("topk(5, a)", ["a"]),
        ("a ^ -Inf", ["a"]),
    ],
)
def test_metrics_are_told_from_functions_labels_and_keywords(expr: str, names: list[str]) -> None:
    assert metrics(expr) == names


def test_matchers_are_found_with_their_sign_and_value() -> None:
    found = named_in("""a{x="1", y=~"b|c",z!='"}'}""")

    assert found == Named(
        selectors=[
            Selector(
                metric="a",
                matchers=(
                    Matcher(label="x", sign="=", value="1"),
                    Matcher(label="y", sign="=~", value="b|c"),
                    Matcher(label="z", sign="!=", value='"}'),
                ),
            )
        ]
    )


def test_labels_are_found_wherever_they_are_named() -> None:
    found = named_in(
        'sum by (a) (x) / on (b) group_left (c, d) label_replace(y{e="f"}, "g", "$1", "h", ".*")'
    )

    assert found.labels == {"a", "b", "c", "d"}
    assert found.made == {"g"}


def test_what_is_no_promql_is_said() -> None:
    with pytest.raises(ValueError, match="no PromQL at '& b'"):
        named_in("a & b")
