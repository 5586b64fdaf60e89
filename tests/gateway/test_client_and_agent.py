"""Our client and our agent, over real HTTP and in front of real TLS: they speak one language."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.gateway import messages as m
from exporter.gateway.api import Fence, GatewayError, GatewayReason, ManagementApi
from tests.gateway.agent.stand import (
    FIRST,
    NEW_CA,
    OLD_CA,
    Agent,
    leaf_fingerprint,
    running,
    signed,
    until_proven,
)
from tests.gateway.apis import api_of
from tests.pki import certificate_of

OLD_ANCHOR = certificate_of(OLD_CA).fingerprint_sha256
NEW_ANCHOR = certificate_of(NEW_CA).fingerprint_sha256
FIRST_LEAF = certificate_of(FIRST).fingerprint_sha256


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with running(tmp_path, ["dev-01", "dev-02"]) as made:
        for device in ("dev-01", "dev-02"):
            await made.report(device, OLD_CA)
        await until_proven(made)
        yield made


@pytest.fixture
def api(agent: Agent, tmp_path: Path) -> ManagementApi:
    made, _ = api_of(agent.url, SystemClock(), token_file=tmp_path / "secrets" / "token")
    return made


async def fence(api: ManagementApi, key: str) -> Fence:
    """What a careful caller sends: a key, what it saw served, and a number above the last."""
    seen = await api.certificates()
    return Fence(
        idempotency_key=key,
        serving=seen.serving.fingerprint,
        operation_number=seen.last_operation_number + 1,
    )


async def new_chain(api: ManagementApi, key: str = "csr") -> str:
    made = await api.csr(m.CsrRequest(), await fence(api, key))
    return signed(made.csr, NEW_CA)


def rotation(
    chain: str, *, strict: bool = False, within_s: float | None = None
) -> m.RotateRequest:
    mode = m.ValidationMode.STRICT if strict else m.ValidationMode.NONE
    return m.RotateRequest(new_certificate=chain, validation_mode=mode, confirm_within=within_s)


async def refusal(api: ManagementApi, request: m.RotateRequest, fence: Fence) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await api.rotate(request, fence)
    assert not caught.value.is_outcome_unknown
    return caught.value


async def test_the_incident_and_the_way_back(api: ManagementApi) -> None:
    before = await api.certificates()
    chain = await new_chain(api)

    rotated = await api.rotate(rotation(chain), await fence(api, "rotate"))
    after = await api.certificates()
    back = await api.rollback(m.RollbackRequest(), await fence(api, "rollback"))
    last = await api.certificates()

    assert rotated.status is back.status is m.OperationStatus.SUCCESS
    assert before.serving.fingerprint == last.serving.fingerprint == FIRST_LEAF
    assert after.serving.fingerprint == leaf_fingerprint(chain)
    assert back.to_version == rotated.from_version
    assert before.activation_number < after.activation_number < last.activation_number
    assert api.clock_offset_s is not None
    assert abs(api.clock_offset_s) < 60


async def test_strict_names_the_devices_that_object(api: ManagementApi) -> None:
    chain = await new_chain(api)

    error = await refusal(api, rotation(chain, strict=True), await fence(api, "rotate"))

    assert error.reason is GatewayReason.REFUSED
    assert set(error.devices) == {"dev-01", "dev-02"}
    assert (await api.certificates()).serving.fingerprint == FIRST_LEAF


async def test_the_phases_of_the_guide(agent: Agent, api: ManagementApi) -> None:
    add = m.TrustStoreUpdateRequest(
        operation=m.TrustStoreOperation.ADD,
        certificate=NEW_CA.pem.decode(),
        priority="secondary",
    )
    taken = await api.update_trust_store(add, await fence(api, "add"))
    pending = await api.trust_status()
    for device in ("dev-01", "dev-02"):
        await agent.report(device, OLD_CA, NEW_CA)
    told, again = await api.trust_status(), await api.trust_status()
    chain = await new_chain(api)
    valid = await api.validate(
        m.ValidateRequest(device_id="test_device", certificate_chain=chain, dry_run=True)
    )
    shown = await api.rehearse(
        m.RehearseRequest(new_certificate=chain, seconds=30.0), await fence(api, "rehearse")
    )
    rotated = await api.rotate(
        rotation(chain, strict=True, within_s=60.0), await fence(api, "rotate")
    )
    waiting = await api.certificates()
    await api.confirm(
        m.ConfirmRequest(operation_id=rotated.operation_id), await fence(api, "confirm")
    )
    done = await api.certificates()

    assert set(taken.devices) == {"dev-01", "dev-02"}
    assert pending.complete < pending.total == 2
    assert all({OLD_ANCHOR, NEW_ANCHOR} <= set(one.anchors or ()) for one in told.devices)
    assert again.is_unchanged
    assert again.devices == told.devices
    assert valid.valid
    assert shown.fingerprint == leaf_fingerprint(chain)
    assert rotated.confirm_by is not None
    assert waiting.pending_confirmation == rotated.operation_id
    assert done.pending_confirmation is None
    assert done.serving.fingerprint == leaf_fingerprint(chain)


async def test_the_same_key_is_done_once_and_another_body_refused(api: ManagementApi) -> None:
    chain = await new_chain(api)
    key = await fence(api, "rotate")

    first = await api.rotate(rotation(chain), key)
    second = await api.rotate(rotation(chain), key)
    error = await refusal(api, rotation(chain, within_s=60.0), key)

    assert first == second
    assert (error.reason, error.code) == (GatewayReason.REFUSED, m.ErrorCode.KEY_REUSED)


async def test_whoever_looked_at_something_else_changes_nothing(api: ManagementApi) -> None:
    chain = await new_chain(api)
    seen = await fence(api, "rotate")

    other = await refusal(api, rotation(chain), replace(seen, serving="ab" * 32))
    late = await refusal(
        api, rotation(chain), replace(seen, idempotency_key="late", operation_number=0)
    )

    assert other.reason is GatewayReason.PRECONDITION_FAILED
    assert (late.reason, late.code) == (
        GatewayReason.CONFLICT,
        m.ErrorCode.OPERATION_NUMBER_TOO_LOW,
    )
    assert (await api.certificates()).serving.fingerprint == FIRST_LEAF


async def test_settings_and_recovery_are_answered(api: ManagementApi) -> None:
    verbose = m.SettingsRequest(debug_level=m.DebugLevel.VERBOSE, log_handshakes=True)
    recover = m.RecoveryRequest(
        device_ids=("dev-01", "nobody"), method="FALLBACK_CHANNEL", action="UPDATE_TRUSTSTORE"
    )

    settings = await api.configure(verbose, await fence(api, "verbose"))
    recovery = await api.recover(recover, await fence(api, "recover"))

    assert settings.debug_level is m.DebugLevel.VERBOSE
    assert settings.verbose_until is not None
    assert set(recovery.accepted) | set(recovery.rejected) == {"dev-01", "nobody"}
    assert "nobody" in recovery.rejected
