"""What a judge says; pure values."""

from dataclasses import dataclass
from datetime import datetime

from exporter.observations import Reason, WarningReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One chain judged against one trust store at one moment.

    Attributes:
        trust_store: The store's name.
        verified: The chain is accepted; then ``reasons`` is empty.
        reasons: All that hold, in the enum's order; never empty when not verified.
        warnings: What is remarked without refusing, in the enum's order.
        detail: One sentence for people: the first reason with the certificate and date or name it
            is about, or a note on a verified chain; may be empty when all is good.
        path: SHA-256 of each certificate on the path to an anchor, leaf first, anchor last, also
            where something on it is refused; empty when no anchor is reached.
        not_after: When this chain stops verifying for this store (the earliest end on the path);
            None when it is not verified.
        steady_until: The verdict stays the same for every moment from ``judged_at`` until then
            (exclusive); None: for ever. What a cache goes by.
    """

    trust_store: str
    verified: bool
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[WarningReason, ...] = ()
    detail: str = ""
    path: tuple[str, ...] = ()
    not_after: datetime | None = None
    judged_at: datetime
    steady_until: datetime | None = None
