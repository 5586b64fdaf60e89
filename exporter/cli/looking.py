"""What ``probe`` does: looks, then says what was seen."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from exporter.anchors import Profile, TrustStore
from exporter.cli.looks import Looker, Seen
from exporter.cli.paste import yaml_to_paste
from exporter.cli.picture import (
    chain_tree,
    console_for,
    handshake_line,
    headline,
    verdict_tree,
)
from exporter.cli.probe import Asked
from exporter.cli.stores import stores_of
from exporter.cli.target_list import TargetList, read_target_list, wanted_of
from exporter.cli.terminal import short
from exporter.errors import ConfigError, Fault
from exporter.plain_words import time_left
from exporter.probe import PROBERS
from exporter.report import look_json
from exporter.wording import listed

_BAD_NEWS = 1


def look(asked: Asked) -> int:
    """Look at what was asked for, print it, and return the exit code.

    Raises:
        ConfigError: an option that cannot be followed.
        CertificateError: a file of certificates that cannot be used.
    """
    if asked.protocol not in PROBERS:
        message = f"{asked.protocol} is not supported yet; supported: {listed(PROBERS)}"
        raise ConfigError([Fault(place="--protocol", message=message)])
    stores = stores_of(asked.stores, Profile(asked.profile))
    if asked.targets_file is None:
        return uvloop.run(_look_at_one(asked, stores))
    found = read_target_list(asked.targets_file, server_name=asked.server_name)
    return uvloop.run(_look_at_many(asked, found, stores))


def _looker(asked: Asked, stores: tuple[TrustStore, ...]) -> Looker:
    client_files: tuple[Path, Path] | None = None
    if asked.client_cert is not None and asked.client_key is not None:
        client_files = asked.client_cert, asked.client_key
    return Looker(stores, timeout_s=asked.timeout_s, client_files=client_files)


async def _look_at_one(asked: Asked, stores: tuple[TrustStore, ...]) -> int:
    where = asked.where
    assert where is not None  # noqa: S101 - the command asks for one of the two
    wanted = wanted_of(
        where.host,
        where.port,
        server_name=asked.server_name,
        protocol=asked.protocol,
        text=where.text,
    )
    seen = await _looker(asked, stores).look(wanted)
    if asked.as_json:
        print(json.dumps(look_json(seen.observation, seen.verdicts)))
    else:
        _show(seen, {store.name: store for store in stores}, console_for(sys.stdout))
        print("\nto watch it, in the configuration:\n")
        print(yaml_to_paste(where, asked.stores, asked.server_name), end="")
    return 0 if seen.is_good else _BAD_NEWS


def _show(seen: Seen, stores: Mapping[str, TrustStore], console: Console) -> None:
    observation, now = seen.observation, seen.observation.observed_at
    console.print(seen.wanted.text, style="bold")
    console.print(headline(seen.outcome, is_shaken=observation.handshake))
    console.print(handshake_line(observation))
    if observation.chain:
        console.print()
        console.print(chain_tree(observation.chain, now, sent_count=observation.chain_sent_count))
        console.print()
        console.print(verdict_tree(seen.verdicts, observation.chain, stores, now))


async def _look_at_many(asked: Asked, found: TargetList, stores: tuple[TrustStore, ...]) -> int:
    for one in found.dropped:
        print(f"{one.name} is left out: {short(one.message, 600)}", file=sys.stderr)
    looker, console = _looker(asked, stores), console_for(sys.stdout)
    good_count = 0
    with _progress(len(found.wanted)) as progress:
        task = progress.add_task("looks", total=len(found.wanted))
        async for seen in looker.look_at_all(found.wanted, at_once=asked.concurrency):
            good_count += seen.is_good
            if asked.as_json:
                print(json.dumps(look_json(seen.observation, seen.verdicts)), flush=True)
            else:
                _show_line(seen, console)
            progress.advance(task)
    asked_for = len(found.wanted) + len(found.dropped)
    if not asked.as_json:
        console.print(f"{good_count} of {asked_for} verified")
    return 0 if good_count == asked_for else _BAD_NEWS


def _show_line(seen: Seen, console: Console) -> None:
    line = headline(seen.outcome, is_shaken=seen.observation.handshake)
    chain = seen.observation.chain
    if chain:
        line.append(f" ({time_left(chain[0].not_after, seen.observation.observed_at)})")
    console.print(f"{short(seen.wanted.text)}  ", line, sep="", soft_wrap=True)


def _progress(total: int) -> Progress:
    """Return a bar on standard error; nothing where that is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty() or total < 2,
        transient=True,
        redirect_stdout=False,  # the answers are for whoever reads standard output
    )
