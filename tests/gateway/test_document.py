"""The file is what the code says, valid, and speaks of what client and agent speak of."""

import inspect
import json
import re
from pathlib import Path

import pytest
import schemathesis
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import BaseModel, ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from schemathesis.core.result import Ok

from exporter.gateway import document, messages
from exporter.gateway.api import ManagementApi
from exporter.gateway.calls import CALLS, DEVICE_CALLS, Call

FILE = Path(document.__file__).with_name("openapi.json")
DOCUMENT = document.load_document()
SHA = "ab" * 32
AT = "2026-11-24T12:00:00Z"
VERSION = {"version": 7, "state": "current", "fingerprint": SHA, "notBefore": AT, "notAfter": AT}
SETTINGS = {"GatewayConfig.tls.debugLevel": "NORMAL", "GatewayConfig.tls.logHandshakes": False}
DEVICE = {"deviceId": "dev-01", "status": "COMPLETE"}
STATUS = {"total": 1, "complete": 1, "devices": [DEVICE]}
CHAIN = "-----BEGIN CERTIFICATE-----"
PREVIOUS = {"targetVersion": "previous", "scope": "gateway-only", "preserveDeviceCerts": True}
ADDED = {"certificate": CHAIN, "priority": "secondary"}
SERVING = {"version": 7, "fingerprint": SHA}
VALIDATE = {"deviceId": "test_device", "certificateChain": CHAIN, "dryRun": True}
RECOVER = {"deviceIds": ["a"], "method": "FALLBACK_CHANNEL", "action": "UPDATE_TRUSTSTORE"}

GOOD: list[tuple[type[BaseModel], object]] = [
    (messages.RollbackRequest, PREVIOUS),
    (messages.RollbackRequest, {}),
    (messages.RollbackRequest, {"targetVersion": 3}),
    (messages.RotateRequest, {"newCertificate": CHAIN, "validationMode": "strict"}),
    (messages.RotateRequest, {"newCertificate": CHAIN, "confirmWithin": 60}),
    (messages.RotateRequest, {"newCertificate": CHAIN, "confirmWithin": None}),
    (messages.ConfirmRequest, {"operationId": "op-1"}),
    (messages.ValidateRequest, VALIDATE),
    (messages.CsrRequest, {}),
    (messages.CsrRequest, {"subject": "CN=gw", "dnsNames": ["gw.example"]}),
    (messages.RehearseRequest, {"targetVersion": "previous"}),
    (messages.RehearseRequest, {"newCertificate": CHAIN, "targetVersion": None, "seconds": 5}),
    (messages.TrustStoreUpdateRequest, {"operation": "ADD", **ADDED}),
    (messages.TrustStoreUpdateRequest, {"operation": "REMOVE", "certificate": CHAIN}),
    (messages.TrustStoreReportRequest, {"anchors": [SHA, CHAIN], "reportedAt": AT}),
    (messages.TrustStoreReportRequest, {"anchors": [], "reportedAt": AT}),
    (messages.RecoveryRequest, RECOVER),
    (messages.SettingsRequest, {"GatewayConfig.tls.debugLevel": "VERBOSE"}),
    (messages.SettingsRequest, {"GatewayConfig.tls.logHandshakes": True}),
    (messages.GatewayCertificates, {"serving": {}}),
    (messages.GatewayCertificates, {"serving": SERVING, "versions": [VERSION], "unheard": 1}),
    (messages.Operation, {"operationId": "op", "toVersion": 1, "status": "ROLLED_BACK"}),
    (messages.Validation, {"valid": False, "reasons": ["unknown_ca"]}),
    (messages.TrustStoreStatus, STATUS),
    (messages.TrustStoreStatus, {**STATUS, "devices": [{**DEVICE, "anchors": None}]}),
    (messages.TrustStoreStatus, {**STATUS, "devices": [], "nextCursor": "x"}),
    (messages.Settings, SETTINGS),
    (messages.ErrorAnswer, {"error": {"code": "refused", "message": "No.", "devices": ["a"]}}),
]  # fmt: skip
BAD: list[tuple[type[BaseModel], object]] = [
    (messages.RollbackRequest, []),
    (messages.RollbackRequest, {"targetVersion": "next"}),
    (messages.RollbackRequest, {"targetVersion": 0}),
    (messages.RollbackRequest, {"targetVersion": "3"}),
    (messages.RollbackRequest, {"targetVersion": True}),
    (messages.RollbackRequest, {"targetVersion": 10**30}),
    (messages.RollbackRequest, {**PREVIOUS, "scope": "everything"}),
    (messages.RollbackRequest, {**PREVIOUS, "preserveDeviceCerts": False}),
    (messages.RollbackRequest, {**PREVIOUS, "preserveDeviceCerts": 1}),
    (messages.RollbackRequest, {**PREVIOUS, "force": True}),
    (messages.RotateRequest, {}),
    (messages.RotateRequest, {"newCertificate": ""}),
    (messages.RotateRequest, {"newCertificate": CHAIN, "validationMode": "lax"}),
    (messages.RotateRequest, {"newCertificate": CHAIN, "confirmWithin": 0}),
    (messages.RotateRequest, {"newCertificate": CHAIN, "confirmWithin": "60"}),
    (messages.RotateRequest, {"newCertificate": "x" * 300_000}),
    (messages.ConfirmRequest, {"operationId": ""}),
    (messages.ValidateRequest, {**VALIDATE, "dryRun": False}),
    (messages.ValidateRequest, {"deviceId": "a", "certificateChain": CHAIN}),
    (messages.RehearseRequest, {}),
    (messages.RehearseRequest, {"targetVersion": 1, "newCertificate": CHAIN}),
    (messages.TrustStoreUpdateRequest, {"operation": "add", "certificate": CHAIN}),
    (messages.TrustStoreReportRequest, {"anchors": [SHA] * 1_001, "reportedAt": AT}),
    (messages.TrustStoreReportRequest, {"anchors": [], "reportedAt": "2026-11-24T12:00:00"}),
    (messages.TrustStoreReportRequest, {"anchors": [], "reportedAt": 1}),
    (messages.TrustStoreReportRequest, {"anchors": {}, "reportedAt": AT}),
    (messages.RecoveryRequest, {**RECOVER, "deviceIds": []}),
    (messages.RecoveryRequest, {**RECOVER, "method": "CARRIER_PIGEON"}),
    (messages.SettingsRequest, {"GatewayConfig.tls.debugLevel": "LOUD"}),
    (messages.SettingsRequest, {"debugLevel": "VERBOSE"}),
    (messages.GatewayCertificates, {}),
    (messages.GatewayCertificates, {"serving": {"fingerprint": "AB:CD"}}),
    (messages.GatewayCertificates, {"serving": {}, "lastOperationNumber": -1}),
    (messages.Operation, {"operationId": "op", "toVersion": 1, "status": "DONE"}),
    (messages.TrustStoreStatus, {**STATUS, "total": -1}),
    (messages.TrustStoreStatus, {**STATUS, "devices": [{**DEVICE, "status": "UNSURE"}]}),
    (messages.TrustStoreStatus, {"devices": []}),
    (messages.ErrorAnswer, {"error": "No."}),
]  # fmt: skip


