"""Makes a recovery bundle: asks for the passphrase, has it signed, judged, and written whole."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import click
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from exporter.anchors import Profile, TrustStore
from exporter.certificates import Certificate, describe, names_of, read_pem
from exporter.cli.core_file import leave_no_core
from exporter.cli.recovery import Asked
from exporter.cli.stores import stores_of
from exporter.cli.terminal import safe
from exporter.clock import SystemClock
from exporter.config import load
from exporter.errors import CertificateError, ConfigError, Fault
from exporter.recovery.bundle import (
    MANIFEST,
    SIGNATURE,
    SIGNED_BY,
    Bundle,
    contents_of,
    manifest_of,
)
from exporter.recovery.issue import (
    Wanted,
    fault_of_issued,
    hash_for,
    is_key_of,
    names_asked,
    read_request,
    template,
)
from exporter.text_files import read_bounded
from exporter.verdicts.judge import judge
from exporter.verdicts.model import Verdict

_BAD_NEWS = 1
_MAX_BYTES = 2**20
_SIGNER_S = 120.0
_EARLY = timedelta(minutes=5)  # whoever signs has a clock of its own

_Key = CertificateIssuerPrivateKeyTypes


def make_bundle(asked: Asked) -> int:
    """Make the bundle, tell what every trust store says of it, and return the exit code.

    Raises:
        ConfigError: an option cannot be followed.
        CertificateError: a file holds something else, or nothing good came back from the signer.
    """
    leave_no_core()  # the CA's key and its passphrase come into this process
    _check(asked)
    now = SystemClock().now()
    request = read_request(_read(asked.csr), what=str(asked.csr))
    authorities = read_pem(_read(asked.ca), what=str(asked.ca))
    stores = _stores(asked)
    wanted = Wanted(lifetime=timedelta(days=asked.days), names=_further_names(asked))
    key = _key(asked, authorities[0]) if asked.ca_key is not None else None
    leaf = _leaf(asked, request, authorities[0].parsed(), key, wanted=wanted, now=now)
    chain = (leaf, *_without_roots(authorities))
    names = tuple(
        str(name.value) for name in dict.fromkeys((*names_asked(request), *wanted.names))
    )
    # A signer may take its time, and what it made begins after we asked
    verdicts = _judged((*chain, *authorities), chain, stores, names, SystemClock().now())
    _tell(leaf, names, verdicts)
    _warn_of_an_early_end(verdicts, now + wanted.lifetime)
    if not all(verdict.verified for verdict in verdicts):
        click.echo("Not accepted by every trust store: nothing was written.", err=True)
        return _BAD_NEWS
    made = Bundle(chain=chain, names=names, verdicts=verdicts, made_at=now)
    _write(asked.output, _all_files(made, authorities[0], key))
    click.echo(f"Written to {safe(str(asked.output))}; README.md there says how to deploy it.")
    return 0


def _check(asked: Asked) -> None:
    if (asked.ca_key is None) == (asked.signer is None):
        raise _wrong("--ca-key", "name either the CA's key or a --signer command, not both")
    if not asked.stores and asked.config is None:
        raise _wrong(
            "--trust-store",
            "name what the devices trust, here or by --config: without it nobody can say whether"
            " they will accept the certificate",
        )
    if asked.output.exists():
        raise _wrong("--output", f"{asked.output} is there already; name a new folder")


def _wrong(option: str, sentence: str) -> ConfigError:
    return ConfigError([Fault(place=option, message=sentence)])


def _read(path: Path) -> bytes:
    return read_bounded(path, _MAX_BYTES)


def _stores(asked: Asked) -> Sequence[TrustStore]:
    stores = stores_of(asked.stores, Profile.NORMAL) if asked.stores else ()
    if asked.config is not None:
        stores = (*stores, *load(asked.config).loaded_stores.values())
    if not stores:
        raise _wrong("--config", f"{asked.config} has no trust store to judge by")
    return stores


def _further_names(asked: Asked) -> tuple[x509.GeneralName, ...]:
    given: list[x509.GeneralName] = []
    if asked.like is not None:
        like = read_pem(_read(asked.like), what=str(asked.like))[0]
        known = names_of(like)
        given += [x509.DNSName(name) for name in known.dns]
        given += [x509.IPAddress(ip_address(text)) for text in known.ips]
    for name in asked.names:
        try:
            given.append(x509.IPAddress(ip_address(name)))
        except ValueError:
            given.append(_dns_name(name))
    return tuple(dict.fromkeys(given))


def _dns_name(name: str) -> x509.GeneralName:
    try:
        return x509.DNSName(name)
    except ValueError as exc:
        sentence = f"{name!r} is neither an IP address nor a DNS name in ASCII"
        raise _wrong("--name", sentence) from exc


def _key(asked: Asked, authority: Certificate) -> _Key:
    """Return the CA's key; the passphrase is asked for on the terminal, and kept nowhere."""
    assert asked.ca_key is not None  # noqa: S101 - the caller looked
    data = _read(asked.ca_key)
    try:
        key = _loaded(data, None)
    except TypeError:  # it is encrypted
        passphrase = click.prompt(f"Passphrase of {asked.ca_key}", hide_input=True, err=True)
        try:
            key = _loaded(data, str(passphrase).encode())
        except (ValueError, TypeError) as exc:
            raise _wrong("--ca-key", "the passphrase is wrong, or the file is damaged") from exc
    except ValueError as exc:
        raise _wrong("--ca-key", f"{asked.ca_key} is no private key in PEM") from exc
    if not is_key_of(authority.parsed(), key):
        raise _wrong("--ca-key", f"it is not the key of the first certificate in {asked.ca}")
    return key


