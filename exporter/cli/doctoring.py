"""What ``logs doctor`` does: shows each source's diagnosis, with the lines that help."""

import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from exporter.cli.picture import console_for
from exporter.cli.terminal import short
from exporter.config import load
from exporter.handshake_log.doctor import Diagnosis, examine
from exporter.handshake_log.set_up import Remark, Sight

_BAD_NEWS = 1
_STYLES = {
    Sight.BLIND: "bold red",
    Sight.UNKNOWN: "yellow",
    Sight.PARTIAL: "yellow",
    Sight.CLEAR: "green",
}


def show_diagnoses(config: Path) -> int:
    """Print what each log source of the configuration can show; return the exit code.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    console = console_for(sys.stdout)
    diagnoses = examine(load(config).handshake_logs)
    if not diagnoses:
        console.print("handshake_logs of the configuration is empty: nothing is read")
    for diagnosis in diagnoses:
        _show(diagnosis, console)
    return _BAD_NEWS if any(one.sight is Sight.BLIND for one in diagnoses) else 0


def _show(diagnosis: Diagnosis, console: Console) -> None:
    console.print(short(diagnosis.source), style="bold")
    for remark in diagnosis.remarks:
        console.print(_line(remark), soft_wrap=True)
        if remark.snippet:
            console.print(Text(remark.snippet.rstrip()), soft_wrap=True)
    console.print()


def _line(remark: Remark) -> Text:
    line = Text(f"  {remark.sight}", style=_STYLES[remark.sight])
    return line.append(f": {short(remark.sentence, 600)}", "default")
