"""What became of each device after an act, beside what was forecast; pure."""

from collections.abc import Mapping
from dataclasses import fields

from exporter.remediation.forecast import connects_now
from exporter.remediation.hands import Returned
from exporter.remediation.model import Evidence, Forecast


def measured(evidence: Evidence, returned: Returned) -> Forecast:
    """Return who gained, lost, stayed, or was not heard of since, in the forecast's words.

    Only a full handshake is a gain and only a device's own refusal a loss: whoever came by a
    ticket, or not at all, is unknown.
    """
    kinds: dict[str, list[str]] = {"gain": [], "loss": [], "stay": [], "unknown": []}
    for device in evidence.devices:
        was_in, name = connects_now(device), device.device
        if name in returned.refusing:
            kinds["loss" if was_in else "stay"].append(name)
        elif name in returned.back:
            kinds["stay" if was_in else "gain"].append(name)
        else:
            kinds["unknown"].append(name)
    return Forecast(**{kind: tuple(names) for kind, names in kinds.items()})


def surprises(forecast: Forecast, told: Forecast) -> tuple[str, ...]:
    """Return the devices that did otherwise than was forecast, as far as both are known."""
    expected, found = _kinds(forecast), _kinds(told)
    return tuple(
        name
        for name, kind in found.items()
        if "unknown" not in {kind, expected.get(name, "unknown")} and kind != expected[name]
    )


def beside(forecast: Forecast, told: Forecast) -> Mapping[str, object]:
    """Return both lists by name, for the journal."""
    return {
        "forecast": names_json(forecast),
        "measured": names_json(told),
        "surprises": list(surprises(forecast, told)),
    }


def names_json(forecast: Forecast) -> Mapping[str, list[str]]:
    """Return the four lists for JSON."""
    return {field.name: list(getattr(forecast, field.name)) for field in fields(Forecast)}


def counts_of(forecast: Forecast) -> str:
    """Return the four numbers in words."""
    return ", ".join(
        f"{field.name} {len(getattr(forecast, field.name))}" for field in fields(Forecast)
    )


def _kinds(forecast: Forecast) -> Mapping[str, str]:
    return {name: kind for kind, names in names_json(forecast).items() for name in names}
