"""Waits for the devices after a rollback; asks for the recovery of those that stay out."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from exporter.clock import Clock
from exporter.gateway.api import Fence, GatewayError
from exporter.gateway.messages import RecoveryRequest
from exporter.remediation.carry_out import CarryOut, Told
from exporter.remediation.hands import Hands, Returned
from exporter.remediation.intents import Ending, Intent, Stage
from exporter.remediation.measure import beside, measured
from exporter.remediation.options import Options
from exporter.remediation.records import Records
from exporter.remediation.way_out import way_out
from exporter.wording import listed

_COUNT_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """For how long whom is waited.

    Attributes:
        need_count: So many devices must be back.
        first_s: The first of them within this time; ``all_s``: ``need_count`` of them.
    """

    need_count: int
    first_s: float
    all_s: float


def patience_for(
    devices: Sequence[str], reconnect_s: Callable[[str], float | None], options: Options
) -> Patience:
    """Return for how long to wait: until as many as are needed should be back by their class."""
    need = math.ceil(options.back_ratio * len(devices))
    times = sorted(reconnect_s(device) or options.back_within for device in devices)
    all_s = times[need - 1] if times else 0.0
    return Patience(need_count=need, first_s=min(options.first_back_within, all_s), all_s=all_s)


class Waiting:
    """The second proof: full handshakes of the devices themselves."""

    def __init__(
        self,
        carry_out: CarryOut,
        records: Records,
        hands: Hands,
        clock: Clock,
        *,
        options: Callable[[], Options],
    ) -> None:
        self._carry_out = carry_out
        self._records = records
        self._hands = hands
        self._clock = clock
        self._options = options

    async def until_back(self, intent: Intent) -> Intent:
        """Bring ``intent`` from served to its end; may be called again after a crash.

        Raises:
            StoreError: a step could not be made durable; call again later.
            TakenUpError: another process carries it out now.
        """
        patience = patience_for(intent.devices, self._hands.reconnect_s, self._options())
        if not intent.devices:
            detail = "it is served; nobody connected before, so nobody can show that it works"
            told = Told(ending=Ending.UNPROVEN, detail=detail)
            facts = await self._measured(intent)
            return await self._carry_out.advance(intent, Stage.ENDED, told, facts)
        if await self._enough(intent, patience):
            return await self._end(intent, Ending.RECOVERED)
        out = self._out(intent)
        asked = await self._ask_for_recovery(intent, out)
        if asked and await self._enough(intent, patience, again=True):
            return await self._end(intent, Ending.RECOVERED, asked)
        return await self._end(intent, Ending.NOT_BACK, asked)

    async def _enough(self, intent: Intent, patience: Patience, *, again: bool = False) -> bool:
        """Return whether enough came back in time; ``again``: from now on."""
        start = self._clock.now() if again else intent.stage_at
        while True:
            back = self._back(intent)
            waited = self._clock.now() - start
            if len(back) >= patience.need_count:
                return True
            limit_s = patience.all_s if back else patience.first_s
            if waited >= timedelta(seconds=limit_s):
                return False
            await self._clock.sleep(_COUNT_EVERY_S)

    def _returned(self, intent: Intent) -> Returned:
        return self._hands.returned(intent.identity.gateway, intent.stage_at)

    def _back(self, intent: Intent) -> set[str]:
        return set(intent.devices).intersection(self._returned(intent).back)

    def _out(self, intent: Intent) -> list[str]:
        back = self._back(intent)
        return [device for device in intent.devices if device not in back]

    async def _ask_for_recovery(
        self, intent: Intent, out: Sequence[str]
    ) -> Mapping[str, Collection[str]]:
        """Have the devices that are out updated by their other channel; empty: none has one."""
        api = self._hands.api(intent.identity.gateway)
        if api is None or not out:
            return {}
        request = RecoveryRequest(
            device_ids=tuple(out), method="FALLBACK_CHANNEL", action="UPDATE_TRUSTSTORE"
        )
        await self._carry_out.note(intent, {"sends": "recovery/initiate", "devices": len(out)})
        try:
            answer = await api.recover(request, Fence(idempotency_key=f"{intent.key}:recovery"))
        except GatewayError as exc:
            await self._carry_out.note(intent, {"error": str(exc), "reason": exc.reason})
            return {}
        facts = {"accepted": list(answer.accepted), "rejected": list(answer.rejected)}
        await self._carry_out.note(intent, facts)
        return facts if answer.accepted else {}

    async def _end(
        self, intent: Intent, ending: Ending, asked: Mapping[str, Collection[str]] | None = None
    ) -> Intent:
        returned = self._returned(intent)
        out = self._out(intent)
        back_count = len(intent.devices) - len(out)
        detail = f"{back_count} of {len(intent.devices)} devices are back"
        if ending is Ending.NOT_BACK:
            detail += f"; still out: {listed(out)}. {self._way_out(intent)}"
        facts = {
            "back": back_count,
            "out": out,
            "by_ticket": sorted(set(intent.devices) & set(returned.by_ticket)),
            "recovery": {key: list(names) for key, names in (asked or {}).items()},
            **await self._measured(intent),
        }
        return await self._carry_out.advance(
            intent, Stage.ENDED, Told(ending=ending, detail=detail), facts
        )

    async def _measured(self, intent: Intent) -> Mapping[str, object]:
        """Return what was forecast and what became of each device, by name."""
        case = await self._records.case(intent.decision_number)
        if case is None:
            return {}
        return beside(case.decision.forecast, measured(case.evidence, self._returned(intent)))

    def _way_out(self, intent: Intent) -> str:
        gateway = intent.identity.gateway
        files = self._hands.store_files(gateway)
        return way_out(gateway, [f"{name}={file}" for name, file in files.items()])
