"""Whatever happens to a look, nothing of it stays behind."""

import asyncio
import gc
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.observations import Reason
from exporter.probe.model import Limits
from tests.daemons import free_port
from tests.listeners import (
    answering,
    close_after_hello,
    listening,
    reset_after_hello,
    say_nothing,
    server_context,
)
from tests.probe.conftest import Look, Pki, at, new_prober


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


RUNNERS = [pytest.param(asyncio.run, id="asyncio"), pytest.param(uvloop.run, id="uvloop")]
Runner = Callable[[Awaitable[None]], None]


@pytest.mark.parametrize("run", RUNNERS)
def test_two_hundred_looks_good_and_bad_leave_no_file_open(
    pki: Pki, tmp_path: Path, run: Runner
) -> None:
    async def looks() -> None:
        prober = new_prober()
        quick = Limits(phase_s=0.05)
        context = server_context(tmp_path, pki.chain)
        async with (
            listening(say_nothing, tls=context) as good,
            listening(say_nothing) as silent,
            listening(reset_after_hello) as rude,
            listening(close_after_hello) as short,
        ):
            await prober(at(good), Limits())
            before = open_files()
            for _ in range(40):
                await asyncio.gather(
                    prober(at(good), Limits()),
                    prober(at(silent), quick),
                    prober(at(rude), quick),
                    prober(at(short), quick),
                    prober(at(free_port()), quick),
                )
            await asyncio.wait_for(_until(lambda: open_files() <= before), 30)

    run(looks())


@pytest.mark.parametrize("run", RUNNERS)
def test_what_a_look_leaves_behind_needs_no_garbage_collector(
    pki: Pki, tmp_path: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def told(host: str, *args: Any, **more: Any) -> object:
        if host == "nobody.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **more)

    monkeypatch.setattr("socket.getaddrinfo", told)  # no name server shall make it slow

    async def looks() -> None:
        prober = new_prober()
        quick = Limits(phase_s=0.05)
        context = server_context(tmp_path, pki.chain)
        async with (
            listening(say_nothing, tls=context) as good,
            listening(say_nothing) as silent,
            listening(reset_after_hello) as rude,
            listening(close_after_hello) as short,
        ):
            for port in (good, silent, rude, short, free_port()) * 5:
                await prober(at(port), Limits() if port == good else quick)
                await prober(at(port, host="nobody.invalid"), Limits())

    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        run(looks())
        gc.collect()
        left = [f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()

    # The test's own servers leave some, and the one context that all looks share
    shared = {"exporter.probe.openssl.ClientContext", "OpenSSL.SSL.Context"}
    ours = {name for name in left if name.startswith(("OpenSSL", "exporter", "cryptography"))}
    assert ours <= shared


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, os.getpid), 30)


@pytest.mark.parametrize("run", RUNNERS)
def test_a_look_may_be_cancelled_at_any_moment(pki: Pki, tmp_path: Path, run: Runner) -> None:
    async def looks() -> None:
        loop = asyncio.get_running_loop()
        prober = new_prober()
        async with listening(say_nothing, tls=server_context(tmp_path, pki.chain)) as port:
            await prober(at(port), Limits())
            before = open_files()
            ended = 0
            for step in range(100):
                task = loop.create_task(prober(at(port), Limits()))
                loop.call_later(step * 0.00005, task.cancel)
                try:
                    await task
                except asyncio.CancelledError:
                    ended += 1
            assert ended > 5
            await asyncio.wait_for(_until(lambda: open_files() <= before), 30)

    run(looks())


async def test_a_lookup_that_never_ends_does_not_hold_up_a_look_or_the_program(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_over = threading.Event()

    def never(*_: object, **__: object) -> list[object]:
        is_over.wait(20)
        return []

    # the real one is not asked: no name server is slow enough in a test
    monkeypatch.setattr("exporter.probe.resolve._literal", lambda *_: [])
    monkeypatch.setattr("socket.getaddrinfo", never)
    try:
        seen = await look(443, host="slow.test", limits=Limits(phase_s=0.1))

        assert seen.reason is Reason.DNS_FAILURE
        assert "no answer in time" in seen.detail
        assert [t.daemon for t in threading.enumerate() if t.name == "resolve"] == [True]
    finally:
        is_over.set()
        for thread in threading.enumerate():
            if thread.name == "resolve":
                thread.join(30)  # or the next test finds it


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    start=st.sampled_from(
        [b"", b"\x16\x03\x03", b"\x16\x03\x03\x00\x40\x02\x00\x00\x3c\x03\x03", b"\x15\x03\x01"]
    ),
    garbage=st.binary(max_size=300),
)
def test_garbage_always_ends_as_a_failed_look_with_a_sentence(
    start: bytes, garbage: bytes
) -> None:
    async def once() -> None:
        async with listening(answering(start + garbage)) as port:
            seen = await new_prober()(at(port), Limits(phase_s=1.0))

        assert not seen.handshake
        assert seen.reason not in (None, Reason.INTERNAL)
        assert seen.detail
        assert seen.detail.isprintable()
        assert seen.chain == ()

    asyncio.run(once())
