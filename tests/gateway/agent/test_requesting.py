"""``csr``, ``validate`` and ``rehearse``: all that comes before something else is served."""

import asyncio
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from tests.daemons import free_port
from tests.gateway.agent.stand import (
    FIRST,
    INNER,
    NAME,
    NEW_CA,
    OLD_CA,
    Agent,
    leaf_fingerprint,
    running,
    until,
)  # fmt: skip
from tests.pki import certificate_of

FIRST_LEAF = certificate_of(FIRST).fingerprint_sha256
VALIDATE = "/gateway/certificates/validate"
REHEARSE = "/gateway/certificates/rehearse"


async def validate(agent: Agent, device: str, chain: str) -> dict[str, object]:
    body = {"deviceId": device, "certificateChain": chain, "dryRun": True}
    answer = await agent.post(VALIDATE, body)
    assert answer.status == 200, answer
    found: dict[str, object] = answer.body
    return found


async def test_a_request_has_the_kind_and_names_of_todays_certificate(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        answer = await agent.post("/gateway/certificates/csr", {})
        wishes = {"subject": "CN=gw-7", "dnsNames": ["gw-7.example"]}
        other = await agent.post("/gateway/certificates/csr", wishes)
        wrong = await agent.post("/gateway/certificates/csr", {"dnsNames": ["no name"]})

    request = x509.load_pem_x509_csr(answer.body["csr"].encode())
    told = x509.load_pem_x509_csr(other.body["csr"].encode())
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one.value) for one in names] == [NAME, "127.0.0.1"]
    assert told.subject.rfc4514_string() == "CN=gw-7"
    assert (wrong.status, wrong.code) == (422, "refused")


async def test_a_device_is_asked_by_its_own_store_and_nothing_changes(tmp_path: Path) -> None:
    async with running(tmp_path, ["old", "both", "silent", "secretive"]) as agent:
        for ca in (OLD_CA, NEW_CA):
            body = {"operation": "ADD", "certificate": ca.pem.decode(), "deviceIds": ["silent"]}
            await agent.post("/devices/truststore/update", body)
        await agent.report("old", OLD_CA)
        await agent.report("both", OLD_CA, NEW_CA)
        body = {"anchors": ["ab" * 32], "reportedAt": "2026-11-24T12:00:00Z"}
        await agent.post("/devices/secretive/truststore/report", body)
        chain = await agent.new_chain(INNER)
        files, stored, shown = agent.files(), agent.stored(), await agent.certificates()
        told = {
            name: await validate(agent, name, chain)
            for name in ("old", "both", "silent", "secretive", "test_device")
        }
        unknown = await agent.post(
            VALIDATE, {"deviceId": "dev-9", "certificateChain": chain, "dryRun": True}
        )
        half = await agent.post(
            VALIDATE, {"deviceId": "old", "certificateChain": chain, "dryRun": False}
        )
        shown_after = await agent.certificates()
        files_after, stored_after = agent.files(), agent.stored()

    anchor = certificate_of(NEW_CA).fingerprint_sha256
    assert told["both"] == {"valid": True, "reasons": [], "trustedBy": [anchor]}
    assert told["old"] == {"valid": False, "reasons": ["unknown_ca"], "trustedBy": []}
    assert told["silent"]["reasons"] == ["never_reported"]
    assert told["secretive"]["reasons"] == ["unknown_ca", "unknown_anchor"]
    assert told["test_device"] == {
        "valid": False,
        "reasons": ["unknown_ca", "unknown_anchor"],
        "trustedBy": [anchor],
    }
    assert (unknown.status, half.status) == (404, 422)
    assert (files, stored) == (files_after, stored_after)
    assert shown == shown_after


async def test_the_test_device_says_yes_only_when_somebody_was_asked(tmp_path: Path) -> None:
    async with running(tmp_path, ["dev-01", "dev-02"]) as agent:
        chain = FIRST.pem.decode()
        nobody = await validate(agent, "test_device", chain)
        body = {"anchors": [OLD_CA.pem.decode()], "reportedAt": "2026-11-24T12:00:00Z"}
        await agent.post("/devices/dev-01/truststore/report", body)
        one = await validate(agent, "test_device", chain)

    assert (nobody["valid"], nobody["reasons"]) == (False, ["never_reported"])
    assert one["valid"] is True


async def test_a_chain_for_another_name_is_not_valid_for_a_device(tmp_path: Path) -> None:
    async with running(tmp_path, ["dev-01"], server_name="other.example") as agent:
        body = {"anchors": [OLD_CA.pem.decode()], "reportedAt": "2026-11-24T12:00:00Z"}
        await agent.post("/devices/dev-01/truststore/report", body)
        told = await validate(agent, "dev-01", FIRST.pem.decode())

    assert told["reasons"] == ["hostname_mismatch"]


async def leaf_at(address: str) -> str:
    """The leaf that is served at ``address``."""
    host, port = address.rsplit(":", 1)
    pem = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)), timeout=30)
    return leaf_fingerprint(pem)


async def test_a_candidate_is_rehearsed_and_the_own_port_not_touched(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        chain = await agent.new_chain(INNER)
        answer = await agent.post(REHEARSE, {"newCertificate": chain, "seconds": 60})
        there = await leaf_at(answer.body["address"])
        shown = await agent.certificates()
        # The next one ends it
        second = await agent.post(REHEARSE, {"targetVersion": 1, "seconds": 60})
        first_there = await leaf_at(second.body["address"])
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset
            await leaf_at(answer.body["address"])
        short = await agent.post(REHEARSE, {"targetVersion": 1, "seconds": 1})

        async def closed() -> bool:
            try:
                await leaf_at(short.body["address"])
            except OSError:
                return True
            return False

        await until(closed, "the second port to be closed after its time")

    assert answer.status == second.status == short.status == 200
    assert there == answer.body["fingerprint"] == leaf_fingerprint(chain)
    assert "version" not in answer.body
    assert shown["serving"]["fingerprint"] == FIRST_LEAF
    assert [one["version"] for one in shown["versions"]] == [1]
    assert (first_there, second.body["version"]) == (FIRST_LEAF, 1)
    assert not list((tmp_path / "agent/scratch").iterdir())


async def test_what_must_not_be_served_is_not_rehearsed_either(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        stranger = await agent.post(REHEARSE, {"newCertificate": NEW_CA.pem.decode()})
        nothing = await agent.post(REHEARSE, {"targetVersion": "previous"})
        both = await agent.post(REHEARSE, {"targetVersion": 1, "newCertificate": "x"})

    assert [one.status for one in (stranger, nothing, both)] == [422, 404, 422]


async def test_without_a_free_second_port_it_is_said(tmp_path: Path) -> None:
    async with running(tmp_path, second_port=None) as agent:
        without = await agent.post(REHEARSE, {"targetVersion": 1})
    port = free_port()
    async with running(
        tmp_path, listen=f"127.0.0.1:{port}", second_port=f"127.0.0.1:{port}"
    ) as agent:
        in_use = await agent.post(REHEARSE, {"targetVersion": 1}, Idempotency_Key="k")
        again = await agent.post(REHEARSE, {"targetVersion": 1}, Idempotency_Key="k")

    assert (without.status, without.code) == (422, "refused")
    assert "set second_port" in without.message
    assert (in_use.status, in_use.code) == (500, "gateway_failed")
    assert in_use.body == again.body
