import bcrypt
import pytest
from pydantic import BaseModel, ValidationError

from exporter.web.options import (
    Listen,
    ListenAddress,
    Options,
    ProbeEndpointOptions,
    parse_listen,
)


class Section(BaseModel):
    listen: Listen = ListenAddress(host="", port=9883)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9883", "127.0.0.1", 9883),
        ("[::1]:9883", "::1", 9883),
        ("localhost:0", "localhost", 0),
        (":9883", "", 9883),
    ],
)
def test_a_place_to_listen_is_read_and_written_alike(text: str, host: str, port: int) -> None:
    address = parse_listen(text)

    assert (address.host, address.port) == (host, port)
    assert str(address) == text


def test_a_place_to_listen_can_be_given_in_python_and_in_the_file() -> None:
    given = Section(listen=ListenAddress(host="::1", port=1))

    assert given.model_dump(mode="json") == {"listen": "[::1]:1"}
    assert Section.model_validate_json('{"listen": "[::1]:1"}') == given


def test_a_bare_port_is_refused() -> None:
    with pytest.raises(ValidationError, match="'9883' has no port; write HOST:PORT"):
        Section.model_validate_json('{"listen": 9883}')


def test_bcrypt_hashes_are_taken() -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()

    assert Options(users={"admin": hashed}).users == {"admin": hashed}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("10.1.0.0/16", "10.1.0.0/16"),
        ("10.1.2.3", "10.1.2.3"),
        ("::1", "::1"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("GW-1.example", "gw-1.example"),
        ("*.example", "*.example"),
    ],
)
def test_networks_addresses_and_names_can_be_allowed(written: str, kept: str) -> None:
    assert ProbeEndpointOptions(allow=(written,)).allow == (kept,)


@pytest.mark.parametrize(
    "written", ["", "*", "*.", "*.10.0.0.1", "a:1", "10.0.0.1:1", "10.1.2.3/8"]
)
def test_anything_else_cannot_be(written: str) -> None:
    with pytest.raises(ValidationError):
        ProbeEndpointOptions(allow=(written,))
