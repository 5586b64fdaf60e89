"""A judge with a simple rule, and short ways to targets, chains and looks."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from exporter.anchors import TrustStore, trust_store
from exporter.certificates import Certificate, fingerprint_of
from exporter.fleet import Fleet, TargetState
from exporter.observations import Durations, Observation, Reason
from exporter.targets.model import Inventory, Role, Target
from exporter.verdicts.model import Verdict
from tests.fake_clock import FakeClock
from tests.pki import utc


class SimpleJudge:
    """Accepts what an anchor has issued, from its begin to its end; the same object each time.

    Of the name it wants that it is in the subject, when one is asked for.
    """

    def __init__(self) -> None:
        self.judged: list[tuple[str, datetime]] = []
        self.learned: list[Certificate] = []
        self._known: dict[tuple[object, ...], Verdict] = {}

    def judge(
        self, chain: Sequence[Certificate], store: TrustStore, *, name: str | None, at: datetime
    ) -> Verdict:
        end = min(certificate.not_after for certificate in chain)
        key = (tuple(chain), store.digest, name, at < end)
        if key not in self._known:
            self.judged.append((store.name, at))
            self._known[key] = _judged(chain, store, name, at, end)
        return self._known[key]

    def learn(self, certificates: Iterable[Certificate]) -> None:
        self.learned.extend(certificates)


def _judged(
    chain: Sequence[Certificate], store: TrustStore, name: str | None, at: datetime, end: datetime
) -> Verdict:
    trusted = {anchor.subject_cn: anchor.fingerprint_sha256 for anchor in store.anchors}
    faults = (
        (chain[-1].issuer_cn not in trusted, Reason.UNKNOWN_CA),
        (at >= end, Reason.EXPIRED),
        (name is not None and name not in chain[0].subject_cn, Reason.HOSTNAME_MISMATCH),
    )
    reasons = tuple(reason for holds, reason in faults if holds)
    return Verdict(
        trust_store=store.name,
        verified=not reasons,
        reasons=reasons,
        path=(*(one.fingerprint_sha256 for one in chain), trusted[chain[-1].issuer_cn])
        if chain[-1].issuer_cn in trusted
        else (),
        not_after=None if reasons else end,
        judged_at=at,
        steady_until=end if at < end else None,
    )


def certificate(
    subject: str = "gw-1.example", issuer: str = "old CA", *, not_after: str = "2027-02-01"
) -> Certificate:
    der = f"{subject} {issuer} {not_after}".encode("utf-8", "surrogatepass")
    return Certificate(
        der=der,
        fingerprint_sha256=fingerprint_of(der),
        subject=f"CN={subject}",
        issuer=f"CN={issuer}",
        subject_cn=subject,
        issuer_cn=issuer,
        serial_number="0a1b",
        not_before=utc("2026-11-01"),
        not_after=utc(not_after),
        public_key="EC P-256",
        signature_algorithm="ecdsa-with-SHA256",
    )


def store(name: str, *anchors: str, not_after: str = "2036-01-01") -> TrustStore:
    return trust_store(name, [certificate(cn, cn, not_after=not_after) for cn in anchors])


OLD = store("fw-1", "old CA")
NEW = store("fw-2", "new CA")
STORES = {"fw-1": OLD, "fw-2": NEW}


def gateway(name: str = "gw-1", **fields: object) -> Target:
    shown = {
        "role": Role.GATEWAY,
        "host": f"{name}.example",
        "port": 8883,
        "trust_stores": ("fw-1",),
        **fields,
    }
    return Target(name=name, **shown)  # type: ignore[arg-type]  # passed on by name


def device(name: str = "dev-01", **fields: object) -> Target:
    shown = {"role": Role.DEVICE, "gateway": "gw-1", "holds": ("fw-1",), **fields}
    return Target(name=name, **shown)  # type: ignore[arg-type]  # passed on by name


def inventory(*targets: Target) -> Inventory:
    return Inventory(targets={target.name: target for target in targets})


def look(target: Target, clock: FakeClock, **fields: object) -> Observation:
    """A look that went well, with ``fields`` otherwise."""
    shown = {
        "address": target.address,
        "observed_at": clock.now(),
        "connected": True,
        "handshake": True,
        "tls_version": "TLSv1.3",
        "cipher": "TLS_AES_128_GCM_SHA256",
        "chain": (certificate(),),
        "durations_s": Durations(resolve=0.0001, connect=0.001, handshake=0.004),
        **fields,
    }
    return Observation(target=target.name, **shown)  # type: ignore[arg-type]  # passed on by name


def silence(target: Target, clock: FakeClock, **fields: object) -> Observation:
    """A look that nothing answered."""
    shown: dict[str, object] = {
        "connected": False,
        "handshake": False,
        "reason": Reason.CONNECT_TIMEOUT,
        "tls_version": None,
        "cipher": None,
        "chain": (),
        "durations_s": Durations(resolve=0.0001),
        **fields,
    }
    return look(target, clock, **shown)


def make_fleet(clock: FakeClock, *targets: Target) -> tuple[Fleet, SimpleJudge]:
    judge = SimpleJudge()
    fleet = Fleet(judge, clock)
    fleet.use(inventory(*targets), STORES)
    return fleet, judge


def state_of(fleet: Fleet, name: str = "gw-1") -> TargetState:
    return fleet.snapshot().targets[name]


def later(at: datetime, **by: float) -> datetime:
    return at + timedelta(**by)
