import os
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.text_files import decode, read_bounded


@pytest.mark.parametrize(
    ("data", "line"), [(b"\xff", 1), (b"a\nb\n\xc3(", 3), ("ö".encode("utf-16"), 1)]
)
def test_what_is_not_utf_8_is_refused_with_its_line(data: bytes, line: int) -> None:
    with pytest.raises(ConfigError, match=rf"x:{line}: byte 0x.. is not UTF-8"):
        decode(data, "x")


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")

    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(ConfigError, match="larger than the 4 bytes"):
        read_bounded(path, 4)


def test_a_pipe_is_read_like_a_file() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"targets: {}")
    os.close(writer)
    try:
        assert read_bounded(Path(f"/dev/fd/{reader}"), 100) == b"targets: {}"
    finally:
        os.close(reader)
