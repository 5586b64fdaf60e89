"""``gateway-agent`` as systemd starts it."""

import asyncio
import json
import signal
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp
import pytest

from tests.cli.running import COMMAND, run
from tests.daemons import free_port
from tests.gateway.agent.stand import FIRST, NAME, TOKEN
from tests.pki import certificate_of


def written(folder: Path, listen: str) -> Path:
    (folder / "token").write_text(f"{TOKEN}\n")
    (folder / "first.pem").write_bytes(FIRST.pem)
    (folder / "first.key").write_bytes(FIRST.key_pem)
    document = {
        "listen": listen,
        "directory": "state",
        "web": {"token_file": "token"},
        "terminator": {"embedded": {"listen": ["127.0.0.1:0"], "log_file": "gateway.log"}},
        "initial": {"chain_file": "first.pem", "key_file": "first.key"},
        "server_name": NAME,
    }
    path = folder / "agent.yml"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_the_agent_answers_until_a_signal_and_ends_in_time(tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "gateway-agent", "--config", written(tmp_path, listen), stdout=PIPE, stderr=PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(100):
        while b"the management API answers" not in (line := await process.stderr.readline()):
            assert line, "it ended before it listened"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"http://{listen}/gateway/certificates") as answer,
        ):
            shown = await answer.json()
        second = await run("gateway-agent", "--config", tmp_path / "agent.yml")
        process.send_signal(signal.SIGTERM)
        _, rest = await process.communicate()

    assert shown["serving"]["fingerprint"] == certificate_of(FIRST).fingerprint_sha256
    assert process.returncode == 0
    assert b"Traceback" not in rest
    assert second.code == 2
    assert "another agent works in" in second.err


@pytest.mark.slow
async def test_an_agent_that_cannot_listen_says_so(tmp_path: Path) -> None:
    ended = await run("gateway-agent", "--config", written(tmp_path, "192.0.2.1:9884"))

    assert ended.code == 2
    assert "192.0.2.1:9884 cannot be listened at" in ended.err
    assert "Traceback" not in ended.err
