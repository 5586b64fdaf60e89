"""Whatever is written or shown while an outage is undone, and callers err, holds no secret."""

import base64
import logging
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import aiohttp
import bcrypt
import pytest
import yaml

from tests.response.stand import Ground, Service, alert, ground_at
from tests.response.test_kill import ACT

PASSWORD, WEBHOOK, PUSH, GUESS = (
    f"{word}-Wx7!secret/{number}" for number, word in enumerate(("pass", "hook", "push", "guess"))
)
USER = {"Authorization": "Basic " + base64.b64encode(f"ops:{PASSWORD}".encode()).decode()}
PAGES = (
    "/", "/fleet", "/targets/gw-1", "/targets/dev-01", "/metrics", "/api/v1/targets",
    "/api/v1/devices", "/api/v1/handshakes", "/api/v1/trust-map", "/api/v1/remediation",
    "/api/v1/remediation/journal", "/api/v1/remediation/decisions/2", "/api/v1/rotation",
    "/-/healthy", "/-/ready", "/no-such-page",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_no_secret_is_in_anything_that_is_written_or_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for chatty in ("asyncio", "aiosqlite"):  # as in ``set_up_logging``
        caplog.set_level(logging.WARNING, chatty)
    caplog.set_level(logging.DEBUG)  # the agent's log: it runs in this process
    async with ground_at(tmp_path, ACT) as ground:
        _give_each_its_own_secret(ground)
        ground.reader = USER
        shown: dict[str, str] = {}
        async with Service(ground) as service:
            await ground.break_gateway()
            await _err(ground, shown)
            await ground.deliver(alert(1), token=WEBHOOK)
            await ground.until_ended(1)
            await ground.all_back()
            for page in PAGES:
                shown[page] = await _asked(ground, "GET", page)
            shown |= _process(service.pid)
            shown |= _files(ground)  # also what lies beside the store while it is open
            secrets = _secrets(ground)
    shown["the agent's log"] = caplog.text

    assert "recovered" in shown["/api/v1/remediation/journal"], "it went the whole way"
    assert {"service.log", "state.db", "gateway/state.db"} <= shown.keys()
    assert {f"gateway/versions/{number}/key.pem" for number in (1, 2)} <= secrets.keys()
    assert "the management API answers" in shown["the agent's log"]
    leaks = {
        (where, what)
        for where, text in shown.items()
        for what, forms in secrets.items()
        if any(form in text for form in forms)
    }
    assert leaks == set()
    (core,) = [line for line in shown["/proc/limits"].splitlines() if "core file" in line]
    assert core.split()[4:6] == ["0", "0"]


def _process(pid: int) -> Mapping[str, str]:
    """What others can see of a process."""
    names = ("cmdline", "environ", "limits")
    return {f"/proc/{name}": Path(f"/proc/{pid}/{name}").read_text() for name in names}


def _give_each_its_own_secret(ground: Ground) -> None:
    """The configuration, with another secret for each door."""
    folder, path = ground.layout.directory, ground.layout.config
    for name, secret in (("webhook", WEBHOOK), ("push", PUSH)):
        (folder / f"{name}.secret").write_text(secret + "\n")
    config = yaml.safe_load(path.read_text("utf-8"))
    config["webhook"] = {"token_file": "webhook.secret"}
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    config["web"] = {"users": {"ops": hashed}}
    config["handshake_logs"].append(
        {"push": "pushed", "gateway": "gw-1", "side": "platform", "token_file": "push.secret"}
    )
    path.write_text(yaml.safe_dump(config, sort_keys=False))


def _secrets(ground: Ground) -> Mapping[str, set[str]]:
    """Each with the forms in which it could be found."""
    layout = ground.layout
    words = {
        "password": PASSWORD, "webhook": WEBHOOK, "push": PUSH, "guess": GUESS,
        "token of the management API": ground.token,
        "token of the devices": layout.device_token_file.read_text().strip(),
    }  # fmt: skip
    found = {
        what: {word, quote(word, safe=""), base64.b64encode(word.encode()).decode()}
        for what, word in words.items()
    }
    found["password"].add(USER["Authorization"].split()[1])
    for key in (*layout.pki.glob("*.key"), *_keys_of_the_agent(ground)):
        found[str(key.relative_to(layout.gateway.parent))] = {key.read_text().splitlines()[1]}
    return found


def _keys_of_the_agent(ground: Ground) -> list[Path]:
    folder = ground.layout.gateway
    return [*folder.glob("versions/*/key.pem"), *folder.glob("keys/*.pem")]


async def _err(ground: Ground, shown: dict[str, str]) -> None:
    """What callers do wrong, with secrets in the wrong places."""
    wrong = {"Authorization": f"Bearer {GUESS}"}
    hook, push = "/webhook/alertmanager", "/logs?source=pushed"
    for path, headers in (
        (hook, wrong), (push, wrong), (f"{hook}?token={WEBHOOK}", {}),
        (f"{push}&token={PUSH}", {}), (hook, {"Authorization": f"Basic {WEBHOOK}"}),
        ("/-/reload", wrong), ("/api/v1/remediation/rollback", wrong),
    ):  # fmt: skip
        shown[f"POST {path.partition('token=')[0]} {len(shown)}"] = await _asked(
            ground, "POST", path, headers
        )
    shown["wrong body"] = await _asked(
        ground, "POST", hook, {"Authorization": f"Bearer {WEBHOOK}"}
    )
    report, token = "/devices/dev-01/truststore/report", ground.token
    for path, headers in (
        ("/gateway/certificates", wrong), (f"/gateway/certificates?token={token}", {}),
        (f"{report}?token={token}", wrong), (report, {"Authorization": f"Basic {token}"}),
    ):  # fmt: skip
        shown[f"the agent's {path.partition('?')[0]} {len(shown)}"] = await _asked(
            ground, "GET", path, headers, base=await ground.stage.management_api()
        )


async def _asked(
    ground: Ground, method: str, path: str, headers: Mapping[str, str] = USER, *, base: str = ""
) -> str:
    """Everything of the answer; ``base``: who is asked, if not the service."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{base or ground.url}{path}", headers=headers) as answer,
    ):
        return f"{answer.status}\n{answer.headers}\n{await answer.text()}"


def _files(ground: Ground) -> Mapping[str, str]:
    """All that the service and the agent wrote: all files but the secrets' own and the fleet's."""
    folder, layout = ground.layout.directory, ground.layout
    others = {layout.pki, layout.devices, layout.anchors}
    own = {layout.token_file, layout.device_token_file, *_keys_of_the_agent(ground)}
    return {
        str(path.relative_to(folder)): path.read_bytes().decode("latin-1")
        for path in folder.rglob("*")
        if path.is_file()
        and not others.intersection(path.parents)
        and path not in own
        and path.suffix != ".secret"
    }
