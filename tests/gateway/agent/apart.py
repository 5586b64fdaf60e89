"""An agent in a process of its own, which something happens to at a line of a change."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from exporter.gateway.agent.versions import Versions
from tests.daemons import free_port, unmeasured, wait_until
from tests.gateway.agent.real.stand import Versions as Folders
from tests.gateway.agent.real.terminators import nginx
from tests.gateway.agent.stand import FIRST, Agent, Answer, Json, options, until
from tests.pki import certificate_of

ROOT = Path(__file__).resolve().parents[3]
FIRST_LEAF = certificate_of(FIRST).fingerprint_sha256

# As many lines of the agent's own code as a change has, measured; the driver's count, too.
# Before nginx some of them wait for it
LINES = {
    ("embedded", "rotate"): 3_300,
    ("embedded", "rollback"): 2_900,
    ("nginx", "rotate"): 18_500,
    ("nginx", "rollback"): 17_500,
}


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where an agent dies and comes back: its options, and the port that must go on serving."""

    folder: Path
    port: int
    more: Json

    @property
    def directory(self) -> Path:
        return self.folder / "agent"


@contextmanager
def ground_of(terminator: str, folder: Path) -> Iterator[Ground]:
    proof = {"rounds": 1, "within": "4s"}
    if terminator == "embedded":
        port = free_port()
        section: Json = {"listen": [f"127.0.0.1:{port}"], "log_file": str(folder / "gateway.log")}
        more = {"terminator": {"embedded": section}, "proof": proof}
        yield Ground(folder=folder, port=port, more=more)
        return
    folders = Folders(folder / "agent")
    folders.switch(folders.add(FIRST))
    with nginx(folder / "nginx", folders) as real:
        section = real.section.model_dump(mode="json", exclude_unset=True)
        yield Ground(folder=folder, port=real.port, more={"terminator": section, "proof": proof})


@asynccontextmanager
async def agent_at(
    ground: Ground, line: int, *, full: str = "", before: Sequence[str] = ()
) -> AsyncIterator[tuple[Agent, subprocess.Popen[bytes]]]:
    """A process of its own with an agent, which dies at ``line``; 0: it lives.

    ``full``: at that line the disk is filled by this file instead; ``before``: what is put before
    the command.
    """
    told = ground.folder / "options.json"
    url_file = ground.folder / "url"
    url_file.unlink(missing_ok=True)
    told.write_text(options(ground.directory, **ground.more).model_dump_json(exclude_unset=True))
    log = (ground.folder / "agent.log").open("ab")
    with log, subprocess.Popen(  # noqa: ASYNC220 - it starts in no time
        [
            *before, sys.executable, "-m", "tests.gateway.agent.doomed",
            told, url_file, str(line), full,
        ],
        cwd=ROOT, stdout=log, stderr=log, env=unmeasured(),
    ) as process:  # fmt: skip
        try:
            wait_until(
                lambda: url_file.exists() or process.poll() is not None,
                within_s=40, what="the agent to listen",
            )  # fmt: skip
            timeout = aiohttp.ClientTimeout(total=50)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                yield (
                    Agent(
                        url=url_file.read_text(),
                        directory=ground.directory,
                        session=session,
                    ),
                    process,
                )
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)


async def change(agent: Agent, what: str, chain: str) -> Answer | None:
    """The answer to a change with one key; None: the agent died meanwhile."""
    try:
        if what == "rotate":
            return await agent.rotate(chain, Idempotency_Key="the-key")
        return await agent.rollback(Idempotency_Key="the-key")
    except aiohttp.ClientError:
        return None


def check_disk(ground: Ground) -> None:
    """Whatever starts the terminator now finds a whole version with its key."""
    versions = Versions(ground.directory)
    number = versions.pointed_to()
    assert number is not None
    assert versions.read(number).is_key_usable


async def settled(agent: Agent, what: str, chain: str) -> Answer:
    """The answer to the same key once the agent has looked."""
    answers: list[Answer] = []

    async def is_settled() -> bool:
        answer = await change(agent, what, chain)
        assert answer is not None
        answers.append(answer)
        return answer.status != 409

    await until(is_settled, "the interrupted change to be settled", within_s=30)
    return answers[-1]


async def is_proven(agent: Agent) -> bool:
    return any(one["proven"] for one in (await agent.certificates())["versions"])
