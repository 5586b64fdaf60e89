"""Joins lines of one handshake that arrive apart; pure, bounded in time and number.

Never by order alone. mosquitto names a refused client only when it accepts the connection: six
clients at once give six such lines and then six errors without a name. They are attributed only
when every connection that was pending has failed, and all for the same reason; else they are
nobody's.
"""

import json
from collections import OrderedDict
from dataclasses import asdict, dataclass, field, replace

from exporter.handshake_log.message import Clue, ClueKind, Reading
from exporter.observations import HandshakeRecord, Reason, ToldBy, in_order

WAIT_S = 10.0
"""Until when a connection that was accepted can still be the one that failed."""

STEP_S = 0.5
"""How long a handshake that is told in several lines waits for the next one."""

LIMIT = 256
"""Connections, threads and failures that are kept in mind, each."""

# IANA's ports for MQTT and HTTP without TLS: what is accepted there is no handshake
_PLAIN_PORTS = frozenset({80, 1883})


@dataclass(slots=True)
class _Thread:
    """One connection of a writer: its peer, and the failure that its lines tell so far."""

    peer: str | None = None
    record: HandshakeRecord | None = None
    step: int = 0
    at_s: float = 0.0


@dataclass(slots=True)
class Joiner:
    """The lines of one stream; what comes out is complete.

    ``at_s`` are seconds of any clock that does not go back.
    """

    _opened: "OrderedDict[str, tuple[float, int | None]]" = field(default_factory=OrderedDict)
    _anonymous: list[tuple[float, HandshakeRecord]] = field(default_factory=list)
    _threads: "OrderedDict[str, _Thread]" = field(default_factory=OrderedDict)

    def take(self, reading: Reading, at_s: float) -> list[HandshakeRecord]:
        """Return the handshakes that are complete with ``reading``."""
        done = self._clue(reading.clue, reading.thread, at_s) if reading.clue else []
        if reading.record is not None:
            done += self._record(reading, reading.record, at_s)
        return done

    def due(self, at_s: float) -> list[HandshakeRecord]:
        """Return what has waited long enough."""
        done = []
        for name, thread in list(self._threads.items()):
            if at_s - thread.at_s >= STEP_S:
                done += self._end_step(thread)
            if at_s - thread.at_s >= WAIT_S:
                del self._threads[name]
        for peer, (opened_s, _) in list(self._opened.items()):
            if at_s - opened_s >= WAIT_S:
                # It may have failed without a name; whoever did is nobody from now on
                done += self._give_up()
                self._opened.pop(peer, None)
        if self._anonymous and at_s - self._anonymous[0][0] >= WAIT_S:
            done += self._give_up()
        return done

    def _clue(self, clue: Clue, thread: str | None, at_s: float) -> list[HandshakeRecord]:
        if thread is not None:
            done = self._end_step(self._thread(thread))
            self._threads[thread] = _Thread(peer=clue.peer, at_s=at_s)
            return done + self._bound()
        match clue.kind:
            case ClueKind.OPENED if clue.peer is not None:
                self._opened[clue.peer] = (at_s, clue.port)
                return self._bound()
            case ClueKind.CLOSED if clue.name is None:
                done = self._end_step(self._threads[""]) if "" in self._threads else []
                waiting = not self._anonymous and clue.peer is not None
                if waiting and clue.peer is not None:
                    self._opened.pop(clue.peer, None)
                return done
            case _:
                return []

    def _record(
        self, reading: Reading, record: HandshakeRecord, at_s: float
    ) -> list[HandshakeRecord]:
        if reading.clue is not None and reading.clue.kind is ClueKind.NAMED:
            return self._named(record)
        if reading.thread is None:
            return [record]
        if not reading.step:
            thread = self._threads.get(reading.thread)
            before = self._end_step(thread) if thread is not None else []
            peer = thread.peer if thread is not None else None
            return before + self._whose(replace(record, peer=record.peer or peer), at_s)
        thread = self._thread(reading.thread)
        done = self._end_step(thread) if reading.step <= thread.step else []
        thread.record = _merged(thread.record, record)
        thread.step, thread.at_s = reading.step, at_s
        return done + self._bound()

    def _named(self, record: HandshakeRecord) -> list[HandshakeRecord]:
        _, port = self._opened.pop(record.peer or "", (0.0, None))
        return ([] if port in _PLAIN_PORTS else [record]) + self._settle()

    def _thread(self, name: str) -> _Thread:
        return self._threads.setdefault(name, _Thread())

    def _end_step(self, thread: _Thread) -> list[HandshakeRecord]:
        """Return the handshake that the thread's lines told of, if they did."""
        record, thread.record, thread.step = thread.record, None, 0
        if record is None:
            return []
        return self._whose(replace(record, peer=record.peer or thread.peer), thread.at_s)

    def _whose(self, record: HandshakeRecord, at_s: float) -> list[HandshakeRecord]:
        if record.peer is not None or record.success or not self._opened:
            return [record]
        self._anonymous.append((at_s, record))
        return self._settle() + self._bound()

    def _settle(self) -> list[HandshakeRecord]:
        """Return the failures without a name once every connection that was pending has failed."""
        if not self._anonymous or len(self._anonymous) < len(self._opened):
            return []
        whys = {(record.reason, record.rejected_by) for _, record in self._anonymous}
        if len(whys) > 1 or len(self._anonymous) > len(self._opened):
            self._opened.clear()
            return self._give_up()
        done = [
            replace(record, peer=peer)
            for peer, (_, record) in zip(self._opened, self._anonymous, strict=True)
        ]
        self._opened.clear()
        self._anonymous.clear()
        return done

    def _give_up(self) -> list[HandshakeRecord]:
        done = [record for _, record in self._anonymous]
        self._anonymous.clear()
        if done:
            self._opened.clear()
        return done

    def _bound(self) -> list[HandshakeRecord]:
        done = []
        while len(self._threads) > LIMIT:
            _, thread = self._threads.popitem(last=False)
            done += self._end_step(thread)
        if len(self._opened) > LIMIT or len(self._anonymous) > LIMIT:
            done += self._give_up()
            while len(self._opened) > LIMIT:
                self._opened.popitem(last=False)
        return done

    # What a restart must not forget: a line that was read is not read again

    def dump(self) -> str:
        """Return JSON of what is waiting; empty when nothing is."""
        if not (self._opened or self._anonymous or self._threads):
            return ""
        return json.dumps(
            {
                "opened": [[peer, port] for peer, (_, port) in self._opened.items()],
                "anonymous": [_plain(record) for _, record in self._anonymous],
                "threads": [
                    [name, thread.peer, thread.step, _plain(thread.record)]
                    for name, thread in self._threads.items()
                ],
            }
        )

    @classmethod
    def load(cls, text: str, at_s: float) -> "Joiner":
        """Return what ``dump`` wrote; its waits begin anew."""
        joiner = cls()
        if text:
            kept = json.loads(text)
            for peer, port in kept["opened"]:
                joiner._opened[peer] = (at_s, port)
            for plain in kept["anonymous"]:
                joiner._anonymous.append((at_s, _record_of(plain)))
            for name, peer, step, plain in kept["threads"]:
                record = None if plain is None else _record_of(plain)
                joiner._threads[name] = _Thread(peer=peer, record=record, step=step, at_s=at_s)
        return joiner


