"""Stapled OCSP answers (RFC 6066, 8; RFC 6960); pure."""

from collections import OrderedDict
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from exporter.certificates import Certificate, fingerprint_of
from exporter.errors import CertificateError
from exporter.observations import OcspStaple


class StapleCache:
    """Answers that were read already: a server staples the same one for hours."""

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._known: OrderedDict[tuple[str, ...], OcspStaple] = OrderedDict()

    def read(self, der: bytes, chain: Sequence[Certificate]) -> OcspStaple:
        """Return what ``read_staple`` does, read at most once for the same chain.

        Raises:
            CertificateError: as there; such answers are not kept.
        """
        key = (fingerprint_of(der), *(c.fingerprint_sha256 for c in chain))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = read_staple(der, chain)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)
        return found


def read_staple(der: bytes, chain: Sequence[Certificate]) -> OcspStaple:
    """Return what the answer says of the chain's leaf.

    Raises:
        CertificateError: it cannot be parsed, carries no status, or is about another certificate.
    """
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise CertificateError(
                f"the stapled OCSP answer says {response.response_status.name.lower()}"
            )
        leaf = chain[0].parsed()
        issuer = _issuer_of(leaf, chain)
        single = _single_for(leaf, issuer, response)
        return OcspStaple(
            status=single.certificate_status.name.lower(),
            this_update=single.this_update_utc,
            next_update=single.next_update_utc,
            verified=None if issuer is None else _is_signed(response, issuer),
        )
    except (ValueError, TypeError, IndexError, UnsupportedAlgorithm) as exc:
        raise CertificateError(f"the stapled OCSP answer cannot be parsed: {exc}") from exc


def _issuer_of(leaf: x509.Certificate, chain: Sequence[Certificate]) -> x509.Certificate | None:
    for candidate in (certificate.parsed() for certificate in chain[1:]):
        try:
            leaf.verify_directly_issued_by(candidate)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            continue
        return candidate
    return None


def _single_for(
    leaf: x509.Certificate, issuer: x509.Certificate | None, response: ocsp.OCSPResponse
) -> ocsp.OCSPSingleResponse:
    for single in response.responses:
        if single.serial_number != leaf.serial_number:
            continue
        # RFC 6960, 4.1.1: serial numbers are unique only together with the issuer
        if issuer is None or _key_hash(issuer, single) == single.issuer_key_hash:
            return single
    raise CertificateError("the stapled OCSP answer is about another certificate")


def _key_hash(issuer: x509.Certificate, single: ocsp.OCSPSingleResponse) -> bytes:
    digest = Hash(single.hash_algorithm)
    digest.update(_key_bits(issuer))
    return digest.finalize()


def _key_bits(certificate: x509.Certificate) -> bytes:
    """Return the subjectPublicKey without its wrapping (RFC 6960, 4.1.1 ``issuerKeyHash``)."""
    key = certificate.public_key()
    match key:
        case rsa.RSAPublicKey():
            return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        case ec.EllipticCurvePublicKey():
            return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        case _:
            raise UnsupportedAlgorithm(f"a CA with a {type(key).__name__}")


def _is_signed(response: ocsp.OCSPResponse, issuer: x509.Certificate) -> bool:
    """Whether the issuer signed it, or one whom the issuer named for it (RFC 6960, 4.2.2.2)."""
    signers = [issuer, *(c for c in response.certificates if _is_delegate(c, issuer))]
    return any(_signature_holds(response, signer) for signer in signers)


def _is_delegate(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in purposes


def _signature_holds(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    """Whether ``signer`` signed it. RSA-PSS and DSA are not understood and do not hold."""
    key, signature, body = signer.public_key(), response.signature, response.tbs_response_bytes
    try:
        match key:
            case rsa.RSAPublicKey():
                key.verify(signature, body, padding.PKCS1v15(), _hash_of(response))
            case ec.EllipticCurvePublicKey():
                key.verify(signature, body, ec.ECDSA(_hash_of(response)))
            case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
                key.verify(signature, body)
            case _:
                return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _hash_of(response: ocsp.OCSPResponse) -> HashAlgorithm:
    algorithm = response.signature_hash_algorithm
    if algorithm is None:
        raise UnsupportedAlgorithm("a signature without a hash where one is needed")
    return algorithm
