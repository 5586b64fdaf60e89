"""The table of commands; each is imported only when it is asked for, so that help is quick."""

import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from exporter import __version__
from exporter.cli.ending import die_by
from exporter.cli.names import PROGRAM
from exporter.cli.terminal import safe
from exporter.errors import ExporterError

# The system refused something for which a full sentence is made below
_USAGE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a command is defined, and what is said of it in the list."""

    module: str
    summary: str
    name: str = "command"


COMMANDS: Mapping[str, Place] = {
    "run": Place(module="exporter.cli.run", summary="The service."),
    "demo": Place(
        module="exporter.cli.demo", summary="A fleet on loopback, and the service watching it."
    ),
    "probe": Place(
        module="exporter.cli.probe", summary="Look at one endpoint, or at many, and judge."
    ),
    "verify": Place(
        module="exporter.cli.verify", summary="Judge a chain in a file, without the network."
    ),
    "logs": Place(
        module="exporter.cli.logs", summary="What handshake logs say, and what they cannot say."
    ),
    "check-config": Place(
        module="exporter.cli.check_config",
        summary="Every fault of a configuration, or the values in force.",
    ),
    "trust-map": Place(
        module="exporter.cli.trust_map",
        summary="Which device classes trust which CAs, and what hangs on each.",
    ),
    "gateway-agent": Place(
        module="exporter.cli.gateway_agent",
        summary="The management API in front of a TLS terminator.",
    ),
    "rules": Place(
        module="exporter.cli.bundled",
        name="rules",
        summary="Write the alert rules, with your thresholds.",
    ),
    "dashboards": Place(
        module="exporter.cli.bundled",
        name="dashboards",
        summary="Write the bundled Grafana dashboards.",
    ),
    "rollback": Place(
        module="exporter.cli.remediation",
        name="rollback",
        summary="Roll a gateway's certificate back by hand, by the same decision.",
    ),
    "remediation": Place(
        module="exporter.cli.remediation",
        name="remediation",
        summary="What the guarded rollback did; hold, release, approve, stop.",
    ),
    "journal": Place(
        module="exporter.cli.remediation",
        name="journal",
        summary="What was asked, decided and done, in order.",
    ),
    "explain": Place(
        module="exporter.cli.remediation",
        name="explain",
        summary="Replay a decision from its evidence.",
    ),
    "rotation": Place(
        module="exporter.cli.rotation",
        name="rotation",
        summary="The phased rotation of a CA: plan, start, approve, pause, abort.",
    ),
    "recovery-bundle": Place(
        module="exporter.cli.recovery",
        summary="A certificate by the old CA, for a gateway whose devices cannot be reached.",
    ),
    "completion": Place(
        module="exporter.cli.completion", summary="Completion for bash, zsh or fish."
    ),
}


class CommandGroup(click.Group):
    """A group whose commands stand in ``COMMANDS``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return the command, imported now; None when there is none of that name."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        found = getattr(import_module(place.module), place.name)
        if not isinstance(found, click.Command):
            raise TypeError(f"{place.module}.{place.name} is no command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.summary) for name, place in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that went away and Ctrl-C end it as they end ``cat``."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            die_by(signal.SIGPIPE)
        except KeyboardInterrupt:
            die_by(signal.SIGINT)
        return result


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
    epilog="""\b
Examples:
  fleet-tls-exporter demo
  fleet-tls-exporter probe gw-1.example:8883 --trust-store fw-4.2=anchors/fw-4.2.pem
  fleet-tls-exporter run --config /etc/fleet-tls-exporter/config.yml

\b
Exit codes: 0 good; 1 the answer is bad news; 2 wrong usage, unreadable file, cannot run.
""",
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def command_line() -> None:
    """Watch the TLS state of an IoT fleet.

    When certificates end, whether each device would accept what its gateway serves, and who
    refused whom in every handshake.
    """


def run_commands(arguments: Sequence[str] | None = None) -> int:
    """Run the command in ``arguments`` (default: the process's own); return the exit code."""
    try:
        result = command_line.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as exc:
        exc.show()
        return _USAGE
    except click.UsageError as exc:
        exc.show()
        return _USAGE
    except click.ClickException as exc:
        return _refused(exc.format_message())
    except ExporterError as exc:
        return _refused(str(exc))
    except OSError as exc:
        return _refused(f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc))
    return result if isinstance(result, int) else 0


def _refused(sentence: str) -> int:
    for line in sentence.splitlines():
        print(f"{PROGRAM}: {safe(line)}", file=sys.stderr)
    return _USAGE
