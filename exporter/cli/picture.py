"""A look or a chain as people read it: the chain as a tree, each store's verdict, days left."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import IO

from rich.console import Console, Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from exporter.anchors import TrustStore
from exporter.certificates import Certificate
from exporter.chain_tree import Branch, tree_of
from exporter.cli.terminal import short
from exporter.observations import Observation
from exporter.plain_words import REASON_WORDS, WARNING_WORDS, moment, time_left
from exporter.report import Outcome
from exporter.verdicts.model import Verdict

_GOOD, _BAD, _SOSO, _FAINT = "green", "bold red", "yellow", "dim"
# Wide enough that nothing is broken where no terminal says how wide it is
_WIDTH_OF_A_FILE = 160
_NEAR_DAYS = 30


def console_for(file: IO[str]) -> Console:
    """Return a console that takes no text for markup; colour only on a terminal."""
    width = None if file.isatty() else _WIDTH_OF_A_FILE
    return Console(file=file, markup=False, highlight=False, emoji=False, width=width)


def headline(outcome: Outcome, *, is_shaken: bool = True) -> Text:
    """Return the answer in one line."""
    if outcome.reason is None:
        line = Text("verified", style=_GOOD)
        return line.append(f": {short(outcome.detail)}", "default") if outcome.detail else line
    title = "not verified" if is_shaken else "no handshake"
    line = Text(f"{title}: {outcome.reason}", style=_BAD)
    detail = outcome.detail or REASON_WORDS[outcome.reason]
    return line.append(f": {short(detail)}", "default")


def handshake_line(observation: Observation) -> Text:
    """Return what was agreed on and how long it took."""
    agreed = [observation.tls_version, observation.cipher]
    words = [short(word) for word in agreed if word]
    if observation.client_certificate_requested:
        words.append("asks for a client certificate")
    if observation.ocsp is not None:
        words.append(f"stapled OCSP: {observation.ocsp.status}")
    spent = observation.durations_s
    phases = (
        ("resolve", spent.resolve), ("connect", spent.connect), ("handshake", spent.handshake),
    )  # fmt: skip
    words += [f"{name} {took * 1000:.0f} ms" for name, took in phases if took is not None]
    return Text(", ".join(words), style=_FAINT)


def chain_tree(chain: Sequence[Certificate], now: datetime, *, sent_count: int = 0) -> Tree:
    """Return the chain with each certificate below its issuer, numbered as it was sent."""
    tree = Tree(_chain_title(len(chain), sent_count))

    def hang(below: Tree, branch: Branch) -> None:
        grown = below.add(_certificate(branch.position, branch.certificate, now))
        for child in branch.children:
            hang(grown, child)

    for branch in tree_of(chain):
        hang(tree, branch)
    return tree


def _chain_title(kept_count: int, sent_count: int) -> str:
    cut = f" (the first {kept_count} of {sent_count})" if sent_count > kept_count else ""
    return f"chain as sent{cut}, issuers above, 0 is the leaf"


def _certificate(position: int, certificate: Certificate, now: datetime) -> RenderableType:
    title = Text(f"{position}  ").append(short(certificate.subject) or "(no subject)", "bold")
    if certificate.subject == certificate.issuer:
        title.append("  signed by itself", _FAINT)
    else:
        title.append(f"  by {short(certificate.issuer)}", _FAINT)
    end = Text(f"ends {moment(certificate.not_after)}, ")
    end.append(time_left(certificate.not_after, now), _style_of_end(certificate, now))
    if certificate.not_before > now:
        end.append(f"; begins only {moment(certificate.not_before)}", _BAD)
    about = f"{certificate.public_key}, {certificate.signature_algorithm}, serial "
    about += short(certificate.serial_number, 60)
    print_of = f"SHA-256 {certificate.fingerprint_sha256}"
    return Group(title, end, Text(about, style=_FAINT), Text(print_of, style=_FAINT))


def _style_of_end(certificate: Certificate, now: datetime) -> str:
    left = certificate.not_after - now
    if left.total_seconds() <= 0:
        return _BAD
    return _SOSO if left.days < _NEAR_DAYS else _GOOD


def verdict_tree(
    verdicts: Iterable[Verdict],
    chain: Sequence[Certificate],
    stores: Mapping[str, TrustStore],
    now: datetime,
) -> Tree:
    """Return what each trust store says, with all its reasons in plain words."""
    tree = Tree("trust stores")
    for verdict in verdicts:
        store = stores[verdict.trust_store]
        name = f"{short(verdict.trust_store)} ({_count(len(store.anchors), 'anchor')}): "
        if verdict.verified:
            branch = tree.add(Text(name).append("verified", _GOOD))
            branch.add(_path(verdict, chain, store, now))
        else:
            branch = tree.add(Text(name).append("refused", _BAD))
        for reason in verdict.reasons:
            branch.add(Text(reason, style=_BAD).append(f": {REASON_WORDS[reason]}", "default"))
        for remark in verdict.warnings:
            line = Text(f"warning {remark}", style=_SOSO)
            branch.add(line.append(f": {WARNING_WORDS[remark]}", "default"))
        if verdict.detail:
            branch.add(Text(short(verdict.detail)))
    return tree


def _path(
    verdict: Verdict, chain: Sequence[Certificate], store: TrustStore, now: datetime
) -> Text:
    sent = {
        certificate.fingerprint_sha256: str(position)
        for position, certificate in reversed(list(enumerate(chain)))
    }
    held = {anchor.fingerprint_sha256: anchor for anchor in store.anchors}
    steps = [
        sent.get(print_of) or _name_of(held.get(print_of), print_of) for print_of in verdict.path
    ]
    line = Text("path " + " > ".join(steps)) if steps else Text("path not known")
    if verdict.not_after is not None:
        line.append(f", verifies until {moment(verdict.not_after)}, ")
        line.append(time_left(verdict.not_after, now))
    return line


def _name_of(anchor: Certificate | None, fingerprint: str) -> str:
    return short(anchor.subject, 80) if anchor and anchor.subject else f"anchor {fingerprint[:16]}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
