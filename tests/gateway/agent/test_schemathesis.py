"""The agent against the API's own document: whatever schemathesis makes up, right or wrong."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import CheckFunction
from schemathesis.core.result import Ok
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi import checks

from exporter.gateway.calls import CALLS, DEVICE_CALLS
from exporter.gateway.document import load_document
from tests.daemons import wait_until
from tests.gateway.agent.stand import TOKEN, options

CAMPAIGN = "FLEET_TLS_CAMPAIGN" in os.environ
ROOT = Path(__file__).resolve().parents[3]
SCHEMA = schemathesis.openapi.from_dict(load_document())
Case: TypeAlias = "schemathesis.Case[Any]"
OPERATIONS = {
    one.ok().definition.raw["operationId"]: one.ok()
    for one in SCHEMA.get_all_operations()
    if isinstance(one, Ok)
}


# ``positive_data_acceptance`` would take a chain of letters for a certificate
CHECKS: list[CheckFunction] = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.ignored_auth,
]


def checks_of(status: int) -> list[CheckFunction]:
    # These are refusals, too, which it does not know
    is_known = status not in {412, 413}
    return [one for one in CHECKS if is_known or one is not checks.negative_data_rejection]


def is_of_the_parser(response: schemathesis.Response) -> bool:
    """Whether aiohttp itself refused what is no HTTP, before there was a request."""
    return response.status_code == 400 and "text/plain" in response.headers["content-type"][0]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("agent")
    told, url_file = folder / "options.json", folder / "url"
    made = options(folder / "agent", ["dev-01", "0"])
    told.write_text(made.model_dump_json(exclude_unset=True))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.gateway.agent.doomed", told, url_file, "-1"], cwd=ROOT
    ) as process:
        try:
            wait_until(url_file.exists, within_s=40, what="the agent to listen")
            yield url_file.read_text()
        finally:
            process.terminate()


@pytest.mark.slow
@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("name", [*CALLS, *DEVICE_CALLS])
def test_the_agent_answers_as_its_document_says(url: str, name: str, mode: GenerationMode) -> None:
    strategy = OPERATIONS[name].as_strategy(generation_mode=mode)

    @settings(
        max_examples=300 if CAMPAIGN else 25,
        derandomize=not CAMPAIGN,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def holds(case: Case) -> None:
        response = case.call(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"})
        if is_of_the_parser(response):
            return
        case.validate_response(response, checks=checks_of(response.status_code))
        assert response.status_code != 500

    holds()
