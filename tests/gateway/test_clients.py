from exporter.gateway.clients import Clients
from tests.fake_gateway import FakeGateway
from tests.gateway.apis import EagerClock, options_of


async def test_an_api_that_stays_as_it_is_goes_on_over_a_reload(
    gateway: FakeGateway, url: str
) -> None:
    clients = Clients([options_of(url)], EagerClock())
    await clients.apis["site-a"].trust_status()

    clients.read([options_of(url, name="site-b"), options_of(url)])

    assert (await clients.apis["site-a"].trust_status()).is_unchanged
    assert list(clients.apis) == list(clients.options) == list(clients.stats)
    assert set(clients.apis) == {"site-a", "site-b"}


async def test_an_api_that_changed_is_asked_anew_and_counted_on(
    gateway: FakeGateway, url: str
) -> None:
    clients = Clients([options_of(url)], EagerClock())
    await clients.apis["site-a"].trust_status()

    clients.read([options_of(url, timeout=5.0)])

    assert not (await clients.apis["site-a"].trust_status()).is_unchanged
    assert clients.stats["site-a"].request_counts == {"trust_status": 2}
    assert clients.options["site-a"].timeout == 5.0


def test_an_api_that_is_gone_is_forgotten() -> None:
    clients = Clients([options_of("http://a.example")], EagerClock())

    clients.read([])

    assert not clients.apis
    assert not clients.stats
