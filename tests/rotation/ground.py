"""Sets up gateways on real terminators, clients that come to them, and a service to be killed."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import yaml

from exporter.demo.layout import GATEWAY, MANAGEMENT_API, Layout
from tests.drill.guarded import GuardedFleet, write_service_config
from tests.gateway.agent.real.terminators import Real
from tests.response.stand import lasting_port
from tests.rotation.doomed import Fate
from tests.rotation.forked import Forks
from tests.rotation.mortal import Ground
from tests.rotation.signer import write_signer
from tests.rotation.terminators import (
    TIMES,
    agents_by,
    client_of,
    coming,
    fleet_at,
    fronted,
    log_handshakes,
)


@asynccontextmanager
async def ground_at(
    folder: Path, terminator: str, forks: Forks, *, gateways: int = 2, confirm_s: float = 3_600.0
) -> AsyncIterator[Ground]:
    """Gateways with their agents and clients that come all the time; no service runs yet."""
    everyone = fleet_at(Layout(folder, rotating=TIMES))
    everyone.exporter = f"127.0.0.1:{lasting_port()}"
    fleets = dict(_parted(everyone, gateways))
    reals: dict[str, Real] = {}
    fate = Fate(doom=str(folder / "doom"), unanswered_s=5.0, confirm_s=confirm_s)
    async with AsyncExitStack() as stack:
        stack.enter_context(forks.ending_all())
        for name, fleet in fleets.items():
            real = fronted(terminator, fleet, agents_by(forks), lasting_port())
            reals[name] = stack.enter_context(real)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        )
        ground = Ground(
            layout=everyone.layout, port=int(everyone.exporter.rpartition(":")[2]), forks=forks,
            session=session, fleets=fleets, reals=reals, fate=fate,
        )  # fmt: skip
        for name, fleet in fleets.items():
            ground.start_agent(name)
            await log_handshakes(fleet)
            clients = await stack.enter_async_context(coming(fleet, client_of(terminator)))
            ground.clients.append(clients)
        _configure(ground, everyone)
        yield ground


def _parted(everyone: GuardedFleet, count: int) -> Iterator[tuple[str, GuardedFleet]]:
    """Yield a fleet for each gateway, which share the authorities and the token."""
    token = everyone.layout.token_file.read_bytes()
    for number in range(count):
        layout = everyone.layout
        if number:
            layout = Layout(everyone.layout.directory / f"gw-{number + 1}", token)
            layout.directory.mkdir()
            layout.write_secrets(everyone.authorities)
        devices = everyone.devices[number::count]
        yield f"gw-{number + 1}", GuardedFleet(
            setting=everyone.setting, layout=layout, authorities=everyone.authorities,
            devices=devices, clock=everyone.clock,
        )  # fmt: skip


def _configure(ground: Ground, everyone: GuardedFleet) -> None:
    """Write the service's configuration, for all gateways."""
    first, folder = ground.fleets[GATEWAY], ground.layout.directory
    everyone.gateway, everyone.agent_url = first.gateway, first.agent_url
    write_service_config(everyone, list(_logs(ground)))
    config = yaml.safe_load(ground.layout.config.read_text("utf-8"))
    signer = write_signer(folder, ground.layout.pki / "new-intermediate")
    config["rotation"] |= {"signer": {"command": signer}, "retry_pause": "2s"}
    config["remediation"] = {"mode": "dry_run"}
    targets, (api,) = config["targets"]["static"], config["management_apis"]
    gateway_entry = targets[0]
    behind = {one.name: name for name, fleet in ground.fleets.items() for one in fleet.devices}
    for one in targets[1:]:
        one["gateway"] = behind[one["name"]]
    for name, fleet in list(ground.fleets.items())[1:]:
        api_name = f"{MANAGEMENT_API}-{name}"
        config["management_apis"].append({**api, "name": api_name, "url": fleet.agent_url})
        own = {"name": name, "address": fleet.gateway, "management_api": api_name}
        targets.append({**gateway_entry, **own})
    ground.layout.config.write_text(yaml.safe_dump(config, sort_keys=False))


def _logs(ground: Ground) -> Iterator[Mapping[str, object]]:
    for name, real in ground.reals.items():
        for log in real.logs:
            yield {"file": f"{real.folder}/{log}", "gateway": name}
