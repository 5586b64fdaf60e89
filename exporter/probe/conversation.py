"""A handshake over a wire, and a polite end of it."""

from exporter.observations import Reason, ToldBy
from exporter.probe.failure import (
    Failure,
    LookFailed,
    Progress,
    explain_close,
    explain_silence,
    explain_tls,
)
from exporter.probe.openssl import Session, Step
from exporter.probe.wire import TooLate, Wire

# After a TLS 1.3 server asked for our certificate, its refusal comes when our side is done
# (RFC 8446, 4.4.2.4 and 6.2). It needs one way there and back and some arithmetic, as the
# handshake did: four times that, and not below what a small device or a busy server takes.
_REFUSAL_MIN_S = 0.5
_REFUSAL_FACTOR = 4
# Once it has accepted, for one that closes by a rule of its own (nginx's stream module).
_SETTLE_S = 0.05
# For the other side's tickets and close_notify. Closing with them unread makes the kernel send a
# reset, which servers log as an error.
_LINGER_S = 0.5


class Conversation:
    """What is said from the first byte to the last.

    Args:
        wire: Connected.
        session: Fresh.
        holds_certificate: The session has a client certificate to show.
        max_bytes: More than so many from the endpoint end it.
    """

    def __init__(
        self, wire: Wire, session: Session, *, holds_certificate: bool, max_bytes: int
    ) -> None:
        self._wire = wire
        self._session = session
        self._holds_certificate = holds_certificate
        self._max_bytes = max_bytes
        self._unsent = b""
        self._send_error: OSError | None = None
        self._is_over = False

    async def shake_hands(self, phase_s: float) -> None:
        """Return when our side is done; its last words wait for ``say_goodbye``.

        Args:
            phase_s: The most it may take.

        Raises:
            LookFailed: there will be no handshake.
        """
        self._wire.allow(phase_s)
        try:
            await self._shake_hands()
        except TooLate:
            raise LookFailed(explain_silence(self.progress, phase_s)) from None

    async def _shake_hands(self) -> None:
        session = self._session
        while (step := session.handshake()) is Step.WANTS_READ:
            await self._send(session.outgoing())
            session.receive(await self._receive())
        self._unsent = session.outgoing()
        if step is not Step.DONE:
            await self._send(self._unsent)  # our alert: the other side shall know, too
            raise LookFailed(self._told_by_library())

    async def say_goodbye(self, *, handshake_s: float, phase_s: float) -> None:
        """End as both sides should: all read, close_notify both ways.

        Args:
            handshake_s: What the handshake took: how fast the other side is.
            phase_s: The most to wait for a refusal.

        Raises:
            LookFailed: the other side refused us after all.
        """
        linger_s = _LINGER_S
        if self._session.certificate_requested:
            await self._await_refusal(
                min(phase_s, max(_REFUSAL_MIN_S, _REFUSAL_FACTOR * handshake_s))
            )
            linger_s = _LINGER_S if self._session.is_accepted else phase_s
        if not self._is_over:
            await self._part(min(phase_s, linger_s))

    async def _await_refusal(self, patience_s: float) -> None:
        self._wire.allow(patience_s)
        is_settling = False
        try:
            await self._send(self._unsent)
            self._unsent = b""
            self._take_in()  # what came together with the last of the handshake
            while not self._is_over:
                if self._session.is_accepted and not is_settling:
                    is_settling = True
                    self._wire.allow(min(patience_s, _SETTLE_S))
                await self._hear_answer()
        except TooLate:
            return

    async def _hear_answer(self) -> None:
        """Take in one piece after the handshake, while nothing was said about closing by us."""
        try:
            data = await self._wire.receive()
        except OSError as exc:
            self._note_closing(exc, was_announced=False)
            return
        if data:
            self._session.receive(data)
            self._take_in()
        else:
            self._note_closing(None, was_announced=False)

    def _take_in(self) -> None:
        match self._session.read():
            case Step.FAILED:
                raise LookFailed(self._told_by_library())
            case Step.CLOSED:
                self._note_closing(None, was_announced=True)
            case _:
                pass  # tickets or data; the session knows what they mean

    def _note_closing(self, error: OSError | None, *, was_announced: bool) -> None:
        """The other side closed before we did: a refusal, unless it had accepted us.

        One that had, but lacks the certificate it asked for and says close_notify at once, refuses
        by a rule above TLS (nginx's stream module with ``ssl_verify_client on``).
        """
        progress = self.progress
        if not self._session.is_accepted or (was_announced and progress.owes_certificate):
            raise LookFailed(explain_close(progress, error=error))
        self._is_over = True

    async def _part(self, linger_s: float) -> None:
        self._session.close()
        self._wire.allow(linger_s)
        try:
            await self._send(self._unsent + self._session.outgoing())
            self._wire.finish()
            while await self._is_still_talking():
                pass
        except (OSError, TooLate):
            return  # gone, or it does not close: we have been polite enough

    async def _is_still_talking(self) -> bool:
        data = await self._wire.receive()
        if not data or self._wire.received_bytes > self._max_bytes:
            return False
        self._session.receive(data)
        step = self._session.read()
        if step is Step.FAILED and self._session.error and self._session.error.alert is not None:
            raise LookFailed(self._told_by_library())
        return step is Step.WANTS_READ

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        return Progress(
            first_bytes=self._wire.first_bytes,
            chain_received=self._session.chain_count > 0,
            certificate_requested=self._session.certificate_requested,
            certificate_held=self._holds_certificate,
        )

    def _told_by_library(self) -> Failure:
        error = self._session.error
        if error is None:  # CLOSED: a close_notify in the middle of the handshake
            return explain_close(self.progress)
        return explain_tls(error, self.progress)

    async def _send(self, data: bytes) -> None:
        try:
            await self._wire.send(data)
        except OSError as exc:
            # an alert that tells why may be waiting to be read: receiving decides
            self._send_error = exc

    async def _receive(self) -> bytes:
        try:
            data = await self._wire.receive()
        except OSError as exc:
            raise LookFailed(explain_close(self.progress, error=exc)) from exc
        if not data:
            raise LookFailed(explain_close(self.progress, error=self._send_error))
        if self._wire.received_bytes > self._max_bytes:
            raise LookFailed(
                Failure(
                    reason=Reason.OTHER,
                    rejected_by=ToldBy.LOCAL,
                    detail=f"the endpoint sent more than {self._max_bytes} bytes "
                    "before the handshake was done",
                )
            )
        return data
