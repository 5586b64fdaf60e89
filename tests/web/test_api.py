import json
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from exporter.observations import Observation, Reason
from exporter.targets.model import Inventory
from exporter.web.api import openapi_document
from tests.pki import certificate_of, make_ca, make_leaf
from tests.web.serving import FakeService, device, gateway, serving, store_of

CA = make_ca("api CA")
CHAIN = (certificate_of(make_leaf(CA, "gw.example")), certificate_of(CA))
NOW = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the judge's clock is real here


def seen(name: str, address: str) -> Observation:
    return Observation(
        target=name, address=address, observed_at=NOW, connected=True, handshake=True, chain=CHAIN
    )


def fleet() -> FakeService:
    service = FakeService(
        targets=[
            gateway("gw-good", "192.0.2.1:1", "fw", server_name="gw.example"),
            gateway("gw-wrong-name", "192.0.2.2:1", "fw", server_name="other.example"),
            gateway("gw-dead", "192.0.2.3:1", "fw"),
            gateway("gw-new", "192.0.2.4:1", "fw"),
            device("dev-1", "gw-good", "fw"),
            device("dev-2", "gw-wrong-name", "fw"),
            device("dev-3", "gw-good"),
        ],
        stores=[store_of("fw", certificate_of(CA))],
    )
    service.fleet.record(seen("gw-good", "192.0.2.1:1"))
    service.fleet.record(seen("gw-wrong-name", "192.0.2.2:1"))
    service.fleet.record(
        Observation(
            target="gw-dead",
            address="192.0.2.3:1",
            observed_at=NOW,
            reason=Reason.CONNECT_REFUSED,
            detail="nothing listens there",
        )
    )
    return service


async def ask(
    query: str, service: FakeService | None = None, *, page: str = "targets"
) -> tuple[int, dict[str, Any]]:
    async with (
        serving(service or fleet()) as (url, _),
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/v1/{page}{query}") as answer,
    ):
        return answer.status, await answer.json()


async def names(query: str) -> list[str]:
    _, body = await ask(query)
    return [item["name"] for item in body["items"]]


async def test_a_target_is_shown_with_all_that_is_known() -> None:
    _, body = await ask("?limit=1000")
    item = next(item for item in body["items"] if item["name"] == "gw-good")

    assert item["success"] is True
    assert item["address"] == "192.0.2.1:1"
    assert item["server_name"] == "gw.example"
    assert [one["subject"] for one in item["chain"]] == ["CN=gw.example", "CN=api CA"]
    assert item["trust_stores"][0]["verified"] is True
    assert item["last_attempt_at"] == NOW.isoformat().replace("+00:00", "Z")
    assert body["nextCursor"] is None


async def test_what_is_not_known_is_null() -> None:
    _, body = await ask("?problem=unknown")
    [item] = body["items"]

    assert item["name"] == "gw-new"
    assert {
        item[key] for key in ("success", "handshake", "verified", "tls_version", "detail")
    } == {None}
    assert item["chain"] == []


async def test_a_device_says_whether_it_accepts_its_gateway() -> None:
    _, body = await ask("")
    told = {item["name"]: item["accepts_gateway"] for item in body["items"]}

    assert told["dev-1"]["accepts"] is True
    assert told["dev-2"]["accepts"] is False
    assert told["dev-2"]["reasons"] == ["hostname_mismatch"]
    assert told["dev-3"] is None


async def test_a_failed_look_is_shown_with_its_sentence() -> None:
    _, body = await ask("?problem=connect_refused")
    [item] = body["items"]

    assert item["name"] == "gw-dead"
    assert item["handshake"] is False
    assert item["detail"] == "nothing listens there"
    assert item["failures"] == {"connect_refused": 1}


