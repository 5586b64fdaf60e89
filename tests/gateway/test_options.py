import pytest
from pydantic import ValidationError

from tests.gateway.apis import options_of


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/x?key=hunter2",
        "https://a.example/#hunter2",
        "https://hunter2@a.example",
        "https://u:hunter2@a.example",
        "ftp://a.example/hunter2",
        "hunter2",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        options_of(url)


@pytest.mark.parametrize("url", ["https://a.example?key=hunter2", "http://hunter2@a.example/x"])
def test_what_may_be_a_secret_in_a_url_is_not_repeated(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        options_of(url)

    assert "hunter2" not in caught.value.errors(include_input=False)[0]["msg"]


@pytest.mark.parametrize("alone", ["client_cert_file", "client_key_file"])
def test_certificate_and_key_go_together(alone: str) -> None:
    with pytest.raises(ValidationError, match="go together"):
        options_of("https://a.example", **{alone: "x.pem"})
