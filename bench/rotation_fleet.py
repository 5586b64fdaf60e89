"""A fleet in memory with real certificates, as the rotation's hands gather it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from exporter.anchors import TrustStore, trust_store
from exporter.certificates import Certificate, describe
from exporter.demo.pki import SERVER_AUTH, Issued, Wishes, issue, new_key
from exporter.fleet.model import FleetSnapshot, TargetState
from exporter.gateway.messages import (
    CertificateVersion,
    GatewayCertificates,
    Serving,
    VersionState,
)
from exporter.observations import Observation, TrustReport
from exporter.rotation.gathered import GatewayLook, Gathered
from exporter.rotation.records import Ordered
from exporter.targets.model import Role, Target
from exporter.trust_store.model import Known, Standing, SyncState

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
CLASSES = 20
_DAY = timedelta(days=1)
_BEGIN, _END = NOW - 30 * _DAY, NOW + 300 * _DAY


def described(issued: Issued) -> Certificate:
    return describe(issued.certificate.public_bytes(serialization.Encoding.DER))


def authority(name: str) -> Issued:
    return issue(
        Wishes(
            common_name=name, is_ca=True, names=(), purposes=(), not_before=_BEGIN, not_after=_END
        )
    )


@dataclass(frozen=True, kw_only=True)
class BenchFleet:
    """So many devices, in classes that trust differently, behind so many gateways."""

    old: Issued
    new: Issued
    gathered: Gathered
    orders: Mapping[str, Ordered]
    candidates: Mapping[str, str]


def fleet_of(devices: int, gateways: int) -> BenchFleet:
    old, new = authority("old CA"), authority("new CA")
    others = [described(authority(f"vendor CA {n}")) for n in range(CLASSES)]
    anchors = [frozenset({described(old).fingerprint_sha256, one.fingerprint_sha256})
               for one in others]  # fmt: skip
    names = [f"gw-{n}" for n in range(gateways)]
    leaves = {name: described(_leaf(old, name)) for name in names}
    targets = {
        **{name: _gateway(name, leaves[name]) for name in names},
        **{f"dev-{n}": _device(n, names) for n in range(devices)},
    }
    reported = {f"dev-{n}": anchors[n % CLASSES] for n in range(devices)}
    known = {one.fingerprint_sha256: one for one in others}
    snapshot = FleetSnapshot(
        at=NOW,
        targets=targets,
        stores={"fw": _store(old)},
        reported=reported,
        certificates=known,
    )
    orders, candidates = _signed(new, names)
    return BenchFleet(
        old=old,
        new=new,
        orders=orders,
        candidates=candidates,
        gathered=Gathered(
            at=NOW,
            snapshot=snapshot,
            looks={name: _look(leaf) for name, leaf in leaves.items()},
            chains={leaf.fingerprint_sha256: (leaf,) for leaf in leaves.values()},
            standings={name: _standing(name, held) for name, held in reported.items()},
            stale_s=dict.fromkeys(reported, 86_400.0),
        ),
    )


def _store(old: Issued) -> TrustStore:
    return trust_store("fw", [described(old)])


def _leaf(issuer: Issued, name: str) -> Issued:
    return issue(Wishes(common_name=name, names=(f"{name}.example",), purposes=(SERVER_AUTH,),
                        not_before=_BEGIN, not_after=_END), issuer=issuer)  # fmt: skip


def _gateway(name: str, leaf: Certificate) -> TargetState:
    target = Target(
        name=name, role=Role.GATEWAY, host=f"{name}.example", port=8883, management_api=name
    )
    seen = Observation(target=name, address=f"{name}.example:8883", observed_at=NOW, chain=(leaf,))
    return TargetState(target=target, observation=seen, chain=(leaf,), chain_observed_at=NOW)


def _device(number: int, gateways: list[str]) -> TargetState:
    return TargetState(
        target=Target(
            name=f"dev-{number}",
            role=Role.DEVICE,
            gateway=gateways[number % len(gateways)],
            device_class=f"class-{number % CLASSES}",
            rollout_group="canary" if number < 100 else "production",
            contact_interval_s=3_600.0,
            holds=("fw",),
        )
    )


def _standing(name: str, anchors: frozenset[str]) -> Standing:
    report = TrustReport(device=name, reported_at=NOW, received_at=NOW, anchors=anchors)
    return Standing(
        state=SyncState.SYNCED,
        known=Known(report=report),
        wanted=None,
        difference=None,
        steady_until=None,
    )


def _look(leaf: Certificate) -> GatewayLook:
    version = CertificateVersion(
        version=1,
        state=VersionState.CURRENT,
        fingerprint=leaf.fingerprint_sha256,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        activated_at=NOW - _DAY,
        proven=True,
        key_usable=True,
    )
    told = GatewayCertificates(
        serving=Serving(version=1, fingerprint=leaf.fingerprint_sha256), versions=(version,)
    )
    return GatewayLook(chain=(leaf,), observed_at=NOW, certificates=told)


def _signed(new: Issued, names: list[str]) -> tuple[dict[str, Ordered], dict[str, str]]:
    orders, candidates = {}, {}
    for name in names:
        key = new_key()
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        san = x509.SubjectAlternativeName([x509.DNSName(f"{name}.example")])
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(subject)
            .add_extension(san, critical=False)
            .sign(key, hashes.SHA256())
        )
        wishes = Wishes(
            common_name=name,
            names=(f"{name}.example",),
            purposes=(SERVER_AUTH,),
            not_before=_BEGIN,
            not_after=_END,
        )
        made = issue(wishes, issuer=new, key=key)
        pem = request.public_bytes(serialization.Encoding.PEM).decode()
        orders[name] = Ordered(request=pem, chain=made.pem.decode())
        candidates[name] = described(made).fingerprint_sha256
    return orders, candidates
