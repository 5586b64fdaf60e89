"""The exporter's own errors, told apart by who must act."""

from collections.abc import Sequence
from dataclasses import dataclass


class ExporterError(Exception):
    """Anything this program raises on purpose; its text is a full sentence for an operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong in something an operator wrote.

    Attributes:
        place: File, line and dotted key as far as known, for example
            ``config.yml:12 targets.static[3].address``.
        message: What is wrong, the value, and what would be right.
    """

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class ConfigError(ExporterError):
    """The operator must act: a file, option or argument is not usable. Holds all faults."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class CertificateError(ExporterError):
    """Bytes that should be a certificate, a chain or a trust store are not."""


class StoreError(ExporterError):
    """The durable store cannot be read or written; ``retryable`` when it may work later."""

    def __init__(self, detail: str, *, retryable: bool) -> None:
        super().__init__(detail)
        self.retryable = retryable
