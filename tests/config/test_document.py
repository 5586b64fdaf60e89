from pathlib import Path

import pytest

from exporter.config import load
from exporter.config.document import EXAMPLE, document
from tests.pki import make_ca, make_leaf

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), (
        "run: python -m exporter.config.document docs/configuration.md"
    )


def test_the_pages_example_is_accepted(tmp_path: Path) -> None:
    ca = make_ca()
    leaf = make_leaf(ca, "exporter.example")
    for name, content in {
        "anchors/fw-4.1.pem": ca.pem,
        "anchors/fw-4.2.pem": ca.pem,
        "tls/exporter.pem": leaf.pem,
        "tls/exporter.key": leaf.key_pem,
        "tls/clients.pem": ca.pem,
        "secrets/inventory.token": b"secret\n",
        "secrets/site-a.token": b"secret\n",
        "secrets/push.token": b"secret\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    path = tmp_path / "config.yml"
    path.write_text(EXAMPLE)

    config = load(path)

    assert [target.name for target in config.static_targets] == ["gw-1", "dev-01", "dev-02"]
    assert EXAMPLE in document()


@pytest.mark.parametrize(
    "row",
    [
        "| `interval` | duration | `1m` | Between two looks at a target."
        " (at least `1s`, at most `1d`) |",
        "| `name` | text | required | Unique; the label `target` or `device`. |",
        "| `listen` | `HOST:PORT` | `127.0.0.1:9883` |",
        "| `message_keys` | list of texts | `MESSAGE, message, msg, ",
        "### `targets.static[]`",
    ],
)
def test_the_page_tells_key_type_default_and_meaning(row: str) -> None:
    assert row in document()
