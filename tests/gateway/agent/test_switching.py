"""Rotations and rollbacks over real HTTP, in front of a real TLS terminator."""

from pathlib import Path

from tests.gateway.agent.stand import (
    FIRST,
    INNER,
    NEW_CA,
    leaf_fingerprint,
    running,
    until,
)
from tests.pki import certificate_of

FIRST_LEAF = certificate_of(FIRST).fingerprint_sha256


async def test_what_is_served_first_becomes_a_proven_version(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:

        async def proven() -> object:
            shown = await agent.certificates()
            return shown if shown["versions"][0]["proven"] else None

        shown = await until(proven, "version 1 to be proven")

    (version,) = shown["versions"]
    assert shown["serving"] == {"version": 1, "fingerprint": FIRST_LEAF}
    assert shown["memory"] == shown["serving"]
    assert shown["activationNumber"] == 1
    assert version["state"] == "current"
    assert version["keyUsable"] is True
    assert version["chain"] == FIRST.pem.decode()


async def test_rotate_and_roll_back_as_the_guide_has_it(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        chain = await agent.new_chain(INNER, NEW_CA)

        rotated = await agent.rotate(chain)
        between = await agent.certificates()
        back = await agent.rollback()
        after = await agent.certificates()

    assert rotated.status == 200
    assert rotated.body["status"] == "SUCCESS"
    assert (rotated.body["fromVersion"], rotated.body["toVersion"]) == (1, 2)
    assert rotated.headers["Idempotency-Key"]
    assert between["serving"] == {"version": 2, "fingerprint": leaf_fingerprint(chain)}
    assert [one["state"] for one in between["versions"]] == ["previous", "current"]
    assert back.status == 200
    assert (back.body["fromVersion"], back.body["toVersion"]) == (2, 1)
    assert after["serving"] == {"version": 1, "fingerprint": FIRST_LEAF}
    assert [one["state"] for one in after["versions"]] == ["current", "old"]
    assert after["activationNumber"] == 3