def validator(model: type[BaseModel]) -> Draft202012Validator:
    resource = Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
    return Draft202012Validator(
        {"$ref": f"urn:api#/components/schemas/{model.__name__}"},
        registry=Registry().with_resource("urn:api", resource),
        format_checker=FormatChecker(),
    )


def test_the_file_is_what_calls_and_messages_say() -> None:
    composed = json.dumps(document.compose(), indent=2, ensure_ascii=False) + "\n"

    assert FILE.read_text("utf-8") == composed, (
        "run: .venv/bin/python -m exporter.gateway.document exporter/gateway/openapi.json"
    )


def test_every_reference_leads_somewhere() -> None:
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', document.document_text()))

    for reference in references:
        found: object = DOCUMENT
        for step in reference.split("/"):
            assert isinstance(found, dict)
            found = found[step]
        assert found


def test_another_program_reads_all_calls_out_of_it() -> None:
    read = schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()

    named = {one.ok().definition.raw["operationId"] for one in read if isinstance(one, Ok)}
    assert named == {*CALLS, *DEVICE_CALLS}


@pytest.mark.parametrize(("model", "message"), GOOD)
def test_what_the_document_allows_is_read(model: type[BaseModel], message: object) -> None:
    assert validator(model).is_valid(message)
    model.model_validate_json(json.dumps(message))


@pytest.mark.parametrize(("model", "message"), BAD)
def test_what_the_document_forbids_is_refused(model: type[BaseModel], message: object) -> None:
    # A date-time without an offset is forbidden by the format, which a validator may not check
    with pytest.raises(ValidationError):
        model.model_validate_json(json.dumps(message))
    if 'T12:00:00"' not in json.dumps(message):
        assert not validator(model).is_valid(message)


@pytest.mark.parametrize(("model", "message"), GOOD)
def test_what_is_written_is_what_the_document_allows(
    model: type[BaseModel], message: object
) -> None:
    written = model.model_validate_json(json.dumps(message)).model_dump_json(by_alias=True)

    assert validator(model).is_valid(json.loads(written))


def test_every_call_of_the_protocol_is_in_the_document_but_the_devices_own() -> None:
    methods = dict(inspect.getmembers(ManagementApi, inspect.iscoroutinefunction))

    assert set(CALLS) - set(methods) == {"report"}
    for name, method in methods.items():
        parameters = inspect.signature(method).parameters
        call = CALLS[name]
        assert ("fence" in parameters) == call.is_change
        assert ("request" in parameters) == (call.request is not None)


@pytest.mark.parametrize("call", CALLS.values(), ids=lambda call: call.name)
def test_only_changes_can_conflict(call: Call) -> None:
    paths = DOCUMENT["paths"]
    assert isinstance(paths, dict)
    operation = paths[call.path][call.method.lower()]

    named = {reference["$ref"].rpartition("/")[2] for reference in operation.get("parameters", ())}

    assert call.is_change == ({"Idempotency-Key", "If-Match", "Operation-Number"} <= named)
    assert call.is_change == ({"409", "412"} <= set(operation["responses"]))
    assert {"401", "429", "500", "503"} <= set(operation["responses"])


def test_docstrings_speak_json_in_the_document() -> None:
    text = document.document_text()

    assert not re.search(r"\bNone\b(?!-)", text.replace("If-None-Match", ""))
    assert "``" not in text
    assert "Attributes:" not in text
