"""HAProxy's runtime API over its control socket or its master's: one command, one answer."""

import asyncio
import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from exporter.clock import Clock
from exporter.gateway.agent.driver import DriverError
from exporter.gateway.agent.programs import cut

_ANSWER_S = 5.0
_ABSENT_S = 1.0
_RETRY_S = 0.05
_MAX_ANSWER = 1 << 20
_MIN_LINE = 16
_SHA1 = re.compile(r"^SHA1 FingerPrint: ([0-9A-F]{40})$", re.MULTILINE)
_STATUS = re.compile(r"^Status: (.+)$", re.MULTILINE)
_FAILED = re.compile(r"\[failed: (\d+)\]")
_WORKER = re.compile(r"^(\d+)\s+worker\s", re.MULTILINE)
_MASTER = re.compile(r"^(\d+)\s+master\s+(\d+)", re.MULTILINE)


class Control:
    """One UNIX socket of HAProxy.

    Args:
        what: How sentences call it.
    """

    def __init__(self, path: Path, what: str, clock: Clock) -> None:
        self._path = path
        self._what = what
        self._clock = clock

    async def show(self, what: str) -> str:
        """Return the answer to a question, which may be asked several times.

        Raises:
            DriverError: nobody is there, or there is no answer in time.
        """
        return await self._asked(what, may_repeat=True)

    async def order(self, command: str, payload: str = "") -> str:
        """Return the answer to a command that is sent once.

        Raises:
            DriverError: nobody is there, or there is no answer in time.
        """
        # a payload ends at the first empty line
        body = "".join(f"{line}\n" for line in payload.splitlines() if line.strip())
        answer = await self._asked(f"{command} <<\n{body}" if payload else command)
        return _without(answer, payload)

    async def _asked(self, text: str, *, may_repeat: bool = False) -> str:
        data = f"{text}\n".encode("utf-8", "surrogateescape")
        try:
            async with asyncio.timeout(_ANSWER_S):
                answer = await self._exchange(data, may_repeat=may_repeat)
        except TimeoutError as exc:
            raise DriverError(
                f"HAProxy's {self._what} {self._path} did not answer within {_ANSWER_S:g} s"
            ) from exc
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise DriverError(
                f"HAProxy's {self._what} {self._path} does not answer: {reason}"
            ) from exc
        return answer.decode("utf-8", "replace").strip()

    async def _exchange(self, data: bytes, *, may_repeat: bool) -> bytes:
        """Ask; while HAProxy starts or reloads, nobody is there for a moment, or is cut off."""
        end = self._clock.monotonic() + _ABSENT_S
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path))
            except (ConnectionRefusedError, FileNotFoundError):
                if self._clock.monotonic() >= end:
                    raise
            else:
                try:
                    return await _answer(reader, writer, data)
                except (ConnectionResetError, BrokenPipeError):
                    if not may_repeat or self._clock.monotonic() >= end:
                        raise
            await self._clock.sleep(_RETRY_S)


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes
) -> bytes:
    try:
        writer.write(data)
        await writer.drain()
        writer.write_eof()
        answer = b""
        while len(answer) < _MAX_ANSWER and (chunk := await reader.read(65_536)):
            answer += chunk
        return answer
    finally:
        # abort: what HAProxy did not read by now it is not to read later
        writer.transport.abort()


def _without(answer: str, payload: str) -> str:
    """Return an answer in which no line of what was sent stands: there was a key in it."""
    for line in payload.splitlines():
        if len(line) >= _MIN_LINE and line in answer:
            answer = answer.replace(line, "…")
    return answer


async def replace_certificate(control: Control, name: str, pem: str) -> None:
    """Have HAProxy serve ``pem`` (chain and key) in the place of the certificate ``name``.

    Raises:
        DriverError: it refused; what it served it still serves.
    """
    # what an agent that was killed left half done
    await control.order(f"abort ssl cert {name}")
    try:
        await _transact(control, name, pem)
    except DriverError:
        with suppress(DriverError):  # a socket that does not answer has said so already
            await control.order(f"abort ssl cert {name}")
        raise


async def _transact(control: Control, name: str, pem: str) -> None:
    answer = await control.order(f"set ssl cert {name}", pem)
    if "Transaction created" not in answer and "Transaction updated" not in answer:
        raise DriverError(f"HAProxy does not take the certificate: {_refusal(answer, pem)}")
    answer = await control.order(f"commit ssl cert {name}")
    if "Success!" not in answer:
        raise DriverError(f"HAProxy refuses the certificate: {_refusal(answer, pem)}")


def _refusal(answer: str, pem: str) -> str:
    if answer:
        return cut(answer)
    return (
        f"it hung up without a word; chain and key have {len(pem)} bytes, and it takes no more at"
        " once than its tune.bufsize (16384 unless set): raise that, or set 'apply: reload'"
    )


async def held_certificate(control: Control, name: str, prefix: str = "") -> str | None:
    """Return the SHA-1 (lower-case hex) of the leaf that HAProxy holds under ``name``.

    None: it does not say.

    Raises:
        DriverError: it does not answer, or uses no such certificate.
    """
    answer = await control.show(f"{prefix}show ssl cert {name}")
    found, status = _SHA1.search(answer), _STATUS.search(answer)
    if found is None:
        if "Can't" in answer or not answer:
            raise DriverError(f"HAProxy holds no certificate {name}: {cut(answer)}")
        return None
    if status is not None and status[1] == "Unused":
        raise DriverError(f"HAProxy holds the certificate {name}, but no bind line uses it")
    return found[1].lower()


def sha1_of(der: bytes) -> str:
    """Return the name that HAProxy has for a certificate; no proof of anything."""
    return hashlib.sha1(der, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """What the master says of its processes.

    Attributes:
        reloads: How often it was reloaded.
        failed: How often that failed since it last succeeded.
        workers: Those that serve, and those that finish what they began.
    """

    reloads: int
    failed: int
    workers: frozenset[int]


async def processes(master: Control) -> Processes:
    """Return the processes of a master.

    Raises:
        DriverError: it does not answer, or not as a master.
    """
    answer = await master.show("show proc")
    found, failed = _MASTER.search(answer), _FAILED.search(answer)
    if found is None:
        raise DriverError(f"HAProxy's master does not list its processes: {cut(answer)}")
    current = answer.partition("# old workers")[0]
    return Processes(
        reloads=int(found[2]),
        failed=int(failed[1]) if failed else 0,
        workers=frozenset(int(number) for number in _WORKER.findall(current)),
    )
