import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.targets.addresses import is_host, parse_address, parse_network, split_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("gw-1.example:8883", ("gw-1.example", 8883)),
        ("gw_1:1", ("gw_1", 1)),
        ("gw.example.:443", ("gw.example.", 443)),
        ("bücher.example:443", ("bücher.example", 443)),
        ("10.0.0.1:65535", ("10.0.0.1", 65535)),
        ("[::1]:8883", ("::1", 8883)),
        ("[fe80::1%eth0]:8883", ("fe80::1%eth0", 8883)),
    ],
)
def test_host_and_port_are_read(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("gw-1", "has no port"),
        ("", "has no port"),
        ("[::1]", "has no port"),
        (":8883", "has no host"),
        ("gw-1:0", "has port 0"),
        ("gw-1:", "has the port ''"),
        ("gw-1:-1", "has the port '-1'"),
        ("gw-1:65536", "has the port '65536'"),
        ("gw-1:٣", "has the port"),
        ("[::1]:x", "has the port 'x'"),
        ("::1:8883", "more than one colon"),
        ("[gw-1]:8883", "brackets around what is not an IPv6 address"),
        ("[10.0.0.1]:8883", "brackets around what is not an IPv6 address"),
        ("https://gw-1:8883", "is a URL"),
        ("user@gw-1:8883", "neither a name nor an IP address"),
        ("gw 1:8883", "neither a name nor an IP address"),
        ("gw-1\n:8883", "neither a name nor an IP address"),
        ("-gw:8883", "neither a name nor an IP address"),
        ("a..b:8883", "neither a name nor an IP address"),
        ("300.1.1.1:8883", "neither a name nor an IP address"),
        ("127.1:8883", "neither a name nor an IP address"),
        ("0x7f000001:8883", "neither a name nor an IP address"),
        ("a" * 64 + ":1", "neither a name nor an IP address"),
        (".".join(["a" * 60] * 5) + ":1", "neither a name nor an IP address"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_address(text)


def test_a_place_to_listen_may_leave_out_the_host_and_take_any_port() -> None:
    assert split_address(":0") == ("", 0)


@given(st.text(max_size=60))
def test_whatever_is_accepted_has_a_host_and_a_port(text: str) -> None:
    try:
        host, port = parse_address(text)
    except ValueError:
        return

    assert host.isprintable()
    assert is_host(host)
    assert 1 <= port <= 65_535


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("127.0.1.1", "127.0.1.1"),
        ("10.1.0.0/16", "10.1.0.0/16"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("10.0.0.5/32", "10.0.0.5/32"),
    ],
)
def test_addresses_and_networks_get_their_usual_form(text: str, network: str) -> None:
    assert parse_network(text) == network


def test_an_address_inside_a_network_is_refused_with_both_readings() -> None:
    with pytest.raises(ValueError, match=r"write 10\.1\.0\.0/16 or 10\.1\.2\.3"):
        parse_network("10.1.2.3/16")


@pytest.mark.parametrize("text", ["", "gw-1", "10.0.0", "10.0.0.0/33", "10.0.0.1:8883"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither an IP address nor a network"):
        parse_network(text)
