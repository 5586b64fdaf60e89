"""``completion``: what a shell needs to complete our commands and options."""

import click
from click.shell_completion import get_completion_class

from exporter.cli.names import PROGRAM

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    epilog="""\b
Examples:
  fleet-tls-exporter completion bash > /etc/bash_completion.d/fleet-tls-exporter
  fleet-tls-exporter completion zsh  > "${fpath[1]}/_fleet-tls-exporter"
  fleet-tls-exporter completion fish > ~/.config/fish/completions/fleet-tls-exporter.fish
""",
)
@click.argument("shell", type=click.Choice(_SHELLS))
def command(shell: str) -> None:
    """Print the completion script for SHELL: bash, zsh or fish."""
    maker = get_completion_class(shell)
    assert maker is not None  # noqa: S101 - click knows all of _SHELLS
    root = click.get_current_context().find_root().command
    variable = f"_{PROGRAM.replace('-', '_').upper()}_COMPLETE"
    print(maker(root, {}, PROGRAM, variable).source())
