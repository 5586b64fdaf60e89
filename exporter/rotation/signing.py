"""Has a gateway's request signed: by a command, or by whoever watches a folder.

What comes back is handed on as it is; ``authority`` reads it like a stranger's.
"""

import asyncio
import os
from pathlib import Path

from exporter.errors import ExporterError
from exporter.rotation.options import Signer
from exporter.text_files import read_bounded

_MAX_ANSWER_BYTES = 1 << 20
_SHOWN = 300


class SigningError(ExporterError):
    """The signer gave no chain; it may later."""


class NotYetError(SigningError):
    """Somebody has still to sign; that is no failure, however long it takes."""


async def signed(signer: Signer, gateway: str, request: str) -> str:
    """Return the chain in PEM that ``signer`` gives for ``request``.

    Raises:
        SigningError: it gave none (yet), or more than a chain can be.
    """
    if signer.folder is not None:
        return await asyncio.to_thread(_by_folder, signer.folder, gateway, request)
    return await _by_command(signer, request)


async def _by_command(signer: Signer, request: str) -> str:
    program = signer.command[0]
    try:
        process = await asyncio.create_subprocess_exec(
            *signer.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as exc:
        raise SigningError(f"the signer {program} cannot be run: {exc.strerror}") from exc
    try:
        async with asyncio.timeout(signer.timeout):
            out, told = await process.communicate(request.encode())
    except TimeoutError as exc:
        raise SigningError(
            f"the signer {program} gave nothing within {signer.timeout:g} s"
        ) from exc
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        why = told[-_SHOWN:].decode("utf-8", "replace").strip()
        raise SigningError(f"the signer {program} ended with status {process.returncode}: {why}")
    if len(out) > _MAX_ANSWER_BYTES:
        raise SigningError(f"the signer {program} gave {len(out)} bytes, which is no chain")
    return out.decode("latin-1")


def _by_folder(folder: Path, gateway: str, request: str) -> str:
    """Lay the request there, and take the answer once its request is the one that lies there."""
    name = gateway.replace("/", "_").replace("\0", "_").lstrip(".") or "gateway"
    asked, answer = folder / f"{name}.csr", folder / f"{name}.pem"
    try:
        if not asked.exists() or asked.read_text("utf-8") != request:
            # An answer to an earlier request is for another key
            answer.unlink(missing_ok=True)
            fresh = folder / f".{name}.csr.new"
            fresh.write_text(request, "utf-8")
            os.replace(fresh, asked)  # noqa: PTH105 - whole or not at all
        if not answer.exists():
            raise NotYetError(f"{asked} waits to be signed; the chain is awaited in {answer}")
        return read_bounded(answer, _MAX_ANSWER_BYTES).decode("latin-1")
    except OSError as exc:
        raise SigningError(f"the folder {folder} cannot be used: {exc.strerror}") from exc
