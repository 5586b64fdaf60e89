"""``/probe`` beside the real blackbox_exporter on the same endpoints: names, labels, values."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.daemons import Daemon, free_port, need
from tests.listeners import listening, say_nothing, server_context
from tests.pki import Issued, certificate_of, make_ca, make_leaf
from tests.web.serving import FakeService, gateway, serving, store_of

pytestmark = pytest.mark.slow

CA = make_ca("beside CA")
MIDDLE = make_ca("beside intermediate", issuer=CA)
GOOD = make_leaf(MIDDLE, "127.0.0.1", "gw.test")
STRANGER = make_leaf(make_ca("strange CA"), "127.0.0.1")

Found = dict[str, list[tuple[dict[str, str], float]]]


async def probe(url: str, **query: str) -> Found:
    async with aiohttp.ClientSession() as session, session.get(url, params=query) as answer:
        assert answer.status == 200
        text = await answer.text()
    return {
        family.name: [(sample.labels, sample.value) for sample in family.samples]
        for family in parse_text(text)
    }


def blackbox(folder: Path, port: int) -> Daemon:
    (folder / "ca.pem").write_bytes(CA.pem)
    judged = {"ca_file": str(folder / "ca.pem")}
    modules = {
        name: {"prober": "tcp", "timeout": "30s", "tcp": {"tls": True, "tls_config": settings}}
        for name, settings in (("judging", judged), ("looking", {"insecure_skip_verify": True}))
    }
    (folder / "blackbox.yml").write_text(yaml.safe_dump({"modules": modules}))
    command = [
        need("prometheus-blackbox-exporter"),
        f"--config.file={folder / 'blackbox.yml'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    return Daemon(command, directory=folder / "blackbox", ports=[port])


async def both(folder: Path, chain: tuple[Issued, ...], module: str) -> tuple[Found, Found]:
    """What blackbox_exporter says of an endpoint, and what we say."""
    peer_port = free_port()
    daemon = blackbox(folder, peer_port)
    async with listening(say_nothing, tls=server_context(folder / "tls", chain)) as port:
        target = gateway("gw", f"127.0.0.1:{port}", "fw")
        service = FakeService(targets=[target], stores=[store_of("fw", certificate_of(CA))])
        await asyncio.to_thread(daemon.__enter__)
        try:
            async with serving(service) as (url, _):
                address = target.address or ""
                theirs = await probe(
                    f"http://127.0.0.1:{peer_port}/probe", target=address, module=module
                )
                ours = await probe(f"{url}/probe", target=address, module="tls_connect")
        finally:
            await asyncio.to_thread(daemon.__exit__, None, None, None)
    return theirs, ours


async def test_a_good_endpoint_is_told_alike(tmp_path: Path) -> None:
    theirs, ours = await both(tmp_path, (GOOD, MIDDLE), "judging")

    for name in (
        "probe_success",
        "probe_ssl_earliest_cert_expiry",
        "probe_ssl_last_chain_expiry_timestamp_seconds",
        "probe_tls_version_info",
    ):
        if name in theirs:  # Debian's 0.23 has no probe_tls_version_info for TCP
            assert ours[name] == theirs[name], name
    [(labels, value)] = theirs["probe_ssl_last_chain_info"]
    [(our_labels, our_value)] = ours["probe_ssl_last_chain_info"]
    assert our_value == value
    assert labels.items() <= our_labels.items()  # newer versions have serialnumber, too


async def test_where_theirs_loses_the_dates_ours_stay(tmp_path: Path) -> None:
    theirs, ours = await both(tmp_path, (STRANGER,), "judging")

    assert theirs["probe_success"] == ours["probe_success"] == [({}, 0)]
    assert "probe_ssl_earliest_cert_expiry" not in theirs
    assert ours["probe_ssl_earliest_cert_expiry"] == [
        ({}, STRANGER.certificate.not_valid_after_utc.timestamp())
    ]


async def test_where_theirs_does_not_judge_ours_still_does(tmp_path: Path) -> None:
    theirs, ours = await both(tmp_path, (STRANGER,), "looking")

    assert theirs["probe_success"] == [({}, 1)]
    assert ours["probe_success"] == [({}, 0)]
    assert theirs["probe_ssl_last_chain_expiry_timestamp_seconds"][0][1] < 0
    assert "probe_ssl_last_chain_expiry_timestamp_seconds" not in ours
