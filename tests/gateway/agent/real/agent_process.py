"""The command ``gateway-agent`` as a process: it can be killed, and a shell can call it."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.daemons import unmeasured, wait_until
from tests.pki import Issued

ROOT = Path(__file__).parents[4]
TOKEN = "a-token-for-tests"  # noqa: S105 - as it says
_READY = "the management API answers url="


class AgentProcess:
    """One agent; ``start`` again after ``kill`` or ``stop``.

    Args:
        folder: For its files; the agent's own directory is ``agent`` in it.
        terminator: The section of its terminator.
        first: The chain, leaf first, that is served before the first rotation.
        more: Further settings.
    """

    def __init__(
        self,
        folder: Path,
        terminator: Mapping[str, object],
        first: Issued,
        **more: object,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.directory = folder / "agent"
        self.log = folder / "agent.log"
        self.token_file = folder / "token"
        self.url = ""
        self._config = folder / "agent.json"
        self._process: subprocess.Popen[bytes] | None = None
        self.token_file.write_text(TOKEN)
        (folder / "first.pem").write_bytes(first.pem)
        (folder / "first.key").write_bytes(first.key_pem)
        initial = {"chain_file": f"{folder}/first.pem", "key_file": f"{folder}/first.key"}
        options = {
            "listen": "127.0.0.1:0",
            "web": {"token_file": str(self.token_file)},
            "directory": str(self.directory),
            "terminator": terminator,
            "initial": initial,
            "server_name": "localhost",
            "proof": {"rounds": 2, "within": "20s"},
            **more,
        }
        self._config.write_text(json.dumps(options))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "exporter", "gateway-agent", "--config", self._config],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=unmeasured(),
            )  # fmt: skip

        def is_ready() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.text(begin)
            return _READY in self.text(begin)

        wait_until(is_ready, within_s=30, what="the agent to answer")
        self.url = self.text(begin).rpartition(_READY)[2].split()[0]

    def text(self, begin: int = 0) -> str:
        return self.log.read_bytes()[begin:].decode(errors="replace")

    def kill(self) -> None:
        self._end(by_force=True)

    def stop(self) -> None:
        self._end(by_force=False)

    def _end(self, *, by_force: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if by_force:
            process.kill()
        else:
            process.terminate()
        process.wait(20)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The answer's body, whatever its status."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - our own
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - likewise
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return json.loads(error.read())

    def certificates(self) -> Any:
        return self.call("GET", "/gateway/certificates")
