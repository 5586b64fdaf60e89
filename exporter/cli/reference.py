"""Writes docs/cli.md from the commands: ``python -m exporter.cli.reference``."""

from collections.abc import Iterator

import click

from exporter.cli.group import command_line
from exporter.cli.names import PROGRAM

_WIDTH = 92
_HEAD = f"""# Command line

Generated from `--help` by `python -m exporter.cli.reference`; do not edit.

Exit codes of every command: 0 good; 1 the answer is bad news (not verified, a look that failed,
a configuration with faults); 2 wrong usage, a file that cannot be read, or it cannot run. A
mistake is told in one sentence on standard error, never by a traceback. Ctrl-C and a reader that
goes away end a command as they end `cat`.

`eval "$({PROGRAM} completion bash)"` completes commands and options.
"""


def reference() -> str:
    """Return docs/cli.md."""
    parts = [_HEAD]
    for path, command in _commands(command_line, PROGRAM):
        help_text = _help(command, path)
        parts.append(f"## {path}\n\n```text\n{help_text}\n```\n")
    return "\n".join(parts)


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _commands(below, f"{path} {name}")


def _help(command: click.Command, path: str) -> str:
    context = click.Context(
        command,
        info_name=path,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=["-h", "--help"],
    )
    lines = (line.rstrip() for line in command.get_help(context).splitlines())
    return "\n".join(lines)


if __name__ == "__main__":
    print(reference(), end="")
