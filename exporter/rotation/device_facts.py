"""Makes of reports and logs what is known of each device; unknown stays unknown; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from exporter.certificates import Certificate
from exporter.fleet.held import Held, Holdings
from exporter.fleet.model import FleetSnapshot
from exporter.handshake_log.recent import Recent
from exporter.observations import Reason
from exporter.rotation.gateway_facts import candidate_chain
from exporter.rotation.gathered import Gathered
from exporter.rotation.kin import Judging
from exporter.rotation.model import DeviceFacts, GatewayFacts
from exporter.rotation.records import Rotation
from exporter.targets.model import Role, Target
from exporter.trust_store.model import Standing, SyncState

_NOBODY_HEARD = Recent()


def holdings_of(snapshot: FleetSnapshot, further: Sequence[Certificate] = ()) -> Holdings:
    """Return who finds out what devices trust; ``further`` are CAs that are known besides."""
    anchors = (anchor for store in snapshot.stores.values() for anchor in store.anchors)
    known = {one.fingerprint_sha256: one for one in (*further, *anchors)}
    return Holdings(
        stores=snapshot.stores,
        reported=snapshot.reported,
        certificates={**snapshot.certificates, **known},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """From when on handshakes at one gateway are about its candidate; None: it is not served.

    Attributes:
        proven_at: What succeeded since then, succeeded on it.
        untold_from: What succeeded since then, rests on a full handshake with it, although
            nobody tells whether it was one: there are no tickets of before any more.
        begun_at: What failed since then, may have failed on it.
    """

    proven_at: datetime | None = None
    untold_from: datetime | None = None
    begun_at: datetime | None = None


def since_of(rotation: Rotation, gateway: GatewayFacts) -> Since:
    """Return from when on handshakes are about the candidate; after doubt, later or earlier."""
    mark = rotation.marks.gateway(gateway.name)
    if gateway.served is None or gateway.served != mark.candidate:
        return Since()
    known = [one for one in (gateway.activated_at, mark.rotated_at) if one is not None]
    if not known:
        return Since()
    # Between the switch and our own look an old worker may still have served the old chain
    proven_at = max(known) if mark.rotated_at else None
    no_tickets_from = gateway.no_tickets_from
    untold_from = max(proven_at, no_tickets_from) if proven_at and no_tickets_from else None
    return Since(proven_at=proven_at, untold_from=untold_from, begun_at=min(known))


@dataclass(slots=True, kw_only=True)
class DeviceJudge:
    """What devices would say to their gateways' candidates; each distinct store once.

    Attributes:
        until: The candidate must be accepted now, and at that moment.
    """

    rotation: Rotation
    holdings: Holdings
    judge: Judging
    names: Mapping[str, str | None]
    now: datetime
    until: datetime
    _chains: dict[str, Sequence[Certificate]] = field(default_factory=dict)
    _said: dict[tuple[str, tuple[str, str, bool]], bool | None] = field(default_factory=dict)

    def accepts(self, target: Target) -> bool | None:
        """Return whether a device would accept its gateway's candidate; None: not known."""
        gateway = target.gateway or ""
        held = self.holdings.of(target)
        if gateway not in self._chains:
            self._chains[gateway] = candidate_chain(gateway, self.rotation)
        if held is None or not self._chains[gateway]:
            return None
        key = (gateway, held.key)
        if key not in self._said:
            self._said[key] = self._judged(gateway, held)
        return self._said[key]

    def _judged(self, gateway: str, held: Held) -> bool | None:
        chain, name = self._chains[gateway], self.names.get(gateway)
        verdicts = [
            self.judge.judge(chain, held.store, name=name, at=at) for at in (self.now, self.until)
        ]
        if all(one.verified for one in verdicts):
            return True
        # Of some anchors only the hash is known: what the others refuse, these may accept
        return None if held.is_partial else False


def device_facts(
    target: Target, since: Since, gathered: Gathered, judge: DeviceJudge
) -> DeviceFacts:
    """Return what is known of one device behind a gateway of the plan."""
    name, gateway = target.name, target.gateway or ""
    standing = gathered.standings.get(name)
    recent = gathered.heard.get(gateway, {}).get(name, _NOBODY_HEARD)
    reported_at, fresh_until = _report_times(name, standing, gathered)
    anchors = _anchors(standing)
    word = standing.known.word if standing is not None else None
    plan = judge.rotation.plan
    failing, failing_at = _failing(recent, since)
    return DeviceFacts(
        name=name,
        gateway=gateway,
        device_class=target.device_class,
        group=target.rollout_group,
        contact_interval_s=target.contact_interval_s,
        last_seen_at=_last_seen(name, recent, reported_at, gathered),
        reported_at=reported_at,
        fresh_until=fresh_until,
        trusts_new=None if anchors is None else plan.new_ca in anchors,
        trusts_old=None if anchors is None else plan.old_ca in anchors,
        word=word.status if word is not None else None,
        error=word.error if word is not None else "",
        accepts_candidate=judge.accepts(target),
        full_at=_full_at(recent, since),
        is_by_ticket=since.begun_at is not None and recent.resumed_since(since.begun_at),
        failing=failing,
        failing_at=failing_at,
        is_client=name in gathered.clients,
    )


def _anchors(standing: Standing | None) -> frozenset[str] | None:
    report = standing.known.report if standing is not None else None
    return report.anchors if report is not None else None


def _report_times(
    name: str, standing: Standing | None, gathered: Gathered
) -> tuple[datetime | None, datetime | None]:
    """Return when the device's report was received, and until when it counts."""
    report = standing.known.report if standing is not None else None
    if standing is None or report is None:
        return None, None
    fresh_until = report.received_at + timedelta(seconds=gathered.stale_s.get(name, 0.0))
    if standing.state is SyncState.STALE:
        fresh_until = min(fresh_until, gathered.at)  # by the device's own clock it is old
    return report.received_at, fresh_until


def _last_seen(
    name: str, recent: Recent, reported_at: datetime | None, gathered: Gathered
) -> datetime | None:
    latest_s = max(recent.latest_s, gathered.heard_at_s.get(name, 0.0))
    heard = [datetime.fromtimestamp(latest_s, UTC)] if latest_s else []
    return max([*heard, *([reported_at] if reported_at is not None else [])], default=None)


def _full_at(recent: Recent, since: Since) -> datetime | None:
    """Return the latest handshake that proves that the device accepts the candidate."""
    full = recent.full_since(since.proven_at) if since.proven_at is not None else None
    # mosquitto's log, for one, never tells
    untold = recent.untold_since(since.untold_from) if since.untold_from is not None else None
    return max((one for one in (full, untold) if one is not None), default=None)


def _failing(recent: Recent, since: Since) -> tuple[Reason | None, datetime | None]:
    """Return why the device refuses the candidate, and when it last did, by a trusted source."""
    found = recent.failing_since(since.begun_at) if since.begun_at is not None else None
    if found is None or not found.proves_distrust:
        return None, None
    return found.reason, found.last_at


def is_device_of(target: Target, gateways: Mapping[str, object]) -> bool:
    """Return whether ``target`` is a device behind one of ``gateways``."""
    return target.role is Role.DEVICE and target.gateway in gateways
