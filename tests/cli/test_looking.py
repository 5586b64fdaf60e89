"""``probe`` against real listeners: what it prints, and its exit code."""

import asyncio
import json
import os
import pty
import ssl
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import yaml

from exporter.config import load
from tests.cli.running import COMMAND, Ended, run
from tests.listeners import demand_client_certificate, listening, say_nothing, server_context
from tests.pki import CLIENT_AUTH, Issued, make_ca, make_leaf, utc

CA = make_ca("cli CA")
GOOD = make_leaf(CA, "localhost", "127.0.0.1")
OTHER_CA = make_ca("other CA")
HOSTILE = make_leaf(CA, common_name="\x1b[31mred\u202e\nVERIFIED")

pytestmark = pytest.mark.slow


@asynccontextmanager
async def served(
    folder: Path, *chain: Issued, demands: Issued | None = None
) -> AsyncIterator[int]:
    context: ssl.SSLContext = server_context(folder / "served", chain)
    if demands:
        demand_client_certificate(context, demands)
    async with listening(say_nothing, tls=context) as port:
        yield port


def pem(folder: Path, name: str, *parts: bytes) -> Path:
    path = folder / f"{name}.pem"
    path.write_bytes(b"".join(parts))
    return path


@pytest.fixture
def anchors(tmp_path: Path) -> str:
    return str(pem(tmp_path, "ca", CA.pem))


async def test_a_good_look_is_code_0_and_one_object(tmp_path: Path, anchors: str) -> None:
    async with served(tmp_path, GOOD) as port:
        ended = await run("probe", f"127.0.0.1:{port}", "--trust-store", anchors, "--json")

    look = json.loads(ended.out)
    assert ended.code == 0
    assert ended.err == ""
    assert list(look) == [
        "target", "protocol", "connected", "handshake", "verified", "reason", "reasons",
        "warnings", "rejected_by", "detail", "tls_version", "cipher", "alpn",
        "client_certificate_requested", "chain", "trust_stores", "ocsp", "durations_s",
        "observed_at",
    ]  # fmt: skip
    assert look["target"] == f"127.0.0.1:{port}"
    assert (look["connected"], look["handshake"], look["verified"]) == (True, True, True)
    assert (look["reason"], look["reasons"], look["rejected_by"]) == (None, [], None)
    assert list(look["chain"][0]) == [
        "position", "subject", "issuer", "serial_number", "not_before", "not_after",
        "fingerprint_sha256", "public_key", "signature_algorithm",
    ]  # fmt: skip
    assert list(look["trust_stores"][0]) == [
        "name", "verified", "reasons", "warnings", "not_after", "path",
    ]  # fmt: skip
    assert look["trust_stores"][0]["name"] == "default"
    assert list(look["durations_s"]) == ["resolve", "connect", "handshake"]
    assert look["observed_at"].endswith("Z")


async def test_verified_means_by_every_store(tmp_path: Path, anchors: str) -> None:
    other = pem(tmp_path, "other", OTHER_CA.pem)
    async with served(tmp_path, GOOD) as port:
        ended = await run(
            "probe", f"127.0.0.1:{port}", "--trust-store", f"old={anchors}",
            "--trust-store", f"new={other}", "--json",
        )  # fmt: skip

    look = json.loads(ended.out)
    assert ended.code == 1
    assert look["verified"] is False
    assert (look["handshake"], look["rejected_by"]) == (True, "local")
    assert look["reason"] == "unknown_ca"
    assert [(s["name"], s["verified"]) for s in look["trust_stores"]] == [
        ("old", True),
        ("new", False),
    ]


async def test_a_look_that_connects_to_nothing_is_bad_news() -> None:
    ended = await run("probe", "127.0.0.1:1", "--json")

    look = json.loads(ended.out)
    assert ended.code == 1
    assert (look["connected"], look["handshake"], look["verified"]) == (False, False, None)
    assert look["reason"] == "connect_refused"
    assert look["chain"] == []
    assert look["durations_s"]["handshake"] is None


