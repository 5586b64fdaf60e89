import pytest

from exporter.urls import http_url


@pytest.mark.parametrize(
    "url",
    ["http://a.example", "https://a.example:8443/x?y=z", "https://[::1]:9443/", "http://me@a/"],
)
def test_an_http_url_stays_as_written(url: str) -> None:
    assert http_url(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://a.example/", "is not a URL"),
        ("a.example", "is not a URL"),
        ("http:///path", "is not a URL"),
        ("http://a.example:port/", "port"),
        ("http://[::1/", "cannot be read"),
        ("http://a.example/\n", "holds spaces or is too long"),
        ("http://" + "a" * 3_000, "holds spaces or is too long"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        http_url(url)


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="secrets are named by file only") as caught:
        http_url("https://me:hunter2@a.example/")

    assert "hunter2" not in str(caught.value)
