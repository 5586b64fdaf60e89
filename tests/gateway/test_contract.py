"""What every adapter must do, held by a fake of its platform; a new adapter brings its fake."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from exporter.gateway import messages
from exporter.gateway.adapters import ADAPTERS
from exporter.gateway.api import Fence, GatewayError, GatewayReason
from exporter.gateway.calls import CALLS
from tests.fake_gateway import FakeGateway, device, refusing, saying
from tests.gateway.apis import ASKING, CHAIN, FENCE, EagerClock, api_of

PLATFORMS: Mapping[str, Callable[[], FakeGateway]] = {"reference": FakeGateway}

INCIDENT: Mapping[str, Any] = {
    "rollback": {
        "targetVersion": "previous",
        "scope": "gateway-only",
        "preserveDeviceCerts": True,
    },
    "rotate": {"newCertificate": CHAIN, "validationMode": "strict"},
    "validate": {"deviceId": "test_device", "certificateChain": CHAIN, "dryRun": True},
    "update_trust_store": {"operation": "ADD", "certificate": CHAIN, "priority": "secondary"},
    "recover": {
        "deviceIds": ["dev-01", "dev-02"],
        "method": "FALLBACK_CHANNEL",
        "action": "UPDATE_TRUSTSTORE",
    },
    "configure": {
        "GatewayConfig.tls.debugLevel": "VERBOSE",
        "GatewayConfig.tls.logHandshakes": True,
    },
}
"""The guide's own requests, as they stand there."""


@pytest.fixture(params=sorted(ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def gateway(adapter: str) -> FakeGateway:
    return PLATFORMS[adapter]()


def test_every_adapter_has_a_platform_to_be_tried_on() -> None:
    assert set(PLATFORMS) == set(ADAPTERS)


def test_every_call_is_tried() -> None:
    assert set(ASKING) == set(CALLS) - {"report"}


@pytest.mark.parametrize("call", ASKING)
async def test_a_good_answer_is_given_back(
    gateway: FakeGateway, url: str, adapter: str, call: str
) -> None:
    api, client = api_of(url, adapter=adapter)

    assert await ASKING[call](api)

    assert gateway.problems == []
    assert client.stats.request_counts == {call: 1}
    assert client.stats.failure_counts == {}
    assert api.name == "site-a"
    assert api.clock_offset_s is not None


@pytest.mark.parametrize("call", [name for name in ASKING if CALLS[name].is_change])
async def test_a_change_carries_its_fence(
    gateway: FakeGateway, url: str, adapter: str, call: str
) -> None:
    api, _ = api_of(url, adapter=adapter)

    await ASKING[call](api)

    (seen,) = gateway.seen
    assert seen.headers["idempotency-key"] == FENCE.idempotency_key
    assert seen.headers["if-match"] == f'"{FENCE.serving}"'
    assert seen.headers["operation-number"] == "5"


async def test_what_a_fence_leaves_open_is_not_sent(
    gateway: FakeGateway, url: str, adapter: str
) -> None:
    api, _ = api_of(url, adapter=adapter)

    await api.rollback(messages.RollbackRequest(), Fence(idempotency_key="k"))

    (seen,) = gateway.seen
    assert seen.headers["idempotency-key"] == "k"
    assert not {"if-match", "operation-number"} & seen.headers.keys()


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "ümlaut", "x" * 256])
def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="idempotency key"):
        Fence(idempotency_key=key)


def test_a_fingerprint_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        Fence(idempotency_key="k", serving="AB")


@pytest.mark.parametrize("call", ASKING)
async def test_every_failure_is_a_gateway_error(
    gateway: FakeGateway, url: str, adapter: str, call: str
) -> None:
    gateway.script(call, saying("<html>", "text/html"))
    api, _ = api_of(url, adapter=adapter)

    with pytest.raises(GatewayError) as caught:
        await ASKING[call](api)

    assert caught.value.reason is GatewayReason.NONSENSE
    assert caught.value.is_outcome_unknown == CALLS[call].is_change


@pytest.mark.parametrize("call", INCIDENT)
async def test_the_guides_requests_go_out_as_they_stand(
    gateway: FakeGateway, url: str, call: str
) -> None:
    api, _ = api_of(url)

    await ASKING[call](api)

    assert gateway.asked(call)[0].json == INCIDENT[call]


async def test_the_guides_remove_goes_out_as_it_stands(gateway: FakeGateway, url: str) -> None:
    api, _ = api_of(url)
    remove = messages.TrustStoreUpdateRequest(
        operation=messages.TrustStoreOperation.REMOVE, certificate=CHAIN
    )

    await api.update_trust_store(remove, FENCE)

    assert gateway.seen[0].json == {"operation": "REMOVE", "certificate": CHAIN}


# The status of all devices


