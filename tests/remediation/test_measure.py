"""What was measured after an act, beside what was forecast."""

from dataclasses import replace

from exporter.remediation.hands import Returned
from exporter.remediation.measure import beside, counts_of, measured, surprises
from exporter.remediation.model import Forecast
from tests.remediation.cases import INCIDENT, connecting, refusing

FLEET = replace(INCIDENT, devices=(refusing(1), refusing(2), connecting(3), connecting(4)))


def returned(back: str = "", refusing: str = "", by_ticket: str = "") -> Returned:
    def names(digits: str) -> set[str]:
        return {f"dev-0{digit}" for digit in digits}

    return Returned(back=names(back), by_ticket=names(by_ticket), refusing=names(refusing))


def test_who_was_out_and_is_in_gained_and_who_was_in_and_is_in_stayed() -> None:
    told = measured(FLEET, returned(back="13"))

    assert (told.gain, told.stay) == (("dev-01",), ("dev-03",))
    assert told.unknown == ("dev-02", "dev-04")


def test_who_was_in_and_refuses_lost_and_who_was_out_and_refuses_stayed() -> None:
    told = measured(FLEET, returned(back="24", refusing="14"))

    assert (told.loss, told.stay) == (("dev-04",), ("dev-01",))
    assert (told.gain, told.unknown) == (("dev-02",), ("dev-03",))


def test_a_ticket_proves_nothing() -> None:
    assert measured(FLEET, returned(by_ticket="1234")) == Forecast(
        unknown=("dev-01", "dev-02", "dev-03", "dev-04")
    )


def test_a_surprise_is_a_device_that_did_otherwise_than_was_known() -> None:
    forecast = Forecast(gain=("a", "b"), stay=("c",), unknown=("d", "e"))
    told = Forecast(gain=("a", "d"), loss=("c",), unknown=("b", "e"))

    assert surprises(forecast, told) == ("c",)
    assert surprises(forecast, Forecast(gain=("f",))) == ()


def test_both_are_kept_by_name() -> None:
    told = beside(Forecast(gain=("a",)), Forecast(stay=("a",)))

    assert told == {
        "forecast": {"gain": ["a"], "loss": [], "stay": [], "unknown": []},
        "measured": {"gain": [], "loss": [], "stay": ["a"], "unknown": []},
        "surprises": ["a"],
    }


def test_the_numbers_are_told_in_words() -> None:
    assert counts_of(Forecast(gain=("a", "b"))) == "gain 2, loss 0, stay 0, unknown 0"
