"""The trust map as it is shown, sent and read again; pure values."""

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

MOST_AUTHORITIES = 500
"""So many CAs are told of at most, those on which something hangs first."""
MOST_NAMES = 20
"""So many devices or gateways are named in one place at most; the counts are of all."""


class _Part(BaseModel):
    # Read again by another version's command line, so further keys are nothing bad
    model_config = ConfigDict(
        frozen=True, extra="ignore", json_schema_serialization_defaults_required=True
    )


class Kind(StrEnum):
    """What a CA certificate is."""

    ROOT = "root"
    INTERMEDIATE = "intermediate"
    BRIDGE = "bridge"
    """Another certificate has the same subject and key, and this one is signed by somebody else:
    whoever does not know the other hangs on this one alone."""
    HASH_ONLY = "hash_only"
    """Devices reported it, and nobody has its certificate."""


class Names(_Part):
    """Some devices or gateways.

    Attributes:
        count: Of all.
        first: The first ``MOST_NAMES`` of them, sorted.
    """

    count: int = 0
    first: tuple[str, ...] = ()


class Trust(_Part):
    """How one device class trusts one CA.

    Attributes:
        device_class: Empty: devices without a class.
        reported_count: Devices that reported it themselves, lately.
        inventory_count: Devices that hold it by the inventory, and have not reported.
        device_count: All devices of the class.
        since: Since when a device of the class is known to; None: not known.
        until: End of the CA's certificate; None: not known.
    """

    device_class: str
    reported_count: int
    inventory_count: int
    device_count: int
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class Loss(_Part):
    """What one class would lose.

    Attributes:
        dark: Devices that would no longer connect.
        unknown: Devices of which that cannot be said.
    """

    device_class: str
    dark: Names = Names()
    unknown: Names = Names()


class Effect(_Part):
    """What would be if a CA were gone; of those devices that accept their gateway now.

    Attributes:
        losses: By class; classes that lose nothing are left out.
        gateways: Those that would lose devices.
    """

    dark_count: int = 0
    unknown_count: int = 0
    losses: tuple[Loss, ...] = ()
    gateways: Names = Names()


class Carried(_Part):
    """What hangs on a CA.

    Attributes:
        gateways: Whose served chain leads to it or through it.
        devices: Devices whose own endpoint serves such a chain.
        client_certificates: Devices whose own certificates it signs, as the configuration says.
    """

    gateways: Names = Names()
    devices: Names = Names()
    client_certificates: Names = Names()

    @property
    def is_nothing(self) -> bool:
        """Whether nothing hangs on it."""
        return not (self.gateways.count or self.devices.count or self.client_certificates.count)


class Authority(_Part):
    """One CA certificate.

    Attributes:
        fingerprint: SHA-256.
        subject: RFC 4514, printable, from the certificate: untrusted text. Empty for a hash.
        issuers: Other CAs of the map that signed it (SHA-256).
        same_key: Other certificates of the same CA: same subject, same key.
        stores: Trust stores of the configuration that hold it.
        if_removed: It were taken from all trust stores, devices' and gateways'.
        if_expired: Its certificate had ended.
    """

    fingerprint: str
    kind: Kind
    subject: str = ""
    issuer: str = ""
    not_before: AwareDatetime | None = None
    not_after: AwareDatetime | None = None
    issuers: tuple[str, ...] = ()
    same_key: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    trusted_by: tuple[Trust, ...] = ()
    carries: Carried = Carried()
    if_removed: Effect = Effect()
    if_expired: Effect = Effect()


class DeviceClass(_Part):
    """One class of devices, whatever it trusts.

    Attributes:
        reported_count: Devices with a fresh report.
        inventory_count: Devices of which only the inventory says what they hold.
        unknown: Devices of which nobody can say what they trust.
    """

    name: str
    device_count: int
    reported_count: int = 0
    inventory_count: int = 0
    unknown: Names = Names()


class Gateway(_Part):
    """One gateway, as far as its chain is known now.

    Attributes:
        subject: Of the leaf; empty: what it serves is not known now. So are the other two.
        leads_to: CAs of the map that its chain leads to or through (SHA-256).
        accepted_count: Devices behind it that accept what it serves; of the others
            ``refused_count`` do not, and of ``unknown_count`` nobody can say.
    """

    name: str
    subject: str = ""
    issuer: str = ""
    not_after: AwareDatetime | None = None
    leads_to: tuple[str, ...] = ()
    accepted_count: int = 0
    refused_count: int = 0
    unknown_count: int = 0


class TrustMap(_Part):
    """Who trusts whom, and what hangs on it, at one moment.

    Attributes:
        authorities: Those first whose end would do most harm.
        left_out_count: CAs that are not told of, because there are too many.
    """

    at: AwareDatetime
    classes: tuple[DeviceClass, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    authorities: tuple[Authority, ...] = ()
    left_out_count: int = 0


def names(all_names: set[str] | frozenset[str]) -> Names:
    """Return the count of ``all_names`` and the first of them."""
    return Names(count=len(all_names), first=tuple(sorted(all_names)[:MOST_NAMES]))
