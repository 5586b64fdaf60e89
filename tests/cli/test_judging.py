"""``verify``: a chain in a file, without the network."""

import json
from pathlib import Path

import pytest

from tests.cli.running import run
from tests.pki import make_ca, make_leaf, utc

CA = make_ca("verify CA", not_before=utc("2026-01-01"), not_after=utc("2036-01-01"))
LEAF = make_leaf(
    CA, "gw.test", "10.0.0.1", not_before=utc("2026-01-01"), not_after=utc("2027-01-01")
)
NOW = "2026-06-01T12:00:00Z"

pytestmark = pytest.mark.slow


@pytest.fixture
def anchors(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_bytes(CA.pem)
    return path


def chain(folder: Path, *parts: bytes) -> Path:
    path = folder / "chain.pem"
    path.write_bytes(b"".join(parts))
    return path


async def test_a_good_chain_is_code_0_and_one_object(tmp_path: Path, anchors: Path) -> None:
    ended = await run(
        "verify", chain(tmp_path, LEAF.pem), "--trust-store", anchors, "--at", NOW, "--json"
    )

    found = json.loads(ended.out)
    assert ended.code == 0
    assert list(found) == [
        "verified", "reason", "reasons", "warnings", "detail", "at", "chain", "trust_stores",
    ]  # fmt: skip
    assert (found["verified"], found["reason"], found["reasons"]) == (True, None, [])
    assert found["at"] == NOW
    assert found["trust_stores"][0]["not_after"] == "2027-01-01T00:00:00Z"
    assert found["trust_stores"][0]["path"][0] == found["chain"][0]["fingerprint_sha256"]


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        ([], []),
        (["--server-name", "gw.test"], []),
        (["--server-name", "10.0.0.1"], []),
        (["--server-name", ""], []),
        (["--server-name", "other.test"], ["hostname_mismatch"]),
        (["--at", "2028-01-01"], ["expired"]),
        (["--at", "2025-01-01T00:00:00+02:00"], ["not_yet_valid"]),
        (["--at", "2028-01-01", "--server-name", "x.test"], ["expired", "hostname_mismatch"]),
    ],
)
async def test_moment_and_name_are_what_is_asked_for(
    options: list[str], reasons: list[str], tmp_path: Path, anchors: Path
) -> None:
    ended = await run(
        "verify", chain(tmp_path, LEAF.pem), "--trust-store", anchors, "--at", NOW, *options,
        "--json",
    )  # fmt: skip

    assert json.loads(ended.out)["reasons"] == reasons
    assert ended.code == (1 if reasons else 0)


async def test_a_key_in_the_file_is_passed_over_and_never_shown(
    tmp_path: Path, anchors: Path
) -> None:
    together = chain(tmp_path, LEAF.key_pem, LEAF.pem, CA.pem)

    ended = await run("verify", together, "--trust-store", anchors, "--at", NOW)

    assert ended.code == 0
    assert "PRIVATE" not in ended.out + ended.err


async def test_a_chain_is_read_from_standard_input(anchors: Path) -> None:
    ended = await run("verify", "-", "--trust-store", anchors, "--at", NOW, stdin=LEAF.pem)

    assert ended.code == 0


@pytest.mark.parametrize(
    "body",
    [
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n",
        LEAF.pem + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
)
async def test_a_certificate_that_cannot_be_parsed_is_not_verified(
    body: bytes, tmp_path: Path, anchors: Path
) -> None:
    ended = await run("verify", chain(tmp_path, body), "--trust-store", anchors, "--json")

    found = json.loads(ended.out)
    assert ended.code == 1
    assert (found["verified"], found["reason"], found["reasons"]) == (False, "other", ["other"])
    assert found["detail"]
    assert found["trust_stores"][0]["reasons"] == ["other"]


@pytest.mark.parametrize("body", [b"", b"hello", b"\x00\xff" * 50, LEAF.key_pem])
async def test_a_file_without_any_certificate_cannot_be_judged(
    body: bytes, tmp_path: Path, anchors: Path
) -> None:
    ended = await run("verify", chain(tmp_path, body), "--trust-store", anchors, "--json")

    assert ended.code == 2
    assert "there is no certificate in PEM form" in ended.err


async def test_people_read_the_same(tmp_path: Path, anchors: Path) -> None:
    ended = await run(
        "verify", chain(tmp_path, LEAF.pem, CA.pem), "--trust-store", f"fw={anchors}",
        "--at", "2026-12-20",
    )  # fmt: skip

    assert ended.out.startswith("verified\n")
    assert "12 days left" in ended.out
    assert "fw (1 anchor): verified" in ended.out
    assert "path 0 > 1, verifies until 2027-01-01 00:00 UTC" in ended.out
