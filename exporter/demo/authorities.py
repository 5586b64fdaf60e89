"""The demo's certificate authorities, and the gateway's certificate as each breakage wants it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from exporter.demo.options import Break
from exporter.demo.pki import SERVER_AUTH, Issued, Wishes, certify, issue

GATEWAY_NAME = "gw-1.fleet.example"
OTHER_NAME = "gw-2.fleet.example"
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorities:
    """Who signs in the demo.

    Attributes:
        old_ca: What every device trusts.
        new_ca: What no device trusts yet.
        device_ca: Signs the certificates of devices that listen themselves.
        vendor_ca: Signs nothing here; one firmware trusts it too, as firmware does.
    """

    old_ca: Issued
    old_intermediate: Issued
    new_ca: Issued
    new_intermediate: Issued
    device_ca: Issued
    vendor_ca: Issued


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a TLS server needs: its chain, leaf first, and the leaf's key, both in PEM."""

    chain_pem: bytes
    key_pem: bytes


def make_authorities(now: datetime) -> Authorities:
    """Return fresh authorities: the old CA is in its last years, the new one a month old."""
    old_ca = _ca("Fleet CA 2017", now - 3200 * _DAY, now + 450 * _DAY)
    new_ca = _ca("Fleet CA 2026", now - 30 * _DAY, now + 3650 * _DAY)
    return Authorities(
        old_ca=old_ca,
        old_intermediate=_ca("Gateway CA A1", now - 1000 * _DAY, now + 400 * _DAY, by=old_ca),
        new_ca=new_ca,
        new_intermediate=_ca("Gateway CA B1", now - 29 * _DAY, now + 1800 * _DAY, by=new_ca),
        device_ca=_ca("Device CA", now - 900 * _DAY, now + 2700 * _DAY),
        vendor_ca=_ca("Vendor Update CA", now - 900 * _DAY, now + 1800 * _DAY),
    )


def gateway_certificate(ca: Authorities, now: datetime, broken: Break | None = None) -> Served:
    """Return what the gateway serves: healthy, or with exactly one thing wrong.

    The healthy leaf has a month of its ninety days behind it, so that nothing warns.
    """
    intermediate = ca.new_intermediate if broken is Break.UNKNOWN_CA else ca.old_intermediate
    leaf = issue(_gateway_wishes(now, broken), issuer=intermediate)
    chain = leaf.pem if broken is Break.MISSING_INTERMEDIATE else leaf.pem + intermediate.pem
    return Served(chain_pem=chain, key_pem=leaf.key_pem)


def gateway_chain(csr_pem: str, issuer: Issued, now: datetime) -> str:
    """Return the chain, as PEM, for a key that the gateway made itself."""
    request = x509.load_pem_x509_csr(csr_pem.encode())
    leaf = certify(
        _gateway_wishes(now, None),
        request.public_key(),
        issuer.key,
        issuer_name=issuer.certificate.subject,
    )
    return (leaf.public_bytes(serialization.Encoding.PEM) + issuer.pem).decode()


def _gateway_wishes(now: datetime, broken: Break | None) -> Wishes:
    name = OTHER_NAME if broken is Break.HOSTNAME else GATEWAY_NAME
    start = now - (90 * _DAY + _HOUR if broken is Break.EXPIRED else 30 * _DAY)
    return Wishes(
        common_name=name,
        # The address is what a look by hand at 127.0.0.1 checks
        names=(name,) if broken is Break.HOSTNAME else (name, "127.0.0.1"),
        purposes=(SERVER_AUTH,),
        not_before=start,
        not_after=start + 90 * _DAY,
    )


def device_certificate(ca: Authorities, now: datetime, name: str, address: str) -> Served:
    """Return the certificate of a device that listens at ``address`` itself."""
    leaf = issue(
        Wishes(
            common_name=name,
            names=(f"{name}.fleet.example", address),
            not_before=now - 100 * _DAY,
            not_after=now + 265 * _DAY,
        ),
        issuer=ca.device_ca,
    )
    return Served(chain_pem=leaf.pem, key_pem=leaf.key_pem)


def _ca(name: str, start: datetime, end: datetime, *, by: Issued | None = None) -> Issued:
    wishes = Wishes(
        common_name=name,
        is_ca=True,
        path_length=0 if by else None,
        not_before=start,
        not_after=end,
    )
    return issue(wishes, issuer=by)
