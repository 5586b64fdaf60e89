import pytest

from exporter.web.reach import Reach

REACH = Reach(["10.1.0.0/16", "192.0.2.7", "2001:db8::/32", "Gw.Example", "*.fleet.example"])


@pytest.mark.parametrize("address", ["10.1.2.3", "192.0.2.7", "2001:db8::1", "::ffff:10.1.2.3"])
def test_an_address_in_a_network_is_allowed(address: str) -> None:
    assert REACH.allows_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "10.2.0.1",
        "192.0.2.8",
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1%eth0",
        "gw.example",
    ],
)
def test_an_address_elsewhere_is_not(address: str) -> None:
    assert not REACH.allows_address(address)


def test_a_zone_does_not_hide_the_address() -> None:
    assert Reach(["fe80::/10"]).allows_address("fe80::1%eth0")


@pytest.mark.parametrize(
    "host", ["gw.example", "GW.EXAMPLE.", "a.fleet.example", "a.b.Fleet.Example"]
)
def test_a_name_is_allowed_as_itself_and_below_a_domain(host: str) -> None:
    assert REACH.allows_name(host)


@pytest.mark.parametrize(
    "host", ["fleet.example", "evilfleet.example", "gw.example.evil", "10.1.0.1"]
)
def test_other_names_are_not(host: str) -> None:
    assert not REACH.allows_name(host)


def test_with_nothing_allowed_nothing_is() -> None:
    reach = Reach()

    assert not reach.has_networks()
    assert not reach.allows_address("10.1.2.3")
    assert not reach.allows_name("gw.example")