async def test_a_name_can_be_sent_and_checked_or_not(tmp_path: Path, anchors: str) -> None:
    async with served(tmp_path, GOOD) as port:
        where = ["probe", f"127.0.0.1:{port}", "--trust-store", anchors, "--json", "--server-name"]
        right = await run(*where, "localhost")
        wrong = await run(*where, "other.test")
        none = await run(*where, "")

    assert (right.code, wrong.code, none.code) == (0, 1, 0)
    assert json.loads(wrong.out)["reasons"] == ["hostname_mismatch"]


async def test_a_client_certificate_is_shown_where_it_is_demanded(
    tmp_path: Path, anchors: str
) -> None:
    client = make_leaf(OTHER_CA, common_name="ops", purposes=(CLIENT_AUTH,))
    cert, key = pem(tmp_path, "client", client.pem), pem(tmp_path, "key", client.key_pem)
    async with served(tmp_path, GOOD, demands=OTHER_CA) as port:
        where = ["probe", f"127.0.0.1:{port}", "--trust-store", anchors, "--json"]
        without = json.loads((await run(*where)).out)
        with_one = await run(*where, "--client-cert", cert, "--client-key", key)

    assert (without["handshake"], without["reason"]) == (False, "client_cert_required")
    assert without["chain"]
    assert with_one.code == 0


async def test_people_read_chain_verdicts_and_what_to_paste(tmp_path: Path, anchors: str) -> None:
    other = pem(tmp_path, "other", OTHER_CA.pem)
    async with served(tmp_path, GOOD) as port:
        ended = await run(
            "probe", f"127.0.0.1:{port}", "--trust-store", f"fw={anchors}",
            "--trust-store", f"new={other}",
        )  # fmt: skip

    assert "not verified: unknown_ca" in ended.out
    assert "CN=localhost" in ended.out
    assert "89 days left" in ended.out
    assert "fw (1 anchor): verified" in ended.out
    assert "it leads to no CA in this trust store" in ended.out
    assert "\x1b" not in ended.out
    config = tmp_path / "config.yml"
    config.write_text(ended.out.partition("in the configuration:\n")[2])
    [target] = load(config).static_targets
    assert target.address == f"127.0.0.1:{port}"
    assert target.trust_stores == ("fw", "new")


async def test_hostile_names_do_not_reach_the_terminal(tmp_path: Path, anchors: str) -> None:
    async with served(tmp_path, HOSTILE) as port:
        ended = await run("probe", f"127.0.0.1:{port}", "--trust-store", anchors)

    assert "[31mred" in ended.out
    assert "\x1b" not in ended.out
    assert "\u202e" not in ended.out
    assert not any(line.strip().startswith("VERIFIED") for line in ended.out.splitlines())


def objects(ended: Ended) -> dict[str, bool | None]:
    looks = [json.loads(line) for line in ended.out.splitlines()]
    return {look["target"]: look["verified"] for look in looks}


async def test_many_looks_are_one_object_a_line(tmp_path: Path, anchors: str) -> None:
    async with served(tmp_path, GOOD) as port:
        listed = tmp_path / "targets"
        listed.write_text(f"# the fleet\n127.0.0.1:{port}\n\n127.0.0.1:1  # gone\n")
        ended = await run("probe", "--targets", listed, "--trust-store", anchors, "--json")

    assert ended.code == 1
    assert ended.err == ""
    assert objects(ended) == {f"127.0.0.1:{port}": True, "127.0.0.1:1": None}


async def test_a_bar_is_drawn_on_a_terminal_beside_the_answers(tmp_path: Path) -> None:
    listed = tmp_path / "targets"
    listed.write_text("127.0.0.1:1\n" * 5)
    ours, its = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "probe", "--targets", listed, "--json", stdout=PIPE, stderr=its,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(its)
    async with asyncio.timeout(50):
        # At the same time: a terminal takes only so much that nobody reads
        (out, _), drawn = await asyncio.gather(
            process.communicate(), asyncio.to_thread(read_terminal, ours)
        )

    assert [json.loads(line)["reason"] for line in out.splitlines()] == ["connect_refused"] * 5
    assert b"looks" in drawn
    assert b"5/5" in drawn
    assert b"connect_refused" not in drawn


