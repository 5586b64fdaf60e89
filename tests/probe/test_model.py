import pytest

from exporter.probe import KNOWN_PROTOCOLS, PROBERS
from exporter.probe.model import endpoint_of, is_ip
from exporter.targets.model import Role, Target


def target(host: str | None, server_name: str | None = None) -> Target:
    return Target(
        name="gw-1",
        role=Role.GATEWAY,
        host=host,
        port=None if host is None else 8883,
        server_name=server_name,
    )


@pytest.mark.parametrize(
    ("host", "server_name", "sent"),
    [
        pytest.param("gw.test", None, "gw.test", id="the-host"),
        pytest.param("10.0.0.1", None, None, id="an-ip"),
        pytest.param("fe80::1%eth0", None, None, id="an-ip-with-a-zone"),
        pytest.param("10.0.0.1", "gw.test", "gw.test", id="a-name-for-an-ip"),
        pytest.param("gw.test", "10.0.0.1", None, id="an-ip-to-check-is-not-sent"),
        pytest.param("gw.test", "", None, id="no-name-wished"),
    ],
)
def test_a_name_is_sent_and_an_address_never(
    host: str, server_name: str | None, sent: str | None
) -> None:
    endpoint = endpoint_of(target(host, server_name))

    assert endpoint.server_name == sent
    assert (endpoint.target, endpoint.host, endpoint.port) == ("gw-1", host, 8883)
    assert endpoint.protocol == "tls"


def test_a_target_without_an_address_has_no_endpoint() -> None:
    with pytest.raises(ValueError, match="gw-1 has no address"):
        endpoint_of(target(None))


@pytest.mark.parametrize(("host", "shown"), [("::1", "[::1]:8883"), ("gw.test", "gw.test:8883")])
def test_an_ipv6_address_is_shown_in_brackets(host: str, shown: str) -> None:
    assert endpoint_of(target(host)).address == shown


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("gw.test", False), ("1.2.3", False), ("", False)],
)
def test_an_ip_is_told_from_a_name(host: str, expected: bool) -> None:
    assert is_ip(host) is expected


def test_each_prober_is_for_a_known_protocol_and_tls_has_one() -> None:
    assert "tls" in PROBERS
    assert set(PROBERS) <= set(KNOWN_PROTOCOLS)