def _merged(before: HandshakeRecord | None, more: HandshakeRecord) -> HandshakeRecord:
    """Return what two lines of one handshake tell together; the one with the better reason leads.

    ``other`` and ``verify_failed`` say the least; else the earlier in the order of reasons.
    """
    if before is None:
        return more
    first, second = (more, before) if _worth(more) < _worth(before) else (before, more)
    return replace(
        first,
        rejected_by=first.rejected_by or second.rejected_by,
        peer=first.peer or second.peer,
        names=first.names or second.names,
        at=first.at or second.at,
    )


_ORDER = {reason: rank for rank, reason in enumerate(in_order(set(Reason)))}


def _worth(record: HandshakeRecord) -> tuple[bool, int]:
    vague = record.reason in {None, Reason.OTHER, Reason.VERIFY_FAILED}
    return vague, _ORDER.get(record.reason or Reason.OTHER, 0)


def _plain(record: HandshakeRecord | None) -> dict[str, object] | None:
    """Return a failure as JSON; successes never wait."""
    if record is None:
        return None
    kept = ("reason", "rejected_by", "peer", "writer", "names")
    return {key: value for key, value in asdict(record).items() if key in kept}


def _record_of(plain: dict[str, object]) -> HandshakeRecord:
    reason, told_by, names = plain["reason"], plain["rejected_by"], plain["names"]
    peer, writer = plain["peer"], plain["writer"]
    return HandshakeRecord(
        failure=True,
        success=False,
        reason=None if reason is None else Reason(str(reason)),
        rejected_by=None if told_by is None else ToldBy(str(told_by)),
        peer=None if peer is None else str(peer),
        writer=None if writer is None else str(writer),
        names=tuple(str(name) for name in names) if isinstance(names, list) else (),
    )
