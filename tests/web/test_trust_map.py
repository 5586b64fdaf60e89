"""``GET /api/v1/trust-map``, and its place in the OpenAPI document."""

import json

import aiohttp

from exporter.anchors import trust_store
from exporter.trust_map.model import TrustMap
from exporter.web.api import openapi_document
from tests.pki import certificate_of, make_ca
from tests.web.serving import FakeService, device, serving
from tests.web.test_api import check_answer

CA = make_ca("fleet CA")
PREFIX = "TrustMap"


def schemas() -> dict[str, object]:
    """The model's schemas as they stand in the document, under names that nobody else has."""
    made = TrustMap.model_json_schema(
        mode="serialization", ref_template="#/components/schemas/{model}"
    )
    parts = made.pop("$defs")
    # a value or null: as the rest of the document says it
    text = json.dumps({PREFIX: made, **{f"{PREFIX}{name}": parts[name] for name in parts}})
    text = text.replace('"anyOf"', '"oneOf"')
    for name in parts:
        text = text.replace(f'schemas/{name}"', f'schemas/{PREFIX}{name}"')
    named: dict[str, object] = json.loads(text)
    return named


async def test_the_map_is_what_the_document_says() -> None:
    service = FakeService(
        targets=[device("dev-01", "gw-1", "fw")],
        stores=[trust_store("fw", [certificate_of(CA)])],
    )

    async with (
        serving(service) as (url, _),
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/v1/trust-map") as response,
    ):
        answer = await response.json()

    check_answer("/api/v1/trust-map", answer)
    (authority,) = TrustMap.model_validate_json(json.dumps(answer)).authorities
    assert authority.trusted_by[0].inventory_count == 1


def test_the_document_has_the_models_own_schemas() -> None:
    told = json.loads(openapi_document())["components"]["schemas"]

    assert {name: told[name] for name in schemas()} == schemas()
