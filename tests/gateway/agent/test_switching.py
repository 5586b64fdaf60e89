"""Rotations and rollbacks over real HTTP, in front of a real TLS terminator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.web.options import ListenAddress
from tests.gateway.agent.stand import (
    DATES,
    FIRST,
    INNER,
    NAME,
    NEW_CA,
    NOW,
    OLD_CA,
    Agent,
    embedded,
    leaf_fingerprint,
    running,
    signed,
    until,
    until_proven,
)
from tests.gateway.agent.willful import Apply, WillfulDriver, break_down, pretend, refuse
from tests.pki import certificate_of, make_leaf, new_key

FIRST_LEAF = certificate_of(FIRST).fingerprint_sha256


@asynccontextmanager
async def willful(folder: Path, **more: object) -> AsyncIterator[tuple[Agent, WillfulDriver]]:
    driver = WillfulDriver(embedded(folder / "agent"))
    async with running(folder, driver=driver, **more) as agent:  # type: ignore[arg-type]  # passed on by name
        yield agent, driver


async def proven(agent: Agent) -> object:
    shown = await agent.certificates()
    return shown if shown["versions"][0]["proven"] else None


async def test_what_is_served_first_becomes_a_proven_version(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        shown = await until(lambda: proven(agent), "version 1 to be proven")

    (version,) = shown["versions"]
    assert shown["serving"] == {"version": 1, "fingerprint": FIRST_LEAF}
    assert shown["memory"] == shown["serving"]
    assert shown["tickets"] == {"kept": False}
    assert shown["activationNumber"] == 1
    assert version["state"] == "current"
    assert version["keyUsable"] is True
    assert version["chain"] == FIRST.pem.decode()


async def test_rotate_and_roll_back_as_the_guide_has_it(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await until_proven(agent)
        chain = await agent.new_chain(INNER, NEW_CA)

        rotated = await agent.rotate(chain)
        between = await agent.certificates()
        back = await agent.rollback()
        after = await agent.certificates()
        again = await agent.rollback()

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
    # "previous" never leads back to what was gone back from
    assert (again.status, again.code) == (404, "unknown_version")


async def test_a_version_is_served_on_every_address(tmp_path: Path) -> None:
    listen = [ListenAddress(host=host, port=0) for host in ("127.0.0.1", "::1")]
    driver = embedded(tmp_path / "agent", listen)

    async with running(tmp_path, driver=driver) as agent:
        answer = await agent.rotate(await agent.new_chain())
        shown = await agent.certificates()

    assert answer.status == 200
    assert shown["serving"]["version"] == 2
    assert len(driver.addresses) == 2


@pytest.mark.parametrize("apply", [refuse, break_down, pretend])
async def test_a_reload_that_fails_or_only_says_so_is_gone_back_from(
    tmp_path: Path, apply: Apply
) -> None:
    async with willful(tmp_path, proof={"rounds": 1, "within": "1s"}) as (agent, driver):
        await until(lambda: proven(agent), "version 1 to be proven")
        driver.applies = [apply]
        answer = await agent.rotate(await agent.new_chain(), Idempotency_Key="k1")
        again = await agent.rotate(
            (agent.directory / "versions/2/chain.pem").read_text(), Idempotency_Key="k1"
        )
        shown = await agent.certificates()

    assert (answer.status, answer.code) == (500, "gateway_failed")
    assert answer.body["status"] == "ROLLED_BACK"
    assert "version 1 is served again" in answer.message
    assert shown["serving"] == {"version": 1, "fingerprint": FIRST_LEAF}
    assert [one["state"] for one in shown["versions"]] == ["current", "old"]
    assert shown["activationNumber"] == 1
    assert [folder for folder, _ in driver.applied] == ["2", "1"]
    assert again.body == answer.body  # the same key: not done again


async def test_a_way_back_that_fails_too_is_told_loudly_and_nothing_more_is_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with willful(tmp_path, proof={"rounds": 1, "within": "1s"}) as (agent, driver):
        driver.applies = [refuse, refuse]
        answer = await agent.rotate(await agent.new_chain())
        shown = await agent.certificates()

    assert (answer.status, answer.body["status"]) == (500, "FAILED")
    assert "a person must look at what is served now" in answer.message
    assert "NEITHER VERSION IS PROVED TO BE SERVED" in caplog.text
    assert [folder for folder, _ in driver.applied] == ["2", "1"]
    assert shown["serving"]["version"] == 1


async def test_what_the_terminators_own_check_refuses_changes_nothing(tmp_path: Path) -> None:
    async with willful(tmp_path) as (agent, driver):
        chain = await agent.new_chain()
        driver.checks_refused = True
        before = agent.files()
        answer = await agent.rotate(chain)
        after = agent.files()

    assert (answer.status, answer.code) == (422, "refused")
    assert "unknown directive in nginx.conf:7" in answer.message
    assert driver.applied == []
    assert after == before


async def test_a_rollback_that_the_operators_own_configuration_blocks_is_told_as_that(
    tmp_path: Path,
) -> None:
    async with willful(tmp_path) as (agent, driver):
        await until(lambda: proven(agent), "version 1 to be proven")
        await agent.rotate(await agent.new_chain())
        driver.checks_refused = True
        before, applied = agent.files(), list(driver.applied)

        refused = await agent.rollback()
        after, applied_since = agent.files(), driver.applied[len(applied) :]
        driver.checks_refused = False
        mended = await agent.rollback()

    assert (refused.status, refused.code) == (422, "refused")
    assert refused.message == (
        "the terminator refuses it: [emerg] unknown directive in nginx.conf:7; it refuses"
        " version 2, which is served, in the same words: the fault is not in the certificate but"
        " in the terminator or its own configuration; put that right, let the terminator check"
        " it, and ask again; nothing that is served was changed"
    )
    assert after == before
    assert applied_since == []
    assert (mended.status, mended.body["toVersion"]) == (200, 1)


async def test_a_fault_of_the_certificate_alone_is_not_put_on_the_configuration(
    tmp_path: Path,
) -> None:
    async with willful(tmp_path) as (agent, driver):
        driver.refused_folders = {"2"}

        answer = await agent.rotate(await agent.new_chain())

    assert (answer.status, answer.code) == (422, "refused")
    assert "not in the certificate" not in answer.message


async def test_a_terminator_that_wants_both_in_one_file_gets_it(tmp_path: Path) -> None:
    async with willful(tmp_path) as (agent, _):
        chain = await agent.new_chain()
        await agent.rotate(chain)

    folder = agent.directory / "versions/2"
    key = (folder / "key.pem").read_bytes()
    assert (folder / "both.pem").read_bytes() == chain.encode() + key


async def test_another_kind_of_key_is_told_to_the_driver(tmp_path: Path) -> None:
    rsa = make_leaf(OLD_CA, NAME, "127.0.0.1", key=new_key("RSA 2048"), **DATES)
    (tmp_path / "rsa.pem").write_bytes(rsa.pem)
    (tmp_path / "rsa.key").write_bytes(rsa.key_pem)
    initial = {"chain_file": str(tmp_path / "rsa.pem"), "key_file": str(tmp_path / "rsa.key")}

    async with willful(tmp_path, initial=initial) as (agent, driver):
        of_one_kind = await agent.rotate(await agent.new_chain())
        # A version with an EC key, as somebody brings who moves to another kind
        folder = agent.directory / "versions/9"
        folder.mkdir()
        (folder / "chain.pem").write_bytes(FIRST.pem)
        (folder / "key.pem").write_bytes(FIRST.key_pem)
        of_another = await agent.rollback(9)
        shown = await agent.certificates()

    assert (of_one_kind.status, of_another.status) == (200, 200)
    assert driver.applied == [("2", True), ("9", False)]
    assert shown["serving"]["fingerprint"] == FIRST_LEAF


async def test_each_fault_of_a_chain_is_refused_with_a_sentence_and_nothing_changed(
    tmp_path: Path,
) -> None:
    past = {"not_before": NOW - timedelta(days=9), "not_after": NOW - timedelta(seconds=1)}
    future = {"not_before": NOW + timedelta(hours=1), "not_after": NOW + timedelta(days=9)}
    stranger = make_leaf(NEW_CA, NAME, "127.0.0.1", **DATES)
    async with running(tmp_path) as agent:
        csr = (await agent.post("/gateway/certificates/csr", {})).body["csr"]
        good = signed(csr, INNER)
        leaf, inner = good.split("-----END CERTIFICATE-----\n", 1)
        chains = {
            "expired: certificate has expired": signed(csr, NEW_CA, **past),
            "not_yet_valid": signed(csr, NEW_CA, **future),
            "the leaf comes first": inner + leaf + "-----END CERTIFICATE-----\n",
            "the leaf's key is neither that of the last csr": stranger.pem.decode(),
            "today's certificate is for": make_leaf(
                NEW_CA, "other.example", key=stranger.key, **DATES
            ).pem.decode(),
            "this very chain is version 1": FIRST.pem.decode(),
            "it holds a private key": good + stranger.key_pem.decode(),
            "no certificate": "nothing",
            "cannot be read": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        }
        before, shown_before = agent.files(), await agent.certificates()
        answers = {fault: await agent.rotate(chain) for fault, chain in chains.items()}
        after, shown_after = agent.files(), await agent.certificates()

    for fault, answer in answers.items():
        assert answer.status == 422, fault
        assert fault in answer.message
    assert before == after
    assert shown_after["serving"] == shown_before["serving"]
    assert stranger.key_pem.decode()[60:120] not in str(answers)


async def test_a_chain_without_its_intermediate_is_refused_once_it_was_seen(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as agent:
        await agent.rotate(await agent.new_chain(INNER))
        whole = await agent.new_chain(INNER)
        leaf = whole[: whole.index("-----END") + len("-----END CERTIFICATE-----\n")]
        answer = await agent.rotate(leaf)

    assert answer.status == 422
    assert "the chain is not complete: CN=new inner CA is missing" in answer.message


async def test_the_key_of_an_existing_version_serves_a_renewal_as_well(tmp_path: Path) -> None:
    renewed = make_leaf(OLD_CA, NAME, "127.0.0.1", key=FIRST.key, **DATES)

    async with running(tmp_path) as agent:
        answer = await agent.rotate(renewed.pem.decode())

    assert answer.status == 200


async def test_only_the_last_request_is_good_for_a_rotation(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        first, second = await agent.new_chain(), await agent.new_chain()
        refused, taken = await agent.rotate(first), await agent.rotate(second)

    assert (refused.status, taken.status) == (422, 200)


async def test_strict_asks_every_device_and_names_those_who_object(tmp_path: Path) -> None:
    async with running(tmp_path, ["dev-01", "dev-02", "dev-03"]) as agent:
        chain = await agent.new_chain()
        nobody = await agent.rotate(chain, "strict")
        await agent.report("dev-01", OLD_CA, NEW_CA)
        await agent.report("dev-02", OLD_CA)
        some = await agent.rotate(chain, "strict")
        # A hash alone says nothing until somebody shows the certificate
        ca = {"operation": "ADD", "certificate": NEW_CA.pem.decode(), "priority": "secondary"}
        await agent.post("/devices/truststore/update", ca)
        all_but_two = await agent.rotate(chain, "strict")
        await agent.report("dev-02", OLD_CA, NEW_CA)
        await agent.report("dev-03", NEW_CA)
        shown = await agent.certificates()
        all_of_them = await agent.rotate(chain, "strict")

    assert (nobody.status, nobody.code) == (422, "refused")
    assert nobody.body["error"]["devices"] == ["dev-01", "dev-02", "dev-03"]
    assert some.body["error"]["devices"] == ["dev-01", "dev-02", "dev-03"]
    assert all_but_two.body["error"]["devices"] == ["dev-02", "dev-03"]
    assert "dev-03 (never_reported)" in all_but_two.message
    assert shown["serving"]["version"] == 1
    assert all_of_them.status == 200


async def test_strict_without_any_device_is_no_yes(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        answer = await agent.rotate(await agent.new_chain(), "strict")

    assert answer.status == 422
    assert "no device is known behind this gateway" in answer.message


async def test_a_change_on_something_else_than_was_looked_at_is_not_made(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        chain = await agent.new_chain()
        refused = await agent.rotate(chain, If_Match="ab" * 32)
        unread = await agent.rotate(chain, If_Match="*")
        made = await agent.rotate(chain, If_Match=f'"{FIRST_LEAF}"')
        late = await agent.rollback(If_Match=FIRST_LEAF)
        shown = await agent.certificates()

    assert (refused.status, refused.code) == (412, "precondition_failed")
    assert unread.status == 400
    assert made.status == 200
    assert late.status == 412
    assert shown["serving"]["version"] == 2


async def test_a_lease_that_was_lost_changes_nothing_any_more(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await until_proven(agent)
        chain = await agent.new_chain()
        first = await agent.rotate(chain, Operation_Number="7", Idempotency_Key="a")
        lower = await agent.rollback(Operation_Number="6")
        shown = await agent.certificates()
        replayed = await agent.rotate(chain, Operation_Number="7", Idempotency_Key="a")
        same = await agent.rollback(Operation_Number="7")

    assert first.status == same.status == 200
    assert (lower.status, lower.code) == (409, "operation_number_too_low")
    assert shown["serving"]["version"] == 2
    assert shown["lastOperationNumber"] == 7
    assert replayed.body == first.body
    async with running(tmp_path) as agent:
        assert (await agent.certificates())["lastOperationNumber"] == 7
        assert (await agent.rollback(2, Operation_Number="6")).status == 409


@pytest.mark.parametrize(
    ("version", "code"),
    [(3, "unknown_version"), ("previous", "unknown_version"), (1, "refused")],
)
async def test_there_must_be_something_to_go_back_to(
    tmp_path: Path, version: int | str, code: str
) -> None:
    async with running(tmp_path) as agent:
        answer = await agent.rollback(version)

    assert answer.code == code


async def test_a_previous_that_cannot_be_served_is_refused(tmp_path: Path) -> None:
    short = make_leaf(
        OLD_CA, NAME, "127.0.0.1", not_before=DATES["not_before"],
        not_after=NOW + timedelta(seconds=15),
    )  # fmt: skip
    (tmp_path / "short.pem").write_bytes(short.pem)
    (tmp_path / "short.key").write_bytes(short.key_pem)
    initial = {"chain_file": str(tmp_path / "short.pem"), "key_file": str(tmp_path / "short.key")}

    async with running(tmp_path, initial=initial) as agent:
        await until(lambda: proven(agent), "version 1 to be proven")
        await agent.rotate(await agent.new_chain())
        await agent.rotate(await agent.new_chain())
        (agent.directory / "versions/2/key.pem").unlink()
        lost = await agent.rollback()
        shown = await agent.certificates()

    assert lost.status == 422
    assert lost.message == "the key of version 2 is lost, or another's"
    assert [one["keyUsable"] for one in shown["versions"]] == [True, False, True]


async def test_a_first_rotation_needs_no_version_before_it(tmp_path: Path) -> None:
    async with running(tmp_path, initial=None) as agent:
        empty = await agent.certificates()
        without_names = await agent.post("/gateway/certificates/csr", {})
        csr = await agent.post("/gateway/certificates/csr", {"dnsNames": [NAME]})
        chain = signed(csr.body["csr"], NEW_CA)
        guarded = await agent.rotate(chain, confirmWithin=60)
        answer = await agent.rotate(chain)
        shown = await agent.certificates()

    assert empty["serving"] == {}
    assert empty["versions"] == []
    assert (without_names.status, guarded.status) == (422, 422)
    assert answer.body["toVersion"] == 1
    assert "fromVersion" not in answer.body
    assert shown["serving"]["fingerprint"] == leaf_fingerprint(chain)


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await until_proven(agent)
        chain = await agent.new_chain()
        before = await agent.rotate(chain, Idempotency_Key="a-key")
    async with running(tmp_path) as agent:
        replayed = await agent.rotate(chain, Idempotency_Key="a-key")
        shown = await agent.certificates()
        back = await agent.rollback()

    assert replayed.body == before.body
    assert [one["state"] for one in shown["versions"]] == ["previous", "current"]
    assert shown["serving"]["version"] == 2
    assert back.status == 200


async def test_a_lost_symlink_is_mended_at_the_start(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.rotate(await agent.new_chain())
    (tmp_path / "agent/current").unlink()

    async with running(tmp_path) as agent:
        shown = await agent.certificates()

    assert shown["serving"]["version"] == 2


async def test_a_second_agent_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path):
        with pytest.RaisesGroup(
            pytest.RaisesExc(Exception, match="another agent works in"), allow_unwrapped=True
        ):
            async with running(tmp_path):
                pass


async def test_old_versions_go_but_never_the_previous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.gateway.agent.switching._KEPT_VERSIONS", 2)
    async with running(tmp_path) as agent:
        await until(lambda: proven(agent), "version 1 to be proven")
        for _ in range(4):
            assert (await agent.rotate(await agent.new_chain())).status == 200
        shown = await agent.certificates()

    assert [(one["version"], one["state"]) for one in shown["versions"]] == [
        (4, "previous"), (5, "current"),
    ]  # fmt: skip
