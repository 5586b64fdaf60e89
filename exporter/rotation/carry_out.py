"""Carries out one step at the management APIs: durable before it is sent, settled by looking.

What is answered proves nothing. Whether a gateway was rotated or put back is read off what it
serves at the next look (``reconcile``); after a crash that is the same case.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from exporter.certificates import read_pem
from exporter.clock import Clock
from exporter.errors import ExporterError
from exporter.gateway.api import Fence, GatewayError, GatewayReason, ManagementApi
from exporter.gateway.messages import (
    ConfirmRequest,
    CsrRequest,
    Operation,
    RehearseRequest,
    RollbackRequest,
    RotateRequest,
    TrustStoreOperation,
    TrustStoreUpdateRequest,
    ValidateRequest,
    ValidationMode,
)
from exporter.rotation.gate import rotation_blockers
from exporter.rotation.hands import Hands
from exporter.rotation.model import DeviceMark, GatewayMark, Step
from exporter.rotation.phases import MOST_TRIES, before_of
from exporter.rotation.records import Ordered, Records, Rotation, with_marks
from exporter.rotation.signing import NotYetError
from exporter.rotation.steps import Action, confirm_within_s
from exporter.rotation.view import View, view_of

_REHEARSAL_S = 60.0
_PAUSE = timedelta(minutes=1)
_LONGEST_DOUBLING = 6


async def _always(_step: Step) -> bool:
    return True


class CarryOut:
    """Does what ``next_action`` says, and no more.

    Args:
        may_go_on: Asked between the gateways of one step.
    """

    def __init__(
        self,
        records: Records,
        hands: Hands,
        clock: Clock,
        *,
        may_go_on: Callable[[Step], Awaitable[bool]] = _always,
    ) -> None:
        self._records = records
        self._may_go_on = may_go_on
        self._hands = hands
        self._clock = clock
        at_gateway: Mapping[Step, Callable[[Rotation, View, str, Action], Awaitable[Rotation]]] = {
            Step.ORDER: self._order,
            Step.REHEARSE: self._rehearse,
            Step.ROTATE: self._rotate,
            Step.CONFIRM: self._confirm,
            Step.ROLL_BACK: self._roll_back,
        }
        self._at_gateway = at_gateway

    async def do(self, rotation: Rotation, view: View, action: Action) -> Rotation:
        """Carry out one step; return the rotation with what was done.

        Raises:
            StoreError: it could not be made durable; nothing was sent that was not.
        """
        if rotation.marks.begun_at is None and action.step in {Step.ADD, Step.VALIDATE}:
            # What an order took counts against nothing that follows
            gateways = {
                name: replace(mark, tries=0) for name, mark in rotation.marks.gateways.items()
            }
            rotation = with_marks(rotation, begun_at=self._now, gateways=gateways)
            await self._note(rotation, action.step, {"why": action.why})
        for place, name in enumerate(action.gateways):
            if place and not await self._may_go_on(action.step):
                return rotation
            if place and action.step is Step.ROTATE:
                # The one before took its time: what was known of this one is old by now
                view = await self._anew(rotation, view)
            rotation = await self._at_gateway[action.step](rotation, view, name, action)
        if action.devices:
            rotation = await self._at_devices(rotation, view, action)
        if action.step is Step.FINISH:
            rotation = with_marks(
                rotation, ended=action.ends, phase=action.ends, phase_at=self._now
            )
            await self._note(rotation, Step.FINISH, {"ends": action.ends, "why": action.why})
        return rotation

    async def _anew(self, rotation: Rotation, view: View) -> View:
        facts = await self._hands.facts(rotation)
        return view_of(rotation.plan, facts, rotation.marks, now=self._now, options=view.options)

    # Gateways

    async def _order(self, rotation: Rotation, view: View, name: str, _action: Action) -> Rotation:
        mark = rotation.marks.gateway(name)
        rotation = _marked(rotation, name, replace(mark, tries=mark.tries + 1))
        await self._note(rotation, Step.ORDER, {}, gateway=name)
        try:
            request = await self._request(rotation, name)
            rotation = _ordered(rotation, name, Ordered(request=request, chain=""))
            await self._note(rotation, Step.ORDER, {"is_requested": True}, gateway=name)
            chain = await self._hands.sign(name, request)
            leaf = read_pem(chain.encode(), what="the signer's answer")[0].fingerprint_sha256
        except NotYetError as exc:
            rotation = _marked(rotation, name, mark)  # waiting for a person is no failure
            return await self._put_off(rotation, Step.ORDER, name, exc, view=view)
        except ExporterError as exc:
            return await self._put_off(rotation, Step.ORDER, name, exc, view=view)
        mark = replace(rotation.marks.gateway(name), candidate=leaf, retry_at=None)
        if rotation.marks.begun_at is not None:
            mark = replace(mark, tries=0)
        rotation = _ordered(
            _marked(rotation, name, mark), name, Ordered(request=request, chain=chain)
        )
        await self._note(rotation, Step.ORDER, {"candidate": leaf}, gateway=name)
        return rotation

    async def _request(self, rotation: Rotation, name: str) -> str:
        """Return the request that waits for its chain, else a new one for a new key."""
        waiting = rotation.orders.get(name)
        if waiting is not None and not waiting.chain:
            return waiting.request
        fence = _fence(rotation, Step.ORDER, name, await self._operation(name))
        return (await self._api(name).csr(CsrRequest(), fence)).csr

    async def _rehearse(
        self, rotation: Rotation, view: View, name: str, _action: Action
    ) -> Rotation:
        number = await self._operation(name)
        chain, mark = rotation.orders[name].chain, rotation.marks.gateway(name)
        try:
            fence = _fence(rotation, Step.REHEARSE, name, number)
            asked = RehearseRequest(new_certificate=chain, seconds=_REHEARSAL_S)
            rehearsal = await self._api(name).rehearse(asked, fence)
        except ExporterError as exc:
            rotation = _marked(rotation, name, replace(mark, tries=mark.tries + 1))
            return await self._put_off(rotation, Step.REHEARSE, name, exc, view=view)
        is_met = await self._hands.meets(name, rehearsal.address, mark.candidate or "")
        said = "it was met on the second port" if is_met else "nobody met it on the second port"
        fresh = replace(mark, rehearsed=mark.candidate, retry_at=None, tries=0)
        if not is_met:
            fresh = replace(mark, retry_at=self._now + _pause(mark.tries), tries=mark.tries + 1)
        rotation = _marked(rotation, name, fresh)
        await self._note(rotation, Step.REHEARSE, {"second_port": said}, gateway=name)
        return rotation

    async def _rotate(
        self, rotation: Rotation, view: View, name: str, _action: Action
    ) -> Rotation:
        if rotation_blockers(view, name):
            return rotation  # judged again at the moment of sending: something is in its way
        mark, number = rotation.marks.gateway(name), await self._operation(name)
        asked = replace(mark, intended=Step.ROTATE, asked_at=self._now)
        rotation = _marked(rotation, name, asked)
        await self._note(rotation, Step.ROTATE, {"operation_number": number}, gateway=name)
        request = RotateRequest(
            new_certificate=rotation.orders[name].chain,
            confirm_within=confirm_within_s(view, name),
        )
        serving = view.facts.gateways[name].served
        fence = replace(_fence(rotation, Step.ROTATE, name, number), serving=serving)
        try:
            answer = await self._ask_to_rotate(rotation, name, request, fence)
        except ExporterError as exc:
            told = {"error": str(exc)}
            is_answered = not (isinstance(exc, GatewayError) and exc.is_outcome_unknown)
        else:
            told = {"answer": answer.status, "detail": answer.detail}
            is_answered = True
        if is_answered:
            rotation = _marked(rotation, name, replace(asked, asked_at=None))
        await self._note(rotation, Step.ROTATE, told, gateway=name)
        return rotation

    async def _ask_to_rotate(
        self, rotation: Rotation, name: str, request: RotateRequest, fence: Fence
    ) -> Operation:
        """Ask strictly; again without that only where all who object were left out by a person.

        Raises:
            GatewayError: it was refused, or may or may not have been done.
        """
        try:
            return await self._api(name).rotate(request, fence)
        except GatewayError as exc:
            objecting = set(exc.devices)
            is_refused = exc.reason is GatewayReason.REFUSED and not exc.is_outcome_unknown
            if not is_refused or not objecting or objecting - rotation.marks.excluded.keys():
                raise
        number = await self._operation(name)
        told = {"left_out": sorted(objecting), "operation_number": number}
        await self._note(rotation, Step.ROTATE, told, gateway=name)
        again = replace(_fence(rotation, Step.ROTATE, name, number), serving=fence.serving)
        without = request.model_copy(update={"validation_mode": ValidationMode.NONE})
        return await self._api(name).rotate(without, again)

    async def _confirm(
        self, rotation: Rotation, _view: View, name: str, _action: Action
    ) -> Rotation:
        mark, number = rotation.marks.gateway(name), await self._operation(name)
        try:
            api = self._api(name)
            pending = (await api.certificates()).pending_confirmation
            if pending is not None:
                fence = replace(
                    _fence(rotation, Step.CONFIRM, name, number), serving=mark.candidate
                )
                await api.confirm(ConfirmRequest(operation_id=pending), fence)
        except ExporterError as exc:
            await self._note(rotation, Step.CONFIRM, {"error": str(exc)}, gateway=name)
            return rotation
        rotation = _marked(rotation, name, replace(mark, is_confirmed=True))
        await self._note(rotation, Step.CONFIRM, {"pending": pending}, gateway=name)
        return rotation

    async def _roll_back(
        self, rotation: Rotation, view: View, name: str, action: Action
    ) -> Rotation:
        mark, number = rotation.marks.gateway(name), await self._operation(name)
        why = mark.rolled_back_why or action.why
        fresh = replace(mark, intended=Step.ROLL_BACK, rolled_back_why=why)
        rotation = _marked(rotation, name, fresh)
        await self._note(rotation, Step.ROLL_BACK, {"why": why}, gateway=name)
        planned = next(one for one in rotation.plan.gateways if one.name == name)
        try:
            api = self._api(name)
            version = await _version_of(api, before_of(planned, rotation.marks))
            serving = view.facts.gateways[name].served
            fence = replace(_fence(rotation, Step.ROLL_BACK, name, number), serving=serving)
            await api.rollback(RollbackRequest(target_version=version), fence)
        except ExporterError as exc:
            rotation = _marked(rotation, name, replace(fresh, tries=fresh.tries + 1))
            return await self._put_off(rotation, Step.ROLL_BACK, name, exc, view=view)
        return rotation

    # Devices

    async def _at_devices(self, rotation: Rotation, view: View, action: Action) -> Rotation:
        if action.step is Step.VALIDATE:
            return await self._validate(rotation, view, action.devices)
        asked = {name: _asked(rotation, action, name, self._now) for name in action.devices}
        removing_at = rotation.marks.removing_at
        if action.step is Step.REMOVE and action.anchor == rotation.plan.old_ca:
            removing_at = removing_at or self._now
        before = rotation
        rotation = with_marks(
            rotation, devices={**rotation.marks.devices, **asked}, removing_at=removing_at
        )
        told = {"devices": list(action.devices), "anchor": action.anchor, "why": action.why}
        await self._note(rotation, action.step, told)
        for gateway, names in _by_gateway(view, action.devices).items():
            if not await self._update(rotation, gateway, names, action):
                # Certainly or possibly not asked: asked again at once, which does no harm
                kept = {
                    one: replace(
                        asked[one],
                        added_at=before.marks.device(one).added_at,
                        removed_at=before.marks.device(one).removed_at,
                    )
                    for one in names
                }
                rotation = with_marks(rotation, devices={**rotation.marks.devices, **kept})
                await self._note(rotation, action.step, {"not_asked": list(names)})
        return rotation

    async def _update(
        self, rotation: Rotation, gateway: str, names: tuple[str, ...], action: Action
    ) -> bool:
        is_new = action.anchor == rotation.plan.new_ca
        is_removal = action.step is Step.REMOVE
        request = TrustStoreUpdateRequest(
            operation=TrustStoreOperation.REMOVE if is_removal else TrustStoreOperation.ADD,
            certificate=rotation.new_pem if is_new else rotation.old_pem,
            priority=None if is_removal else "secondary",
            device_ids=names,
        )
        number = await self._operation(gateway)
        try:
            fence = _fence(rotation, action.step, gateway, number)
            await self._api(gateway).update_trust_store(request, fence)
        except ExporterError as exc:
            await self._note(rotation, action.step, {"error": str(exc)}, gateway=gateway)
            return False
        return True

    async def _validate(self, rotation: Rotation, view: View, devices: Iterable[str]) -> Rotation:
        marks = dict(rotation.marks.devices)
        for name in devices:
            gateway = view.facts.devices[name].gateway
            request = ValidateRequest(
                device_id=name, certificate_chain=rotation.orders[gateway].chain, dry_run=True
            )
            try:
                told = await self._api(gateway).validate(request)
            except ExporterError:
                continue  # it stays a question, and a blocker by name
            marks[name] = replace(
                rotation.marks.device(name),
                validated=rotation.marks.gateway(gateway).candidate,
                validated_at=self._now,
                is_valid=told.valid,
                refusal=", ".join(told.reasons)[:200],
            )
        rotation = with_marks(rotation, devices=marks)
        refused = [name for name in devices if not marks.get(name, DeviceMark()).is_valid]
        await self._note(rotation, Step.VALIDATE, {"not_valid": refused})
        return rotation

    # Common

    @property
    def _now(self) -> datetime:
        return self._clock.now()

    def _api(self, gateway: str) -> ManagementApi:
        api = self._hands.api(gateway)
        if api is None:
            raise ExporterError(f"{gateway} has no management API any more")
        return api

    async def _operation(self, gateway: str) -> int:
        """Return a number above all that the agent was ever sent, as far as it can be asked."""
        try:
            above = (await self._api(gateway).certificates()).last_operation_number
        except ExporterError:
            above = 0
        return await self._records.operation(gateway, above=above)

    async def _put_off(
        self, rotation: Rotation, step: Step, name: str, error: ExporterError, *, view: View
    ) -> Rotation:
        mark = rotation.marks.gateway(name)
        least = view.options.retry_pause if step is Step.ORDER else 0.0
        pause = max(_pause(mark.tries), timedelta(seconds=least))
        fresh = replace(mark, retry_at=self._now + pause)
        rotation = _marked(rotation, name, fresh)
        is_last = step is Step.ORDER and mark.tries >= MOST_TRIES
        told = {"error": str(error), "is_given_up": is_last}
        await self._note(rotation, step, told, gateway=name)
        return rotation

    async def _note(
        self, rotation: Rotation, step: Step, facts: Mapping[str, object], *, gateway: str = ""
    ) -> None:
        await self._records.note(rotation, {"step": step, **facts}, at=self._now, gateway=gateway)


async def _version_of(api: ManagementApi, fingerprint: str) -> int:
    certificates = await api.certificates()
    for one in certificates.versions:
        if one.fingerprint == fingerprint:
            return one.version
    raise ExporterError(f"the version that serves {fingerprint[:16]} is not there any more")


def _marked(rotation: Rotation, name: str, mark: GatewayMark) -> Rotation:
    return with_marks(rotation, gateways={**rotation.marks.gateways, name: mark})


def _ordered(rotation: Rotation, name: str, order: Ordered) -> Rotation:
    return replace(rotation, orders={**rotation.orders, name: order})


def _asked(rotation: Rotation, action: Action, name: str, now: datetime) -> DeviceMark:
    mark = rotation.marks.device(name)
    if action.step is Step.REMOVE:
        return replace(mark, removed_at=now, removed_tries=mark.removed_tries + 1)
    return replace(mark, added_at=now, added_tries=mark.added_tries + 1)


def _by_gateway(view: View, devices: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name in devices:
        gateway = view.facts.devices[name].gateway
        found[gateway] = (*found.get(gateway, ()), name)
    return found


def _fence(rotation: Rotation, step: Step, gateway: str, number: int) -> Fence:
    key = f"rotation:{rotation.plan.hash[:16]}:{step}:{number}:{hash_of(gateway)}"
    return Fence(idempotency_key=key, operation_number=number)


def hash_of(name: str) -> str:
    """Return a name as a header can carry it."""
    return name.encode().hex()[:64]


def _pause(tries: int) -> timedelta:
    return _PAUSE * 2.0 ** min(tries, _LONGEST_DOUBLING)
