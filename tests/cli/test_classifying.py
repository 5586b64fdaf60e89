"""``logs classify``: one object a line, or a table for people."""

import gzip
import io
import json
from pathlib import Path

import pytest

from exporter.cli.classifying import lines_of
from exporter.handshake_log.classify import MAX_LINE_BYTES
from tests.cli.running import run

REFUSED = (
    b"2026/11/24 12:00:00 [info] 1#1: *5 SSL_do_handshake() failed (SSL: error:0A000418:SSL"
    b" routines::tlsv1 alert unknown ca:SSL alert number 48) while SSL handshaking,"
    b" client: 10.0.0.5, server: 0.0.0.0:8883"
)


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a\n"]),
        (b"\n\na", [b"\n", b"\n", b"a"]),
        (b"a\rb\x0b\x0cc\x85d\xe2\x80\xa8e\n", [b"a\rb\x0b\x0cc\x85d\xe2\x80\xa8e\n"]),
        (b"a\r\nb", [b"a\r\n", b"b"]),
    ],
)
def test_lines_end_at_a_line_feed_only(body: bytes, lines: list[bytes]) -> None:
    assert list(lines_of(io.BytesIO(body))) == lines


@pytest.mark.parametrize("extra", [0, 1, 2, 3, 200_000])
def test_a_long_line_is_one_line_and_cut(extra: int) -> None:
    body = b"x" * (MAX_LINE_BYTES + extra) + b"\nnext\n"

    first, second = lines_of(io.BytesIO(body))

    assert len(first) <= MAX_LINE_BYTES + 2
    assert second == b"next\n"


@pytest.mark.slow
async def test_every_line_has_its_object_in_order() -> None:
    ended = await run(
        "logs", "classify", "--json", "-", stdin=b"hello\r\n\n" + REFUSED + b"\n\xff\xfe"
    )

    nothing = {
        "failure": False, "success": False, "reason": None, "rejected_by": None, "peer": None,
        "writer": None, "resumed": None,
    }  # fmt: skip
    assert ended.code == 0
    assert [json.loads(line) for line in ended.out.splitlines()] == [
        nothing,
        nothing,
        {
            "failure": True,
            "success": False,
            "reason": "unknown_ca",
            "rejected_by": "peer",
            "peer": "10.0.0.5",
            "writer": "nginx",
            "resumed": None,
        },
        nothing,
    ]


@pytest.mark.slow
async def test_people_get_a_table_and_a_sum() -> None:
    ended = await run("logs", "classify", stdin=b"hello\n" + REFUSED + b"\n" + REFUSED)

    rows = ended.out.splitlines()
    assert rows[0].split() == ["2", "unknown_ca", "peer", "10.0.0.5", "nginx"]
    assert "3 lines: 0 handshakes, 2 failures" in ended.out
    assert rows[-1].split() == ["2", "unknown_ca,", "told", "by", "peer"]


@pytest.mark.slow
async def test_hostile_text_does_not_reach_the_terminal() -> None:
    hostile = REFUSED.replace(b"10.0.0.5", b"\x1b[2J\xe2\x80\xaedev")

    ended = await run("logs", "classify", stdin=hostile)

    assert "\x1b" not in ended.out
    assert "\u202e" not in ended.out


@pytest.mark.slow
async def test_a_rotated_and_packed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "error.log.2.gz"
    path.write_bytes(gzip.compress(b"hello\n" + REFUSED + b"\n"))

    ended = await run("logs", "classify", path)

    assert "2 lines: 0 handshakes, 1 failures" in ended.out


@pytest.mark.slow
async def test_a_packed_file_that_is_damaged_is_code_2_after_what_could_be_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "error.log.2.gz"
    path.write_bytes(gzip.compress(REFUSED + b"\n")[:-9])

    ended = await run("logs", "classify", "--json", path)

    assert ended.code == 2
    assert "it is damaged" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.slow
async def test_a_format_of_ones_own_can_be_tried(tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(
        "targets: {static: []}\n"
        "handshake_logs:\n"
        "  - file: gateway.log\n"
        "    message_keys: [said]\n"
        "    formats:\n"
        "      - {name: acme, pattern: '^turned away (?P<peer>\\S+) (?P<reason>.*)$',\n"
        "         outcome: failure, mark: turned away}\n"
    )
    lines = b'{"said": "turned away 10.0.0.9 tlsv1 alert unknown ca"}\n' + REFUSED

    ended = await run("logs", "classify", "--json", "--config", config, stdin=lines)

    found = [json.loads(line) for line in ended.out.splitlines()]
    assert [one["writer"] for one in found] == ["acme", "nginx"]
    assert [one["peer"] for one in found] == ["10.0.0.9", "10.0.0.5"]
