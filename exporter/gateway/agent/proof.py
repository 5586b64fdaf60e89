"""Whether a terminator serves one chain and nothing else, judged by looks from outside; pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exporter.gateway.agent.driver import Address
from exporter.observations import Observation, Reason, ToldBy
from exporter.probe.openssl import Manner

# A terminator may have no certificate for a client that is less able than most, nor for one that
# names no server: it then refuses, mostly by an alert, before it shows any.
_ALERTS = {Reason.NO_SHARED_CIPHER, Reason.PROTOCOL_VERSION, Reason.OTHER}
_SHOWN_CHARS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to come to a terminator.

    Attributes:
        server_name: Sent as SNI; None: nothing is sent.
        manner: What the client can do.
    """

    address: Address
    server_name: str | None
    manner: Manner

    def __str__(self) -> str:
        name = f"as {self.server_name}" if self.server_name else "without a server name"
        only = " ".join(part for part in (self.manner.version, self.manner.signatures) if part)
        return f"{self.address} {name}" + (f", {only} only" if only else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look by one way came to.

    Attributes:
        chain: Fingerprints as sent, leaf first.
        key: Of the leaf, like ``EC P-256``; empty where none was shown.
        is_done: A full handshake, also one in which only a client certificate was missing.
        is_refused: In terms of TLS, with nothing shown.
        detail: Why it is not done.
    """

    way: Way
    chain: tuple[str, ...] = ()
    key: str = ""
    is_done: bool = False
    is_refused: bool = False
    detail: str = ""


def seen_in(way: Way, observation: Observation) -> Seen:
    """Return what a look says about the chain that is served."""
    chain = tuple([one.fingerprint_sha256 for one in observation.chain])
    # By then the server has signed with its key (RFC 8446, 4.4.3): nothing of its own is missing
    lacks_ours = bool(chain) and observation.reason is Reason.CLIENT_CERT_REQUIRED
    return Seen(
        way=way,
        chain=chain,
        key=observation.chain[0].public_key if chain else "",
        is_done=observation.handshake or lacks_ours,
        is_refused=not chain and _is_refusal(way, observation),
        detail=observation.detail or str(observation.reason or ""),
    )


def _is_refusal(way: Way, observation: Observation) -> bool:
    if observation.rejected_by is ToldBy.PEER and observation.reason in _ALERTS:
        return True
    # Some hang up without an alert; the looks of more able clients tell whether that is all
    return way.manner.signatures is not None and observation.reason is Reason.CONNECTION_RESET


def fault_of(looks: Sequence[Seen], expected: Sequence[str]) -> str | None:
    """Return why ``looks`` do not prove that ``expected`` (leaf first) is served; None: they do.

    Every chain that was shown must be it, and each address must have shown it in a full
    handshake to a client of each kind that it does not refuse.
    """
    if not looks:
        return "nobody looked: the terminator has no address"
    for one in looks:
        wrong = _fault_of_one(one, expected)
        if wrong is not None:
            return f"{one.way}: {wrong}"
    for address, group in _by_address(looks):
        if not any(one.is_done and one.way.manner.signatures is None for one in group):
            return f"{address}: nothing but refusals, the last: {group[-1].detail}"
    return None


def _fault_of_one(one: Seen, expected: Sequence[str]) -> str | None:
    if not one.chain:
        return None if one.is_refused else f"no certificate was shown: {one.detail}"
    if one.chain[0] != expected[0]:
        return f"the leaf {_short(one.chain[0])} is served, not {_short(expected[0])}"
    # More behind it is no fault: a terminator may complete the chain itself
    if list(one.chain[: len(expected)]) != list(expected):
        return (
            f"the leaf {_short(expected[0])} is served with another chain:"
            f" {len(one.chain)} certificates, not the {len(expected)} of its version"
        )
    return None if one.is_done else f"shown, but there was no handshake: {one.detail}"


def leaf_of(looks: Iterable[Seen]) -> str | None:
    """Return the one leaf that all looks were shown; None: several, or none."""
    leaves = {one.chain[0] for one in looks if one.chain}
    return leaves.pop() if len(leaves) == 1 else None


def kinds_beside(looks: Iterable[Seen]) -> str:
    """Return why a leaf for each kind of key cannot be rolled back; empty: there is one kind.

    A version has one chain: one of the leaves would be another, and the others stay as they are.
    """
    leaves = {one.key: one.chain[0] for one in looks if one.chain}
    if len({key.partition(" ")[0] for key in leaves}) < 2:
        return ""
    told = ", ".join(f"{key} {_short(leaf)}" for key, leaf in sorted(leaves.items()))
    return (
        f"leaves of several kinds are served at once ({told}), and a version has one: going back"
        " would change that one and leave the others, which proves nothing for their clients;"
        " take the others out of the terminator's configuration and ask again, or put back the"
        " file of each by hand"
    )


def _by_address(looks: Sequence[Seen]) -> Iterable[tuple[Address, list[Seen]]]:
    groups: dict[Address, list[Seen]] = {}
    for one in looks:
        groups.setdefault(one.way.address, []).append(one)
    return groups.items()


def _short(fingerprint: str) -> str:
    return fingerprint[:_SHOWN_CHARS]
