"""docs/management-api.md against the code."""

import re
from pathlib import Path

import yaml

from exporter.durations import parse_duration
from exporter.gateway import client, retries
from exporter.gateway.adapters import pages
from exporter.gateway.answers import LONGEST_RETRY_AFTER_S
from exporter.gateway.api import GatewayReason
from exporter.gateway.calls import CALLS, DEVICE_CALLS
from exporter.gateway.options import Options

PAGE = (Path(__file__).parents[2] / "docs" / "management-api.md").read_text("utf-8")
FLOWING = " ".join(PAGE.split())


def test_every_call_is_in_the_table_and_no_other() -> None:
    told = re.findall(r"^\| `((?:GET|POST|PUT) /[^`]+)` \|", PAGE, re.MULTILINE)

    every = [*CALLS.values(), *DEVICE_CALLS.values()]
    assert sorted(told) == sorted(f"{call.method} {call.path}" for call in every)


def test_every_reason_is_in_the_table_in_its_order() -> None:
    told = re.findall(r"^\| `(\w+)` \| .* \| .* \|$", PAGE, re.MULTILINE)

    assert told == [reason.value for reason in GatewayReason]


def test_the_limits_are_those_in_force() -> None:
    assert f"{client.MAX_ANSWER_BYTES >> 20} MiB of one answer" in FLOWING
    assert f"{client.MAX_ERROR_BYTES >> 10} KiB of an error" in FLOWING
    assert f"{pages.MAX_PAGES:,} pages, {pages.MAX_DEVICES:,} devices" in FLOWING
    assert f"{pages.MAX_BYTES >> 20} MiB of a device list" in FLOWING
    assert f"`Retry-After` up to {retries.LONGEST_PAUSE_S:g} s" in FLOWING
    assert retries.MAX_ATTEMPTS == 3
    assert LONGEST_RETRY_AFTER_S == 3_600


def test_the_example_is_what_options_take() -> None:
    example = yaml.safe_load(PAGE.partition("```yaml\n")[2].partition("```")[0])
    (api,) = example["management_apis"]

    options = Options.model_validate(api, strict=False)

    fields = Options.model_fields
    for key in ("timeout", "change_timeout", "poll_interval"):
        assert parse_duration(api[key]) == fields[key].default
    assert options.name == example["targets"]["static"][0]["management_api"]