@pytest.mark.parametrize(
    ("problem", "found"),
    [
        ("any", ["dev-2", "gw-dead", "gw-wrong-name"]),
        ("none", ["dev-1", "dev-3", "gw-good", "gw-new"]),
        ("hostname_mismatch", ["dev-2", "gw-wrong-name"]),
        ("revoked", []),
        ("", ["dev-1", "dev-2", "dev-3", "gw-dead", "gw-good", "gw-new", "gw-wrong-name"]),
    ],
)
async def test_targets_are_found_by_problem(problem: str, found: list[str]) -> None:
    assert await names(f"?problem={problem}") == found


async def test_pages_follow_each_other_without_gap_or_repetition() -> None:
    service, cursor, found = fleet(), "", list[str]()
    for _ in range(10):
        _, body = await ask(f"?limit=2&cursor={cursor}", service)
        found += [item["name"] for item in body["items"]]
        cursor = body["nextCursor"]
        if cursor is None:
            break

    assert found == sorted(service.snapshot().targets)
    assert cursor is None


async def test_a_page_goes_on_behind_a_name_that_has_gone() -> None:
    _, first = await ask("?limit=3")
    service = fleet()
    before = service.snapshot()
    left = {name: known.target for name, known in before.targets.items() if name != "dev-3"}
    service.fleet.use(Inventory(targets=left), before.stores)

    _, second = await ask(f"?cursor={first['nextCursor']}", service)

    assert [item["name"] for item in second["items"]] == [
        "gw-dead",
        "gw-good",
        "gw-new",
        "gw-wrong-name",
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?limit=0", "limit '0' is not possible; 1 to 1000 are"),
        ("?limit=1001", "limit '1001' is not possible; 1 to 1000 are"),
        ("?limit=ten", "limit 'ten' is not possible; 1 to 1000 are"),
        ("?limit=-1", "limit '-1' is not possible; 1 to 1000 are"),
        ("?cursor=%21%21", "cursor '!!' is not one of ours; take it from nextCursor"),
        ("?cursor=_____w", "cursor '_____w' is not one of ours; take it from nextCursor"),
        ("?problem=x%1b[31m", "problem 'x\\x1b[31m' is not known; there are: any, none, unknown"),
    ],
)
async def test_a_crooked_question_is_refused_with_a_sentence(query: str, message: str) -> None:
    status, body = await ask(query)

    assert status == 400
    assert body["error"]["code"] == "bad_request"
    assert body["error"]["message"].startswith(message)


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def check(document: dict[str, Any], schema: dict[str, Any], value: object, place: str) -> None:
    """The part of JSON Schema that the document uses; a key it does not name is a fault."""
    schema = resolve(document, schema)
    if "oneOf" in schema:
        if value is not None:
            check(document, schema["oneOf"][0], value, place)
        return
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    types = {
        "string": str, "integer": int, "boolean": bool, "null": type(None), "array": list,
        "object": dict, "number": float,
    }  # fmt: skip
    assert any(isinstance(value, types[kind]) for kind in kinds), place
    assert value in schema.get("enum", [value]), place
    if isinstance(value, list):
        for index, item in enumerate(value):
            check(document, schema["items"], item, f"{place}[{index}]")
    if isinstance(value, dict) and "properties" in schema:
        assert set(value) == set(schema["properties"]) == set(schema["required"]), place
        for key, inside in value.items():
            check(document, schema["properties"][key], inside, f"{place}.{key}")


def check_answer(path: str, answer: object, status: str = "200") -> None:
    """Hold an answer against the OpenAPI document."""
    document = json.loads(openapi_document())
    answers = document["paths"][path]["get"]["responses"]
    check(document, answers[status]["content"]["application/json"]["schema"], answer, path)


@pytest.mark.parametrize("page", ["targets", "devices", "handshakes"])
async def test_the_answers_are_what_the_openapi_document_says(page: str) -> None:
    _, good = await ask("", page=page)
    _, bad = await ask("?limit=0", page=page)

    check_answer(f"/api/v1/{page}", good)
    check_answer(f"/api/v1/{page}", bad, "400")


def test_the_openapi_document_knows_every_reason() -> None:
    schemas = json.loads(openapi_document())["components"]["schemas"]

    assert schemas["Reason"]["enum"] == list(Reason)
