"""Whose handshake it was, by what logs write of the other side."""

import pytest

from exporter.handshake_log.identity import Identity, host_in, rejected_by
from exporter.handshake_log.options import Side
from exporter.observations import RejectedBy, ToldBy
from exporter.targets.model import Inventory, Role, Target


def device(name: str, *peers: str, gateway: str = "gw", host: str | None = None) -> Target:
    port = None if host is None else 8883
    return Target(name=name, role=Role.DEVICE, gateway=gateway, peers=peers, host=host, port=port)


def who(
    peer: str | None,
    *devices: Target,
    names: tuple[str, ...] = (),
    gateway: str | None = "gw",
) -> str | None:
    gate = Target(name="gw", role=Role.GATEWAY, host="10.9.9.9", port=8883)
    inventory = Inventory(targets={one.name: one for one in (gate, *devices)})
    found = Identity(inventory).device_of(peer, names, gateway=gateway)
    return None if found is None else found.name


@pytest.mark.parametrize(
    "peer",
    [
        "10.0.0.5", "10.0.0.5:51234", "/10.0.0.5:51234", "::ffff:10.0.0.5",
        "[::ffff:10.0.0.5]:51234", "::ffff:10.0.0.5%eth0", "[AF_INET]10.0.0.5:51234",
        " 10.0.0.5 ", "tcp://10.0.0.5:1",
    ],
)  # fmt: skip
def test_an_ipv4_address_is_found_however_it_is_written(peer: str) -> None:
    assert who(peer, device("a", "10.0.0.5"), device("b", "10.0.0.6")) == "a"


@pytest.mark.parametrize(
    "peer",
    ["2001:db8::5", "[2001:db8::5]", "[2001:db8::5]:443", "2001:db8:0:0::5", "2001:db8::5%eth1"],
)
def test_an_ipv6_address_is_found_however_it_is_written(peer: str) -> None:
    assert who(peer, device("a", "2001:db8::5")) == "a"


def test_a_peer_of_the_inventory_may_itself_be_a_mapped_address() -> None:
    assert who("10.0.0.5", device("a", "::ffff:10.0.0.5")) == "a"


def test_the_longest_prefix_wins() -> None:
    devices = (device("wide", "10.0.0.0/8"), device("near", "10.1.0.0/16"))

    assert who("10.1.2.3:1", *devices) == "near"
    assert who("10.2.2.3:1", *devices) == "wide"
    assert who("11.2.2.3:1", *devices) is None


def test_an_ipv6_network_says_nothing_of_ipv4() -> None:
    devices = (device("a", "2001:db8::/32"), device("b", "::/0"))

    assert who("2001:db8:1::1", *devices) == "a"
    assert who("10.0.0.1", *devices) is None


def test_a_devices_own_address_is_one_of_its_peers() -> None:
    assert who("10.0.0.7:99", device("a", host="10.0.0.7")) == "a"
    assert who("dev-a.example:99", device("a", host="dev-a.example")) == "a"


@pytest.mark.parametrize(
    "name",
    [
        "dev-7", "DEV-7", "CN=dev-7", "CN=dev-7,O=Acme", "/O=Acme/CN=dev-7", "O=Acme, CN = dev-7",
        "subject=C = DE, CN = dev-7", "DNS:dev-7, DNS:other", "emailAddress=a@b,CN=dev-7",
    ],
)  # fmt: skip
def test_a_name_is_found_as_client_id_and_in_a_subject(name: str) -> None:
    assert who("192.0.2.1:5", device("dev-7"), device("dev-8"), names=(name,)) == "dev-7"


@pytest.mark.parametrize(
    "name",
    [
        r"CN=x\,CN=dev-7", "/CN=x/CN=dev-7", "CN=xdev-7", "XCN=dev-7", 'O="CN=dev-7"', "",
        "CN=dev-7\\0A.evil",
    ],
)  # fmt: skip
def test_a_hostile_subject_is_nobodys(name: str) -> None:
    assert who("192.0.2.1:5", device("dev-7"), names=(name,)) is None


def test_a_peer_without_an_address_may_be_a_name() -> None:
    assert who("dev-7", device("dev-7")) == "dev-7"
    assert who("dev-7.example:51234", device("a", host="dev-7.example")) == "a"
    assert who(None, device("dev-7"), names=("dev-7",)) == "dev-7"
    assert who(None, device("dev-7")) is None


def test_an_address_of_ones_own_tells_more_than_a_name_that_is_given() -> None:
    devices = (device("a", "10.0.0.5"), device("b"))

    assert who("10.0.0.5:1", *devices, names=("b",)) == "a"


def test_a_name_tells_more_than_a_network_that_many_share() -> None:
    devices = (device("a", "10.0.0.0/24"), device("b", "10.0.0.0/24"))

    assert who("10.0.0.5:1", *devices, names=("b",)) == "b"
    assert who("10.0.0.5:1", *devices) is None


def test_where_sites_share_addresses_the_logs_gateway_decides() -> None:
    devices = (device("a", "10.0.0.5", gateway="gw"), device("b", "10.0.0.5", gateway="gw-2"))

    assert who("10.0.0.5:1", *devices, gateway="gw") == "a"
    assert who("10.0.0.5:1", *devices, gateway="gw-2") == "b"
    assert who("10.0.0.5:1", *devices, gateway=None) is None


def test_a_gateway_is_no_device() -> None:
    assert who("10.9.9.9:1") is None
    assert who("gw") is None


@pytest.mark.parametrize(
    ("peer", "host"),
    [("10.0.0.5:1", "10.0.0.5"), ("[::1]:5", "::1"), ("a.example:5", "a.example"), ("id", "id")],
)
def test_connections_of_one_host_are_one_peer(peer: str, host: str) -> None:
    assert host_in(peer) == host


@pytest.mark.parametrize(
    ("side", "told_by", "expected"),
    [
        (Side.GATEWAY, ToldBy.PEER, RejectedBy.DEVICE),
        (Side.GATEWAY, ToldBy.LOCAL, RejectedBy.GATEWAY),
        (Side.DEVICE, ToldBy.LOCAL, RejectedBy.DEVICE),
        (Side.DEVICE, ToldBy.PEER, RejectedBy.GATEWAY),
        (Side.PLATFORM, ToldBy.LOCAL, RejectedBy.DEVICE),
        (Side.PLATFORM, ToldBy.PEER, RejectedBy.GATEWAY),
        (Side.GATEWAY, None, RejectedBy.UNKNOWN),
    ],
)
def test_who_refused_follows_from_the_side_and_the_teller(
    side: Side, told_by: ToldBy | None, expected: RejectedBy
) -> None:
    assert rejected_by(side, told_by) is expected