def read_terminal(number: int) -> bytes:
    parts = []
    with suppress(OSError):  # EIO: nobody holds the other end any more
        while part := os.read(number, 65_536):
            parts.append(part)
    os.close(number)
    return b"".join(parts)


async def test_many_looks_read_from_standard_input(tmp_path: Path, anchors: str) -> None:
    async with served(tmp_path, GOOD) as port:
        ended = await run(
            "probe", "--targets", "-", "--trust-store", anchors,
            stdin=f"localhost:{port}\n127.0.0.1:{port}\n".encode(),
        )  # fmt: skip

    assert ended.code == 0
    assert "2 of 2 verified" in ended.out


async def test_a_file_sd_file_brings_names_and_leaves_out_what_is_wrong(
    tmp_path: Path, anchors: str
) -> None:
    async with served(tmp_path, GOOD) as port:
        groups = [
            {
                "targets": [f"127.0.0.1:{port}"],
                "labels": {"server_name": "localhost", "trust_stores": "what-the-service-knows"},
            },
            {"targets": ["no-port"], "labels": {}},
            {"targets": ["mail:25"], "labels": {"protocol": "smtp"}},
        ]
        listed = tmp_path / "targets.json"
        listed.write_text(json.dumps(groups))
        ended = await run("probe", "--targets", listed, "--trust-store", anchors, "--json")

    assert objects(ended) == {f"127.0.0.1:{port}": True}
    assert ended.code == 1
    assert "no-port is left out: address: 'no-port' has no port" in ended.err
    assert "mail:25 is left out: protocol: the protocol 'smtp' is not supported yet" in ended.err


async def test_yaml_and_json_without_a_suffix_are_known_by_their_content(
    tmp_path: Path, anchors: str
) -> None:
    async with served(tmp_path, GOOD) as port:
        groups = [{"targets": [f"127.0.0.1:{port}"], "labels": {}}]
        as_yaml, as_json = tmp_path / "targets.yml", tmp_path / "piped"
        as_yaml.write_text(yaml.safe_dump(groups))
        as_json.write_text(json.dumps(groups))
        codes = [
            (await run("probe", "--targets", file, "--trust-store", anchors)).code
            for file in (as_yaml, as_json)
        ]

    assert codes == [0, 0]


async def test_every_crooked_line_is_named_before_any_look(tmp_path: Path) -> None:
    listed = tmp_path / "targets"
    listed.write_text("a:1\nb\n[::1]:443\nc:x\n")

    ended = await run("probe", "--targets", listed)

    assert ended.code == 2
    assert ended.out == ""
    assert [
        line.partition("targets:")[2].partition(" ")[0] for line in ended.err.splitlines()
    ] == [
        "2:",
        "4:",
    ]


@pytest.mark.parametrize(
    ("name", "text"), [("t", ""), ("t", "# x\n"), ("t.json", "[]"), ("t.json", "{")]
)
async def test_a_list_of_nothing_is_code_2(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)

    assert (await run("probe", "--targets", tmp_path / name)).code == 2


async def test_a_look_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    async with listening(say_nothing) as port:
        ended = await run("probe", f"127.0.0.1:{port}", "--timeout", "300ms", "--json")

    look = json.loads(ended.out)
    assert ended.code == 1
    # A busy machine may need all the time for the connection already
    assert look["reason"] == ("handshake_timeout" if look["connected"] else "connect_timeout")


async def test_an_expired_chain_is_shown_all_the_same(tmp_path: Path, anchors: str) -> None:
    old = make_leaf(CA, "127.0.0.1", not_before=utc("2020-01-01"), not_after=utc("2021-01-01"))
    async with served(tmp_path, old) as port:
        ended = await run("probe", f"127.0.0.1:{port}", "--trust-store", anchors, "--json")

    look = json.loads(ended.out)
    assert ended.code == 1
    assert (look["handshake"], look["reason"]) == (True, "expired")
    assert look["chain"][0]["not_after"] == "2021-01-01T00:00:00Z"