def fleet(count: int) -> list[dict[str, object]]:
    return [device(f"dev-{number:05}", "ab" * 32) for number in range(count)]


async def test_all_pages_are_put_together(gateway: FakeGateway, url: str, adapter: str) -> None:
    gateway.devices, gateway.page_size = fleet(2_500), 1_000
    api, client = api_of(url, adapter=adapter)

    status = await api.trust_status()

    assert [one.device_id for one in status.devices] == [
        one["deviceId"] for one in gateway.devices
    ]
    assert (status.total, status.complete, status.is_unchanged) == (2_500, 2_500, False)
    assert client.stats.request_counts == {"trust_status": 3}


async def test_what_is_unchanged_is_given_back_as_it_was(
    gateway: FakeGateway, url: str, adapter: str
) -> None:
    gateway.devices, gateway.page_size = fleet(25), 10
    api, client = api_of(url, adapter=adapter)
    first = await api.trust_status()

    second = await api.trust_status()
    gateway.devices[0]["status"] = "PENDING"
    third = await api.trust_status()

    assert second.is_unchanged
    assert second.devices is first.devices
    assert not third.is_unchanged
    assert third.complete == 24
    assert client.stats.request_counts == {"trust_status": 7}


async def test_without_an_etag_all_is_asked_each_time(
    gateway: FakeGateway, url: str, adapter: str
) -> None:
    gateway.has_etag = False
    api, _ = api_of(url, adapter=adapter)

    for _ in range(2):
        assert not (await api.trust_status()).is_unchanged

    assert all("if-none-match" not in one.headers for one in gateway.seen)


async def test_what_changed_between_two_pages_is_asked_in_full_next_time(
    gateway: FakeGateway, url: str, adapter: str
) -> None:
    gateway.devices, gateway.page_size = fleet(15), 10
    api, _ = api_of(url, adapter=adapter)
    gateway.script(
        "trust_status",
        saying(
            '{"total": 15, "complete": 15, "devices": [], "nextCursor": "10"}',
            headers={"ETag": '"of yesterday"'},
        ),
    )

    first = await api.trust_status()
    second = await api.trust_status()

    assert len(first.devices) == 5
    assert len(second.devices) == 15
    assert all("if-none-match" not in one.headers for one in gateway.seen)


async def test_the_last_good_etag_outlives_a_bad_answer(
    gateway: FakeGateway, url: str, adapter: str
) -> None:
    api, _ = api_of(url, adapter=adapter)
    await api.trust_status()
    gateway.script("trust_status", refusing(422))
    with pytest.raises(GatewayError):
        await api.trust_status()

    assert (await api.trust_status()).is_unchanged


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param(['"nextCursor": "a"', '"nextCursor": "a"'], id="same_cursor"),
        pytest.param(
            ['"nextCursor": "a"', '"nextCursor": "b"', '"nextCursor": "a"'], id="in_a_circle"
        ),
        pytest.param([f'"nextCursor": "{"x" * 2_000}"'], id="long_cursor"),
        pytest.param(['"nextCursor": 7'], id="no_text"),
    ],
)
async def test_cursors_that_lead_nowhere_are_nonsense(
    gateway: FakeGateway, url: str, adapter: str, pages: list[str]
) -> None:
    head = '{"total": 1, "complete": 0, "devices": [], '
    gateway.script("trust_status", *[saying(f"{head}{page}}}") for page in pages])
    api, _ = api_of(url, adapter=adapter)

    with pytest.raises(GatewayError) as caught:
        await api.trust_status()

    assert caught.value.reason is GatewayReason.NONSENSE
    assert len(gateway.seen) == len(pages)


async def test_an_empty_cursor_is_the_end(gateway: FakeGateway, url: str, adapter: str) -> None:
    page = '{"total": 0, "complete": 0, "devices": [], "nextCursor": ""}'
    gateway.script("trust_status", saying(page))
    api, _ = api_of(url, adapter=adapter)

    assert (await api.trust_status()).devices == ()


async def test_a_device_named_twice_is_nonsense(
    gateway: FakeGateway, url: str, adapter: str
) -> None:
    gateway.devices, gateway.page_size = [device("a"), device("b"), device("a")], 2
    api, _ = api_of(url, adapter=adapter)

    with pytest.raises(GatewayError, match="names a device, 'a' for one, twice"):
        await api.trust_status()


@pytest.mark.parametrize("bound", ["MAX_PAGES", "MAX_DEVICES", "MAX_BYTES"])
async def test_what_goes_on_forever_is_given_up(
    gateway: FakeGateway, url: str, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(f"exporter.gateway.adapters.pages.{bound}", 2)
    gateway.devices, gateway.page_size = fleet(3), 1
    api, _ = api_of(url, EagerClock())

    with pytest.raises(GatewayError, match="goes beyond"):
        await api.trust_status()
