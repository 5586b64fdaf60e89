"""Where a gateway and its second port are reached from here."""

import pytest

from exporter.targets.model import Role, Target
from exporter.ways import Ways
from tests.fake_clock import FakeClock

NO_NAME = "a" * 70 + ".example"


def gateway(host: str | None, port: int | None = 443) -> Target:
    return Target(name="gw-1", role=Role.GATEWAY, host=host, port=port)


@pytest.mark.parametrize(
    ("host", "told", "reached"),
    [
        ("192.0.2.7", "0.0.0.0:9443", ["192.0.2.7:9443"]),
        ("2001:db8::7", "[::]:9443", ["2001:db8::7:9443"]),
        ("192.0.2.7", "198.51.100.9:9443", ["198.51.100.9:9443"]),
        ("127.0.0.1", "127.0.0.1:9443", ["127.0.0.1:9443"]),
        # There we would meet ourselves
        ("192.0.2.7", "127.0.0.1:9443", []),
        ("192.0.2.7", "[::1]:9443", []),
        ("192.0.2.7", "not an address", []),
        ("192.0.2.7", f"{NO_NAME}:9443", []),
        (None, "0.0.0.0:9443", []),
    ],
)
async def test_the_second_port_is_met_where_we_reach_its_gateway(
    host: str | None, told: str, reached: list[str]
) -> None:
    found = await Ways(FakeClock()).to_second_port(gateway(host), told)

    assert [f"{one.host}:{one.port}" for one in found] == reached


@pytest.mark.parametrize(("host", "port"), [(None, 443), ("192.0.2.7", None), (NO_NAME, 443)])
async def test_a_gateway_without_an_address_is_reached_by_no_way(
    host: str | None, port: int | None
) -> None:
    assert list(await Ways(FakeClock()).to(gateway(host, port))) == []
