"""The management API's OpenAPI 3.1 document: composed of its calls and messages, and loaded.

``openapi.json`` beside this module is what ``compose`` returns; a test holds them together.
"""

import inspect
import json
import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from exporter.gateway import calls, messages
from exporter.gateway.calls import CALLS, DEVICE_CALLS, Call

Json = dict[str, object]

_EVERY_CALL = (*CALLS.values(), *DEVICE_CALLS.values())
_FINGERPRINT = "[0-9a-f]{64}"
_ABOUT = (
    "One gateway's certificate and the trust stores of the devices behind it."
    " Bodies are JSON in UTF-8; a key that is not known here is refused in a request, and to be"
    " ignored in an answer. Moments are RFC 3339 with an offset. Every answer has a `Date`."
    " A change carries `Idempotency-Key`, `If-Match` and `Operation-Number`; without them, as a"
    " person with curl sends it, it is done as well."
)
_ERRORS: Mapping[str, str] = {
    "400": "This is no request: no JSON, or a header that cannot be read.",
    "401": "No token or client certificate, or not a good one.",
    "403": "Known, and not allowed to.",
    "404": "There is no such device, version or operation.",
    "409": "The same key or another change is still being carried out (`in_progress`), or the"
    " operation number is lower than the last (`operation_number_too_low`).",
    "412": "Something else is served than `If-Match` says; nothing was changed.",
    "413": "The body is too large.",
    "415": "The body is not `application/json`.",
    "422": "Understood and refused: a field that cannot be, the same key with another body, or"
    " what `strict` does not let through (`devices` names who objects). Nothing was changed.",
    "429": "Too many requests; nothing was done.",
    "500": "It failed; the message says what is served now. It may have been carried out.",
    "503": "Not now. It may have been carried out.",
}
_CHANGES_ONLY = frozenset({"409", "412"})
_WITH_BODY_ONLY = frozenset({"413", "415", "422"})
_TO_BE_LEFT_ALONE = frozenset({"409", "429", "503"})


def load_document() -> Json:
    """Return the document that comes with the package."""
    loaded: Json = json.loads(document_text())
    return loaded


def document_text() -> str:
    """Return the document that comes with the package, as JSON text."""
    return (files("exporter.gateway") / "openapi.json").read_text("utf-8")


def compose() -> Json:
    """Return the document as the table of calls and the messages say it."""
    paths: dict[str, Json] = {}
    for call in _EVERY_CALL:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Management API of a gateway and its devices",
            "version": "1",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The base URL of one gateway"}],
        "security": [{"bearer": []}, {"mutualTLS": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "mutualTLS": {"type": "mutualTLS"},
            },
            "parameters": _parameters(),
            "headers": _headers(),
            "responses": {status: _error(status, why) for status, why in _ERRORS.items()},
            "schemas": _schemas(),
        },
    }


def _operation(call: Call) -> Json:
    operation: Json = {"operationId": call.name, "summary": call.summary}
    if call.parameters:
        operation["parameters"] = [_ref("parameters", name) for name in call.parameters]
    if call.request is not None:
        operation["requestBody"] = {"required": True, "content": _content(call.request)}
    operation["responses"] = _responses(call)
    return operation


def _responses(call: Call) -> Json:
    good: Json = {"description": "Done." if call.status == 200 else "Taken on."}
    if call.headers:
        good["headers"] = {name: _ref("headers", name) for name in call.headers}
    if call.answer is not None:
        good["content"] = _content(call.answer)
    responses: Json = {str(call.status): good}
    if call.is_paged:
        etag = {"ETag": _ref("headers", "ETag")}
        responses["304"] = {"description": "As `If-None-Match` knows it.", "headers": etag}
    for status in _ERRORS:
        if (call.is_change or status not in _CHANGES_ONLY) and (
            call.request is not None or status not in _WITH_BODY_ONLY
        ):
            responses[status] = _ref("responses", status)
    return responses


def _error(status: str, description: str) -> Json:
    answer: Json = {"description": description, "content": _content(messages.ErrorAnswer)}
    if status in _TO_BE_LEFT_ALONE:
        answer["headers"] = {"Retry-After": _ref("headers", "Retry-After")}
    if status == "401":
        answer["headers"] = {"WWW-Authenticate": _ref("headers", "WWW-Authenticate")}
    return answer


def _content(model: type[BaseModel]) -> Json:
    return {"application/json": {"schema": _ref("schemas", model.__name__)}}


def _ref(section: str, name: str) -> Json:
    return {"$ref": f"#/components/{section}/{name}"}


