"""CPU of one verdict, in this process alone, beside OpenSSL's own verification in the same run.

The peer reads the same certificates from DER and asks pyOpenSSL once, with a store that is ready:
what one would write without us. It says yes or no; ours adds the name, every reason, the path and
the moment at which the verdict ends. Both take turns, so that a busy machine slows both alike.

    python -m bench.verdicts
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from OpenSSL import crypto

from exporter.anchors import TrustStore, trust_store
from exporter.certificates import Certificate, describe
from exporter.clock import SystemClock
from exporter.demo.pki import Issued, Wishes, issue, new_key
from exporter.verdicts.cache import Judge
from exporter.verdicts.judge import judge

NAME = "gw.bench.test"
ROUNDS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A chain that is accepted, and the store that accepts it."""

    name: str
    chain: tuple[Certificate, ...]
    store: TrustStore


def cases() -> Sequence[Case]:
    """Return an EC chain with an intermediate, and an RSA leaf right below its CA."""
    ca = issue(Wishes(common_name="bench CA", is_ca=True))
    middle = issue(Wishes(common_name="bench intermediate", is_ca=True), issuer=ca)
    leaf = issue(Wishes(common_name=NAME, names=[NAME]), issuer=middle)
    rsa_ca = issue(Wishes(common_name="bench RSA CA", is_ca=True), key=new_key("RSA 2048"))
    rsa_leaf = issue(
        Wishes(common_name=NAME, names=[NAME]), issuer=rsa_ca, key=new_key("RSA 2048")
    )
    return (
        _case("EC with intermediate", ca, leaf, middle),
        _case("RSA leaf", rsa_ca, rsa_leaf),
    )


def _case(name: str, ca: Issued, *chain: Issued) -> Case:
    return Case(
        name=name,
        chain=tuple(describe(one.der) for one in chain),
        store=trust_store("bench", [describe(ca.der)]),
    )


def peer_of(case: Case) -> Callable[[], None]:
    """Return OpenSSL's verification of the chain as it was sent; it raises on a no."""
    anchors = crypto.X509Store()
    for anchor in case.store.anchors:
        anchors.add_cert(crypto.load_certificate(crypto.FILETYPE_ASN1, anchor.der))

    def verify() -> None:
        leaf, *more = (
            crypto.load_certificate(crypto.FILETYPE_ASN1, one.der) for one in case.chain
        )
        crypto.X509StoreContext(anchors, leaf, more).verify_certificate()

    return verify


def ours_of(case: Case, at: datetime) -> Callable[[], None]:
    """Return our verdict, made anew each time; it raises on a no."""

    def verdict() -> None:
        made = judge(case.chain, case.store, name=NAME, at=at)
        if not made.verified:
            raise RuntimeError(f"{case.name} is refused: {made.detail}")

    return verdict


def remembered_of(case: Case, at: datetime) -> Callable[[], None]:
    """Return our verdict as the service asks for it again at each look."""
    judged = Judge()

    def verdict() -> None:
        judged.judge(case.chain, case.store, name=NAME, at=at)

    return verdict


def cost_ms(work: Callable[[], None], count: int) -> float:
    """Return the CPU milliseconds of one of ``count``."""
    before = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - before) / count * 1000


def show(
    name: str, work: Callable[[], None], peer: Callable[[], None], counts: tuple[int, int]
) -> None:
    """Let both take turns and print the median of each and of the rounds' ratios."""
    work()
    peer()
    rounds = [(cost_ms(work, counts[0]), cost_ms(peer, counts[1])) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(one / other for one, other in rounds)
    print(f"{name:<33} {ours:8.5f} ms   OpenSSL alone {theirs:.4f} ms   {ratio:.3f}x")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=250, help="verdicts in each of the rounds")
    count = parser.parse_args().count
    at = SystemClock().now()
    for case in cases():
        peer = peer_of(case)
        show(case.name, ours_of(case, at), peer, (count, count))
        show(f"{case.name}, remembered", remembered_of(case, at), peer, (count * 50, count))


if __name__ == "__main__":
    main()
