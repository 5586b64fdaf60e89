"""The table of drivers."""

import pytest
from pydantic import ValidationError

from exporter.gateway.agent.drivers import DRIVERS, Terminator


def test_each_driver_has_its_section_and_each_section_its_driver() -> None:
    assert set(DRIVERS) == set(Terminator.model_fields)


@pytest.mark.parametrize("text", ["{}", '{"embedded": null}'])
def test_exactly_one_terminator_is_configured(text: str) -> None:
    with pytest.raises(ValidationError):
        Terminator.model_validate_json(text)
