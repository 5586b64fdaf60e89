"""One look at a TLS endpoint: shake hands without verifying, keep what was shown."""

import asyncio
import logging
from collections.abc import Sequence

from exporter.certificates import Certificate
from exporter.errors import CertificateError
from exporter.observations import Durations, Observation, OcspStaple, Reason
from exporter.probe.client_files import ClientFiles
from exporter.probe.connect import connect
from exporter.probe.conversation import Conversation
from exporter.probe.failure import Failure, LookFailed, explain_name, explain_resolve
from exporter.probe.model import Endpoint, Limits, Tools
from exporter.probe.ocsp import StapleCache
from exporter.probe.openssl import ClientContext, Session
from exporter.probe.resolve import Address, Resolver, ascii_name

log = logging.getLogger(__name__)


class TlsProber:
    """Looks at endpoints that speak TLS from the first byte; one for all of them.

    Args:
        tools: Clock and certificate cache.
        credentials: Our client certificate for those that ask for one; None: we have none.
        bare: The settings without ``credentials``; None: the usual ones.
    """

    def __init__(
        self,
        tools: Tools,
        credentials: ClientFiles | None = None,
        *,
        bare: ClientContext | None = None,
    ) -> None:
        self._tools = tools
        self._credentials = credentials
        self._bare_context = bare or ClientContext()
        self._resolver = Resolver(tools.clock)
        self._staples = StapleCache()

    async def __call__(self, endpoint: Endpoint, limits: Limits) -> Observation:
        """Return what was seen. Never raises for what the other side does."""
        look = _Look(endpoint, limits, self._tools, self._staples)
        try:
            await self._run(look)
        except Exception:
            log.exception("look failed by a fault of our own target=%s", endpoint.target)
            look.failure = Failure(
                reason=Reason.INTERNAL,
                rejected_by=None,
                detail="a fault of this program, see its log",
            )
        return look.observation()

    async def _run(self, look: "_Look") -> None:
        held = await self._credentials.context() if self._credentials else None
        try:
            await look.run(self._resolver, held or self._bare_context)
        except LookFailed as failed:
            look.failure = failed.failure
        look.collect()


class _Look:
    """What has been learned so far in one look."""

    def __init__(
        self, endpoint: Endpoint, limits: Limits, tools: Tools, staples: StapleCache
    ) -> None:
        self.failure: Failure | None = None
        self._endpoint = endpoint
        self._limits = limits
        self._clock = tools.clock
        self._certificates = tools.certificates
        self._staples = staples
        self._is_done = False
        self._session: Session | None = None
        self._resolve_s: float | None = None
        self._connect_s: float | None = None
        self._handshake_s: float | None = None
        self._version: str | None = None
        self._cipher: str | None = None
        self._chain: tuple[Certificate, ...] = ()
        self._sent_count = 0
        self._ocsp: OcspStaple | None = None
        self._notes: list[str] = []

    async def run(self, resolver: Resolver, context: ClientContext) -> None:
        """Go through the phases.

        Raises:
            LookFailed: one of them ended it.
        """
        server_name = _server_name(self._endpoint)
        addresses = await self._resolve(resolver)
        started = self._clock.monotonic()
        with await connect(addresses, self._limits.phase_s, self._clock) as wire:
            connected = self._clock.monotonic()
            self._connect_s = connected - started
            self._session = Session(context, server_name)
            talk = Conversation(
                wire,
                self._session,
                holds_certificate=context.holds_certificate,
                max_bytes=self._limits.max_bytes,
            )
            await talk.shake_hands(self._limits.phase_s)
            self._handshake_s = self._clock.monotonic() - connected
            await talk.say_goodbye(handshake_s=self._handshake_s, phase_s=self._limits.phase_s)
            self._is_done = True

    async def _resolve(self, resolver: Resolver) -> Sequence[Address]:
        host, port, started = self._endpoint.host, self._endpoint.port, self._clock.monotonic()
        try:
            found = resolver.known(host, port)
            if found is None:
                async with asyncio.timeout(self._limits.phase_s):
                    found = await resolver.resolve(host, port)
        except TimeoutError:
            raise LookFailed(explain_resolve(host, None)) from None
        except (OSError, UnicodeError) as exc:
            raise LookFailed(explain_resolve(host, exc)) from exc
        self._resolve_s = self._clock.monotonic() - started
        return found

    def collect(self) -> None:
        """Take over what the endpoint has shown, however the look ended."""
        session = self._session
        if session is None or not (sent_count := session.chain_count):
            return
        self._sent_count = sent_count
        self._version, self._cipher = session.version, session.cipher
        self._chain = self._kept_of(session)
        if self._chain and (staple := session.ocsp) is not None:
            try:
                self._ocsp = self._staples.read(staple, self._chain)
            except CertificateError as exc:
                self._notes.append(str(exc))

    def _kept_of(self, session: Session) -> tuple[Certificate, ...]:
        limit = self._limits.max_chain
        kept: list[Certificate] = []
        for der in session.chain(limit):
            try:
                kept.append(self._certificates.get(der))
            except CertificateError as exc:
                # cut here: dropping only this one would give the others a wrong position
                self._notes.append(f"the chain is cut at position {len(kept)}: {exc}")
                return tuple(kept)
        if self._sent_count > limit:
            self._notes.append(
                f"the endpoint sent {self._sent_count} certificates, {limit} are kept"
            )
        return tuple(kept)

    def observation(self) -> Observation:
        """Return what was learned, whatever the end."""
        failure = self.failure
        return Observation(
            target=self._endpoint.target,
            address=self._endpoint.address,
            observed_at=self._clock.now(),
            protocol=self._endpoint.protocol,
            connected=self._connect_s is not None,
            handshake=self._is_done and failure is None,
            reason=failure.reason if failure else None,
            rejected_by=failure.rejected_by if failure else None,
            detail="; ".join([failure.detail, *self._notes] if failure else self._notes),
            tls_version=self._version,
            cipher=self._cipher,
            client_certificate_requested=self._is_requested(),
            chain=self._chain,
            chain_sent_count=self._sent_count,
            ocsp=self._ocsp,
            durations_s=Durations(
                resolve=self._resolve_s, connect=self._connect_s, handshake=self._handshake_s
            ),
        )

    def _is_requested(self) -> bool | None:
        if self._session is not None and self._session.certificate_requested:
            return True
        # the server asks near the end of its words: before that, "no" is not known
        return None if self._handshake_s is None else False


def _server_name(endpoint: Endpoint) -> bytes | None:
    if endpoint.server_name is None:
        return None
    try:
        name = ascii_name(endpoint.server_name)
    except UnicodeError as exc:
        raise LookFailed(explain_name(endpoint.server_name, str(exc))) from exc
    # TLSEXT_MAXLEN_host_name of openssl/tls1.h
    if not 0 < len(name) <= 255 or not name.isprintable():
        raise LookFailed(explain_name(endpoint.server_name, "1 to 255 characters are allowed"))
    return name.encode("ascii")
