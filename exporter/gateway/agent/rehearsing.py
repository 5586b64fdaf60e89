"""A second, small instance of a terminator for as long as somebody wants to look at it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from exporter.clock import Clock
from exporter.gateway.agent.driver import Address, DriverError
from exporter.gateway.agent.processes import is_listening, listens, processes
from exporter.gateway.agent.programs import Child, running
from exporter.gateway.agent.terminator import free_port, until

FOLDER = "rehearsal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """What is to run.

    Attributes:
        scratch: The driver's own folder.
        command: In the foreground, in ``scratch``'s ``FOLDER``.
        address: Where it listens.
        said: Makes the terminator's own sentence of what it said.
        serves: Whether what it said tells that it serves, for one that listens earlier than that.
    """

    name: str
    scratch: Path
    command: Sequence[str | Path]
    address: Address
    said: Callable[[str], str]
    serves: Callable[[str], bool] = lambda _text: True


def settled(address: Address) -> Address:
    """Return the address with a free port in place of 0; blocks.

    Raises:
        DriverError: not an address of this machine, or its port is in use: HAProxy would share
            it (SO_REUSEPORT), and devices would meet the rehearsal by chance.
    """
    if not address.port:
        return Address(host=address.host, port=free_port(address.host))
    if is_listening(address.port):
        raise DriverError(f"nothing can be rehearsed at {address}: its port is in use")
    return address


@asynccontextmanager
async def rehearsed(
    make: Callable[[Address], Instance],
    scratch: Path,
    address: Address,
    *,
    within_s: float,
    clock: Clock,
) -> AsyncIterator[Address]:
    """Run a second instance for as long as the context lasts; yields where it listens.

    Args:
        make: Writes what it needs, for the address where it is to listen; may block.
        scratch: The driver's own folder.
        address: As it was asked for.
        within_s: How long it may take to begin.
        clock: Where time comes from.

    Raises:
        DriverError: on entering; it would not serve there.
    """
    await asyncio.to_thread(end_leftovers, scratch / FOLDER)
    instance = await asyncio.to_thread(lambda: make(settled(address)))
    async with second(instance, within_s=within_s, clock=clock) as listened_at:
        yield listened_at


@asynccontextmanager
async def second(instance: Instance, *, within_s: float, clock: Clock) -> AsyncIterator[Address]:
    """Run it; yields its address once it listens there itself.

    Raises:
        DriverError: on entering; it ended, or did not listen in time.
    """
    async with running(instance.command, cwd=instance.scratch / FOLDER) as child:
        await _listening(child, instance, within_s, clock)
        yield instance.address


async def _listening(child: Child, instance: Instance, within_s: float, clock: Clock) -> None:
    def is_over() -> bool:
        is_up = listens(child.pid, instance.address.port) and instance.serves(child.text)
        return child.has_ended or is_up

    is_settled = await until(is_over, within_s=within_s, clock=clock)
    if child.has_ended:
        outcome = await child.wait()
        raise DriverError(
            f"{instance.name} would not serve this at {instance.address}:"
            f" {instance.said(outcome.text)}"
        )
    if not is_settled:
        raise DriverError(
            f"{instance.name} did not listen at {instance.address} within {within_s:g} s:"
            f" {instance.said(child.text)}"
        )


def end_leftovers(folder: Path) -> None:
    """End what an agent before us, which was killed, left running on files in ``folder``; blocks.

    They are known by their command lines: whoever is killed may not come to note a number.
    """
    for one in processes():
        # As ``running`` starts them: in a session of their own
        is_such = one.pid == one.session and f" {folder}/" in one.command
        if is_such and one.parent != os.getpid():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(one.pid, signal.SIGKILL)
