import asyncio
import base64

import bcrypt
import pytest

from exporter.web.auth import BusyError, Passwords, is_bearer


def hashed(password: bytes, prefix: bytes = b"2b") -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(4, prefix)).decode()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


USERS = {"ops": hashed(b"s3cret:with colon"), "old": hashed(b"pw").replace("$2b$", "$2y$")}


async def test_the_right_password_opens_also_the_second_time() -> None:
    passwords = Passwords(USERS)

    assert await passwords.accepts(basic("ops", "s3cret:with colon"))
    assert await passwords.accepts(basic("ops", "s3cret:with colon"))


async def test_a_hash_by_htpasswd_is_understood() -> None:
    assert await Passwords(USERS).accepts(basic("old", "pw"))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no-colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:pw").decode(),
        "Bearer abc",
        basic("ops", "wrong"),
        basic("ops", ""),
        basic("ops", "with\0nul"),
        basic("nobody", "pw"),
        basic("", "pw"),
    ],
)
async def test_anything_else_does_not(header: str | None) -> None:
    assert not await Passwords(USERS).accepts(header)


async def test_a_password_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[bytes] = []
    real = bcrypt.checkpw

    def counting(password: bytes, against: bytes) -> bool:
        checked.append(against)
        return real(password, against)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    passwords = Passwords(USERS)

    for _ in range(3):
        await passwords.accepts(basic("ops", "wrong"))

    assert len(checked) == 1


async def test_an_unknown_user_costs_as_much_as_a_known_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[bytes] = []

    def never(_password: bytes, against: bytes) -> bool:
        checked.append(against)
        return True

    monkeypatch.setattr(bcrypt, "checkpw", never)

    assert not await Passwords(USERS).accepts(basic("nobody", "pw"))
    assert len(checked) == 1


async def test_a_hash_that_bcrypt_does_not_know_opens_nothing() -> None:
    passwords = Passwords({"ops": USERS["ops"].replace("$2b$", "$2$")})

    assert not await passwords.accepts(basic("ops", "s3cret:with colon"))


async def test_a_long_password_counts_as_far_as_bcrypt_reads_it() -> None:
    long = "x" * 100
    passwords = Passwords({"ops": hashed(long.encode()[:72])})

    assert await passwords.accepts(basic("ops", long))


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bcrypt, "checkpw", lambda _password, _hashed: False)
    passwords = Passwords(USERS)

    for number in range(150):
        await passwords.accepts(basic("ops", str(number)))

    assert len(passwords._answers) == 100


async def test_a_crowd_of_guesses_is_sent_away() -> None:
    passwords = Passwords({"ops": hashed(b"pw")})
    guesses = [passwords.accepts(basic("ops", f"guess {number}")) for number in range(40)]

    answers = await asyncio.gather(*guesses, return_exceptions=True)

    assert sum(isinstance(answer, BusyError) for answer in answers) == 20
    assert answers.count(False) == 20


@pytest.mark.parametrize("header", ["Bearer t0ken", "bearer t0ken", "Bearer  t0ken "])
def test_the_right_token_opens(header: str) -> None:
    assert is_bearer(header, b"t0ken")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer t0ke", "Basic t0ken", "Bearer é"])
def test_another_token_does_not(header: str | None) -> None:
    assert not is_bearer(header, b"t0ken")


def test_no_token_opens_where_none_is_configured() -> None:
    assert not is_bearer("Bearer ", b"")