def _loaded(data: bytes, passphrase: bytes | None) -> _Key:
    try:
        key = load_pem_private_key(data, passphrase)
    except UnsupportedAlgorithm as exc:
        raise ValueError(str(exc)) from exc
    kinds = (
        rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
        | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
    )  # fmt: skip
    if not isinstance(key, kinds):
        raise ValueError("a key of this kind signs no certificate")  # noqa: TRY004 - a wrong file
    return key


def _leaf(
    asked: Asked,
    request: x509.CertificateSigningRequest,
    issuer: x509.Certificate,
    key: _Key | None,
    *,
    wanted: Wanted,
    now: datetime,
) -> Certificate:
    builder = template(request, issuer, wanted, now=now)  # also where another signs: same refusals
    if key is not None:
        issued = builder.sign(key, hash_for(key))
        return describe(issued.public_bytes(Encoding.DER))
    answered = _signed_by_command(asked.signer or "", request)
    leaf = read_pem(answered, what="what the signer gave back")[0]
    fault = fault_of_issued(leaf.parsed(), request, issuer, wanted)
    if fault:
        raise CertificateError(f"what the signer gave back is refused: {fault}")
    return leaf


def _signed_by_command(command: str, request: x509.CertificateSigningRequest) -> bytes:
    words = shlex.split(command)
    if not words:
        raise _wrong("--signer", "the command is empty")
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own command, without a shell
            words,
            input=request.public_bytes(Encoding.PEM),
            stdout=subprocess.PIPE,
            check=False,
            timeout=_SIGNER_S,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise _wrong("--signer", f"the command {words[0]!r} did not answer: {exc}") from exc
    if done.returncode:
        raise _wrong("--signer", f"the command {words[0]!r} ended with status {done.returncode}")
    return done.stdout[:_MAX_BYTES]


def _without_roots(authorities: Sequence[Certificate]) -> Sequence[Certificate]:
    """Return what a server sends behind its leaf: a root is the devices' own."""
    return [one for one in authorities if one.subject != one.issuer]


def _judged(
    known: Sequence[Certificate],
    chain: Sequence[Certificate],
    stores: Sequence[TrustStore],
    names: Sequence[str],
    now: datetime,
) -> tuple[Verdict, ...]:
    """Judge for the first name without a wildcard: all of them are in the same extension."""
    name = next((one for one in names if "*" not in one), None)
    return tuple(judge(chain, store, name=name, at=now, known=known) for store in stores)


def _tell(leaf: Certificate, names: Sequence[str], verdicts: Sequence[Verdict]) -> None:
    click.echo(f"for {safe(', '.join(names))}")
    click.echo(f"by  {safe(leaf.issuer)}, until {leaf.not_after:%Y-%m-%d %H:%M} UTC")
    for verdict in verdicts:
        said = "accepted" if verdict.verified else f"refused: {verdict.detail}"
        click.echo(f"  {safe(verdict.trust_store)}: {safe(said)}")


def _warn_of_an_early_end(verdicts: Sequence[Verdict], wanted: datetime) -> None:
    """Say on standard error which stores accept it for less long than was asked for."""
    for verdict in verdicts:
        ends = verdict.not_after
        if ends is not None and ends < wanted - _EARLY:
            click.echo(
                f"warning: {safe(verdict.trust_store)} accepts it only until"
                f" {ends:%Y-%m-%d %H:%M} UTC, not until {wanted:%Y-%m-%d} as asked for: the CA, or"
                " what the signer made, ends then. The rotation that follows must be over before.",
                err=True,
            )


def _all_files(made: Bundle, signer: Certificate, key: _Key | None) -> Mapping[str, bytes]:
    contents = dict(contents_of(made))
    contents[SIGNED_BY] = signer.parsed().public_bytes(Encoding.PEM)
    manifest = manifest_of(made, contents)
    contents[MANIFEST] = manifest
    if key is not None:
        contents[SIGNATURE] = _signature(key, manifest)
    return contents


def _signature(key: _Key, data: bytes) -> bytes:
    match key:
        case rsa.RSAPrivateKey():
            return key.sign(data, PKCS1v15(), SHA256())
        case ec.EllipticCurvePrivateKey():
            return key.sign(data, ec.ECDSA(SHA256()))
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey():
            return key.sign(data)
        case _:
            raise CertificateError("a key of this kind signs no manifest")


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write the folder whole, or nothing of it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as made:
        whole = Path(made) / "bundle"
        whole.mkdir(mode=0o755)
        for name, content in contents.items():
            (whole / name).write_bytes(content)
        os.rename(whole, folder)  # noqa: PTH104 - refuses a folder that is not empty
