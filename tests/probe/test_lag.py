from exporter.probe.lag import BUCKETS_S, Lag


def test_a_delay_falls_into_the_bucket_that_holds_it() -> None:
    lag = Lag()

    for seconds in (0.0, 0.1, 0.11, 1000.0):
        lag.add(seconds)

    assert lag.counts == [2, 1, *([0] * (len(BUCKETS_S) - 2)), 1]
    assert lag.total_s == 1000.21


def test_a_quantile_is_a_delay_that_was_seen() -> None:
    lag = Lag()
    for number in range(1, 101):
        lag.add(float(number))

    assert (
        lag.quantile_s(0.0),
        lag.quantile_s(0.5),
        lag.quantile_s(0.99),
        lag.quantile_s(1.0),
    ) == (
        1.0,
        50.0,
        99.0,
        100.0,
    )


def test_without_a_look_there_is_no_quantile() -> None:
    assert Lag().quantile_s(0.99) is None


def test_only_the_latest_are_kept() -> None:
    lag = Lag()
    for _ in range(5_000):
        lag.add(9.0)
    for _ in range(4_096):
        lag.add(1.0)

    assert lag.quantile_s(1.0) == 1.0
    assert sum(lag.counts) == 9_096
