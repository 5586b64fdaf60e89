"""Says which log source cannot show a device's refusal as it is set up, and what would help."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from exporter.handshake_log import set_up
from exporter.handshake_log.options import Options, Side
from exporter.handshake_log.readers import reader_for
from exporter.handshake_log.sample import Sample, sample_of
from exporter.handshake_log.set_up import Remark, Sight, Terminators

_TAIL_BYTES = 4 << 20
_MAX_FILES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What one source of the configuration can show.

    Attributes:
        source: As it stands in the configuration.
        remarks: Never empty; the worst first.
    """

    source: str
    remarks: tuple[Remark, ...]

    @property
    def sight(self) -> Sight:
        """The worst of all remarks."""
        return self.remarks[0].sight


def examine(
    sources: Sequence[Options], terminators: Terminators = set_up.SYSTEM
) -> tuple[Diagnosis, ...]:
    """Return what each source can show; reads logs and the terminators' own configuration."""
    return tuple(
        Diagnosis(
            source=_name(options),
            remarks=tuple(
                sorted(_remarks(options, terminators), key=lambda remark: remark.sight.badness)
            ),
        )
        for options in sources
    )


def _name(options: Options) -> str:
    for key in ("file", "journald", "push"):
        if (value := getattr(options, key)) is not None:
            return f"{key}: {value}"
    return "stdin"


def _remarks(options: Options, terminators: Terminators) -> Iterator[Remark]:
    if options.file is None:
        yield Remark(
            sight=Sight.UNKNOWN,
            sentence="its lines come from elsewhere, so nothing can be looked at here; give a few"
            " of them to `fleet-tls-exporter logs classify`",
        )
        return
    paths = sorted(glob.glob(str(options.file)))[:_MAX_FILES]  # noqa: PTH207 - may be absolute
    if not paths:
        yield Remark(
            sight=Sight.BLIND,
            sentence=f"there is no file {options.file}; it is followed as soon as it appears",
        )
    for path in paths:
        yield from _file_remarks(Path(path), options, terminators)


def _file_remarks(path: Path, options: Options, terminators: Terminators) -> Iterator[Remark]:
    try:
        data = _tail(path)
    except OSError as exc:
        yield Remark(
            sight=Sight.BLIND,
            sentence=f"{path} cannot be read: {exc.strerror}; let the user that runs the service"
            " read it (on Debian the group adm may)",
        )
        return
    sample = sample_of(data, reader_for(options))
    if options.side is not Side.GATEWAY:
        # Who refuses writes the line; a terminator's settings have no part in it
        yield from sample_remarks(path, sample, told_by_itself=True)
        return
    configured = list(set_up.remarks_on(path, sample.writer, terminators))
    yield from configured
    if not any(remark.sight is Sight.BLIND for remark in configured):
        is_set_up = any(remark.sight is Sight.CLEAR for remark in configured)
        yield from sample_remarks(path, sample, told_by_itself=is_set_up)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        return file.read(_TAIL_BYTES)


def sample_remarks(path: Path, sample: Sample, *, told_by_itself: bool) -> Iterator[Remark]:
    """Yield what the log's own lines prove.

    ``told_by_itself``: its settings are known to be right, so that silence is no fault.
    """
    if not sample.line_count:
        yield Remark(sight=Sight.UNKNOWN, sentence=f"{path} holds no line yet")
    elif sample.vague_count and not sample.refused_count:
        yield Remark(
            sight=Sight.BLIND,
            sentence=f"{path} has {sample.vague_count} failed handshakes and never says why",
            snippet=set_up.snippet_for(sample.writer),
        )
    elif sample.refused_count:
        yield Remark(
            sight=Sight.CLEAR,
            sentence=f"{path} shows refusals: {sample.refused_count} of its latest"
            f" {sample.line_count} lines say who refused",
        )
    elif not told_by_itself:
        yield Remark(
            sight=Sight.UNKNOWN,
            sentence=f"{path} shows no refused handshake in its latest {sample.line_count} lines;"
            " there was none, or it is not set up to show one",
            snippet=set_up.snippet_for(sample.writer),
        )
    if sample.line_count and not sample.success_count:
        yield Remark(
            sight=Sight.PARTIAL,
            sentence=f"{path} tells of no good handshake, so its gateway has no"
            " fleet_tls_handshakes_total unless another source tells of them",
            snippet=set_up.successes_snippet_for(sample.writer),
        )
    elif sample.success_count and not sample.resumption_count:
        yield Remark(
            sight=Sight.PARTIAL,
            sentence=f"{path} never says whether a session was resumed; a resumed one proves"
            " nothing about trust",
            snippet=set_up.successes_snippet_for(sample.writer),
        )
