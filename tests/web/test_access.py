"""What the middlewares do in the corners that no ordinary client reaches."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from exporter.web.access import Access, Credentials
from exporter.web.auth import BusyError, Passwords
from exporter.web.guard import Guard


class BusyPasswords(Passwords):
    async def accepts(self, authorization: str | None) -> bool:
        raise BusyError("too many passwords are being checked; try again")


async def fine(_request: web.Request) -> web.Response:
    return web.Response(text="fine")


async def test_whoever_comes_in_a_crowd_may_come_again() -> None:
    access = Access()
    access.credentials = Credentials(passwords=BusyPasswords({"ops": "$2b$"}))

    with pytest.raises(web.HTTPServiceUnavailable) as caught:
        await access.middleware(make_mocked_request("GET", "/metrics"), fine)

    assert caught.value.text == "too many passwords are being checked; try again\n"


async def test_a_request_from_elsewhere_than_a_guarded_connection_is_answered() -> None:
    answer = await Guard().middleware(make_mocked_request("GET", "/"), fine)

    assert answer.status == 200