def _parameters() -> Json:
    def header(name: str, description: str, **schema: object) -> Json:
        return {"name": name, "in": "header", "description": description, "schema": schema}

    def query(name: str, description: str, **schema: object) -> Json:
        return {"name": name, "in": "query", "description": description, "schema": schema}

    return {
        calls.IDEMPOTENCY_KEY: header(
            calls.IDEMPOTENCY_KEY,
            "Same key, same answer, done once; remembered for 30 days. Without one, the gateway"
            " makes one.",
            type="string",
            pattern=f"^[!-~]{{1,{calls.MAX_KEY_CHARS}}}$",
        ),
        calls.IF_MATCH: header(
            calls.IF_MATCH,
            "SHA-256 of the leaf that must be served at that moment, quoted as an entity tag or"
            " bare.",
            type="string",
            pattern=f'^({_FINGERPRINT}|"{_FINGERPRINT}")$',
        ),
        calls.OPERATION_NUMBER: header(
            calls.OPERATION_NUMBER,
            "Of the caller's lease; one that is lower than `lastOperationNumber` is refused.",
            type="integer",
            minimum=0,
            maximum=2**53 - 1,
        ),
        "id": {
            "name": "id",
            "in": "path",
            "required": True,
            "description": "The inventory's name of a device.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
        },
        "number": {
            "name": "number",
            "in": "path",
            "required": True,
            "description": "Of the update.",
            "schema": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
        },
        "channel": query(
            "channel",
            "By which way the device comes. Over `fallback` it is told only what a recovery put"
            " there.",
            type="string",
            enum=["usual", "fallback"],
            default="usual",
        ),
        "cursor": query(
            "cursor", "`nextCursor` of the page before.", type="string", maxLength=1024
        ),
        "limit": query(
            "limit",
            "Devices in the page.",
            type="integer",
            minimum=1,
            maximum=calls.MAX_PAGE_DEVICES,
            default=calls.DEFAULT_PAGE_DEVICES,
        ),
        "If-None-Match": header(
            "If-None-Match",
            "The `ETag` of before. 304 says that all pages are as they were.",
            type="string",
        ),
    }


def _headers() -> Json:
    def header(description: str, **schema: object) -> Json:
        return {"description": description, "schema": schema}

    return {
        calls.IDEMPOTENCY_KEY: header("The key it was done under.", type="string"),
        "ETag": header("Of all pages together, not of this one.", type="string"),
        "Retry-After": header(
            "Seconds, or an HTTP date, for which to leave it alone.", type="string"
        ),
        "WWW-Authenticate": header("`Bearer`.", type="string"),
    }


def _schemas() -> Mapping[str, object]:
    """Return the messages' schemas by name, described by their docstrings."""
    asked = [call.request for call in _EVERY_CALL if call.request is not None]
    told = [call.answer for call in _EVERY_CALL if call.answer is not None]
    used: dict[type[BaseModel], None] = dict.fromkeys([*asked, *told, messages.ErrorAnswer])
    _, made = models_json_schema(
        [(model, "validation") for model in used], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Json] = made["$defs"]
    for name, schema in schemas.items():
        _without_titles(schema)
        _describe(schema, getattr(messages, name))
    return dict(sorted(schemas.items()))


def _without_titles(schema: object) -> None:
    """Take out the titles that pydantic makes of the names that stand there anyway."""
    if isinstance(schema, dict):
        if isinstance(schema.get("title"), str):
            del schema["title"]
        for value in schema.values():
            _without_titles(value)
    elif isinstance(schema, list):
        for value in schema:
            _without_titles(value)


_ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def _describe(schema: Json, model: type) -> None:
    text, _, attributes = (inspect.getdoc(model) or "").partition("\n\nAttributes:\n")
    schema["description"] = _flowing(text)
    properties = schema.get("properties")
    if isinstance(properties, dict) and issubclass(model, BaseModel):
        for name, told in _ATTRIBUTE.findall(attributes):
            properties[model.model_fields[name].alias]["description"] = _flowing(told)


def _flowing(text: str) -> str:
    """Return a docstring's text as Markdown that speaks of JSON."""
    text = re.sub(r"\s+", " ", text).replace("``", "`")
    return text.replace("None", "null").replace("True", "true")


if __name__ == "__main__":  # pragma: no cover - a test compares compose() with the file
    text = json.dumps(compose(), indent=2, ensure_ascii=False) + "\n"
    Path(sys.argv[1]).write_text(text, encoding="utf-8")
