import hmac
from pathlib import Path

import pytest

from exporter.web import tokens
from exporter.web.tokens import is_token_in


@pytest.mark.parametrize("given", [b"right-toke", b"right-token", b"wrong-token", b"", b"r"])
async def test_a_token_is_compared_whole_and_in_constant_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bytes
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return hmac.compare_digest(left, right)

    monkeypatch.setattr(tokens, "compare_digest", compare)
    (tmp_path / "token").write_text("right-token\n")

    opens = await is_token_in(tmp_path / "token", given)

    assert opens is (given == b"right-token")
    assert compared == [(given, b"right-token")], "nothing is decided before"
