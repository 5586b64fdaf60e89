import asyncio
import socket
import threading
from unittest.mock import patch

import pytest

from exporter.probe.resolve import Resolver, ascii_name
from tests.fake_clock import FakeClock


def answer(address: str, port: int = 443) -> list[object]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


class Names:
    """``getaddrinfo`` with a table, which counts and can be made to wait."""

    def __init__(self, **table: str) -> None:
        self.table = {name.replace("_", "."): address for name, address in table.items()}
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self, host: str, port: int, **options: int) -> list[object]:
        if options["flags"] & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        self.asked.append(host)
        self.may_answer.wait(30)
        if host not in self.table:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return answer(self.table[host], port)


async def test_an_address_is_taken_as_it_stands() -> None:
    resolver = Resolver(FakeClock())

    v4 = await resolver.resolve("127.0.0.1", 443)
    v6 = await resolver.resolve("::1", 443)

    assert [a.sockaddr for a in v4] == [("127.0.0.1", 443)]
    assert [a.sockaddr for a in v6] == [("::1", 443, 0, 0)]
    assert v6[0].family == socket.AF_INET6


async def test_an_answer_is_used_again_for_a_while_only() -> None:
    clock = FakeClock()
    names = Names(gw_test="10.0.0.1")
    resolver = Resolver(clock, keep_s=30)

    with patch("socket.getaddrinfo", names):
        await resolver.resolve("gw.test", 443)
        await clock.advance(29)
        await resolver.resolve("gw.test", 443)
        asked_while_kept = len(names.asked)
        names.table["gw.test"] = "10.0.0.2"
        await clock.advance(2)
        moved = await resolver.resolve("gw.test", 443)

    assert (asked_while_kept, len(names.asked)) == (1, 2)
    assert moved[0].sockaddr == ("10.0.0.2", 443)


async def test_a_failure_is_not_kept() -> None:
    names = Names()
    resolver = Resolver(FakeClock())

    with patch("socket.getaddrinfo", names):
        with pytest.raises(OSError, match="no such name"):
            await resolver.resolve("gw.test", 443)
        names.table["gw.test"] = "10.0.0.1"
        found = await resolver.resolve("gw.test", 443)

    assert found[0].sockaddr == ("10.0.0.1", 443)


async def test_a_name_is_looked_up_once_for_all_who_ask_and_one_may_give_up() -> None:
    names = Names(gw_test="10.0.0.1")
    names.may_answer.clear()
    resolver = Resolver(FakeClock())

    with patch("socket.getaddrinfo", names):
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(resolver.resolve("gw.test", 443)) for _ in range(5)]
            await asyncio.wait_for(asyncio.to_thread(_until_asked, names), 30)
            asking[0].cancel()
            names.may_answer.set()

    assert [task.cancelled() for task in asking] == [True, False, False, False, False]
    assert names.asked == ["gw.test"]


def _until_asked(names: Names) -> None:
    pause = threading.Event()
    while not names.asked:
        pause.wait(0.01)


async def test_there_are_never_more_threads_than_allowed_and_none_is_left() -> None:
    names = Names(**{f"n{number}_test": "10.0.0.1" for number in range(20)})
    names.may_answer.clear()
    resolver = Resolver(FakeClock(), threads=3)

    with patch("socket.getaddrinfo", names):
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(resolver.resolve(f"n{number}.test", 443))
            await asyncio.wait_for(asyncio.to_thread(_until_asked, names), 30)
            running = [t for t in threading.enumerate() if t.name == "resolve"]
            names.may_answer.set()

    assert 1 <= len(running) <= 3
    assert len(names.asked) == 20
    for thread in running:
        thread.join(30)
        assert not thread.is_alive()


async def test_only_so_many_answers_are_kept() -> None:
    names = Names(a_test="10.0.0.1", b_test="10.0.0.2")
    resolver = Resolver(FakeClock(), limit=1)

    with patch("socket.getaddrinfo", names):
        for name in ("a.test", "b.test", "a.test"):
            await resolver.resolve(name, 443)

    assert names.asked == ["a.test", "b.test", "a.test"]


def test_an_answer_that_comes_after_the_loop_has_ended_is_dropped() -> None:
    names = Names(gw_test="10.0.0.1")
    names.may_answer.clear()
    resolver = Resolver(FakeClock())

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resolver.resolve("gw.test", 443), 0.05)

    with patch("socket.getaddrinfo", names):
        asyncio.run(give_up())
        names.may_answer.set()
        for thread in [t for t in threading.enumerate() if t.name == "resolve"]:
            thread.join(30)
        # the next loop asks anew
        found = asyncio.run(_resolve(resolver))

    assert found == ("10.0.0.1", 443)


async def _resolve(resolver: Resolver) -> object:
    return (await resolver.resolve("gw.test", 443))[0].sockaddr


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".test", "\ud800.test"])
async def test_what_is_no_name_is_refused(host: str) -> None:
    with pytest.raises((OSError, UnicodeError)):
        await Resolver(FakeClock()).resolve(host, 443)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gw.test", "gw.test"),
        ("gw.test.", "gw.test"),
        ("my_device.test", "my_device.test"),
        ("bücher.test", "xn--bcher-kva.test"),
        ("BÜCHER.test", "xn--bcher-kva.test"),
    ],
)
def test_a_name_is_written_as_dns_wants_it(name: str, expected: str) -> None:
    assert ascii_name(name) == expected
