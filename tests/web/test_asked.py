import pytest

from exporter.probe.model import Limits
from exporter.targets.entries import SYSTEM_STORE
from exporter.web.asked import MODULES, Asked, asked_in
from tests.web.serving import FakeService, device, gateway

SNAPSHOT = FakeService(
    targets=[
        gateway("gw-1", "192.0.2.1:8883", "fw", server_name="gw-1.example"),
        device("dev-1", "gw-1"),
    ]
).snapshot()


def asked(scrape_timeout: str | None = None, **query: str) -> Asked:
    return asked_in(query, scrape_timeout, SNAPSHOT, Limits(phase_s=5.0))


def test_a_target_is_found_by_its_name_and_by_its_address() -> None:
    by_name, by_address = asked(target="gw-1"), asked(target="192.0.2.1:8883")

    assert by_name == by_address
    assert by_name.is_known
    assert by_name.target.trust_stores == ("fw",)
    assert by_name.target.checked_name == "gw-1.example"


def test_an_address_outside_the_inventory_is_judged_by_the_system() -> None:
    found = asked(target="[2001:db8::1]:8883")

    assert not found.is_known
    assert (found.target.host, found.target.port) == ("2001:db8::1", 8883)
    assert found.target.trust_stores == (SYSTEM_STORE,)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("https://a.example", "a.example", 443),
        ("https://a.example:8443/path?x=1", "a.example", 8443),
        ("https://[2001:db8::1]/", "2001:db8::1", 443),
        ("https://user@a.example/", "a.example", 443),
    ],
)
def test_an_https_url_is_taken_as_the_peers_take_it(text: str, host: str, port: int) -> None:
    found = asked(target=text)

    assert (found.target.host, found.target.port) == (host, port)


def test_the_module_https_knows_its_port() -> None:
    assert asked(target="a.example", module="https").target.port == 443


@pytest.mark.parametrize("module", ["", *MODULES])
def test_every_module_is_taken(module: str) -> None:
    assert asked(target="gw-1", module=module).is_known


def test_hostname_is_what_is_sent_and_checked() -> None:
    assert asked(target="gw-1", hostname="other.example").target.checked_name == "other.example"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"target": "gw-1", "module": "icmp"}, r"the module 'icmp' is not known; there are: tls"),
        ({}, "the parameter target is missing"),
        ({"target": ""}, "the parameter target is missing"),
        ({"target": "dev-1"}, "'dev-1' has no address of its own"),
        ({"target": "a" * 301}, "longer than 300 characters"),
        ({"target": "nowhere"}, "'nowhere' has no port; write HOST:PORT"),
        ({"target": "http://a.example"}, "is a URL; write HOST:PORT alone"),
        ({"target": "https://[::1"}, "is not a URL that can be read"),
        ({"target": "a.example:99999"}, "a port is a number from 1 to 65535"),
        ({"target": "a\nb:1"}, "neither a name nor an IP address"),
        ({"target": "\x1b[31m:1"}, "'\\\\x1b\\[31m"),
        ({"target": "gw-1", "hostname": "a\tb"}, "is not a DNS name or IP"),
        ({"target": "gw-1", "hostname": "a" * 254}, "is not a DNS name or IP"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(
    query: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        asked(**query)


@pytest.mark.parametrize(
    ("header", "budget_s"),
    [(None, 15.0), ("0", 15.0), ("10", 9.5), ("1.0", 0.5), ("0.2", 0.1), ("3600", 15.0)],
)
def test_the_answer_is_due_before_prometheus_gives_up(header: str | None, budget_s: float) -> None:
    assert asked(header, target="gw-1").budget_s == pytest.approx(budget_s)


@pytest.mark.parametrize("header", ["", "x", "nan", "-1", "inf", "1;2"])
def test_a_crooked_timeout_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match=r"X-Prometheus-Scrape-Timeout-Seconds is .* a number"):
        asked(header, target="gw-1")
