"""Help, usage and exit codes, as a shell sees them."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from exporter import __version__
from exporter.anchors import Profile
from exporter.cli.arguments import STORE, UNNAMED_STORE, StoreFile
from exporter.cli.demo import BREAKS, MODES, TERMINATORS
from exporter.cli.group import COMMANDS, command_line
from exporter.cli.probe import PROFILES, PROTOCOLS
from exporter.cli.reference import reference
from exporter.demo.options import Break, Remediation, Terminator
from exporter.probe import KNOWN_PROTOCOLS
from tests.cli.running import COMMAND, run
from tests.listeners import listening

DOCS = Path(__file__).parents[2] / "docs"


def all_commands() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    context = click.Context(command_line)
    for name in COMMANDS:
        command = command_line.get_command(context, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {below}", inside) for below, inside in command.commands.items()]
    return found


@pytest.mark.parametrize(("name", "command"), all_commands(), ids=str)
def test_every_command_explains_itself_with_examples(name: str, command: click.Command) -> None:
    answer = CliRunner().invoke(command_line, [*name.split(), "--help"])

    assert answer.exit_code == 0
    assert command.help
    if not isinstance(command, click.Group):
        assert f"fleet-tls-exporter {name}" in answer.output.partition("Example")[2]


def test_the_page_of_the_commands_is_current() -> None:
    page = (DOCS / "cli.md").read_text("utf-8")

    assert page == reference() + "\n" or page == reference(), (
        "run: python -m exporter.cli.reference > docs/cli.md"
    )


def test_words_repeated_for_a_quick_help_are_those_of_their_parts() -> None:
    assert set(PROTOCOLS) == set(KNOWN_PROTOCOLS)
    assert list(PROFILES) == list(Profile)
    assert list(TERMINATORS) == list(Terminator)
    assert list(BREAKS) == list(Break)
    assert list(MODES) == list(Remediation)


async def test_the_version_is_told() -> None:
    ended = await run("--version")

    assert (ended.code, ended.out) == (0, f"fleet-tls-exporter {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Watch the TLS state of an IoT fleet."),
        (["prob"], "No such command 'prob'"),
        (["--nope"], "No such option"),
        (["probe"], "Name one endpoint, HOST:PORT, or many: --targets FILE."),
        (["probe", "a:1", "--targets", "x"], "Name one endpoint, HOST:PORT, or many"),
        (["probe", "a"], "'a' has no port; write HOST:PORT"),
        (["probe", "a:1", "--timeout", "5"], "'5' is not a duration"),
        (["probe", "a:1", "--timeout", "2h"], "'2h' is not possible; from 1ms to 1h is"),
        (["probe", "a:1", "--client-cert", "x"], "--client-cert and --client-key go together"),
        (["probe", "a:1", "--profile", "loose"], "'loose' is not one of 'normal', 'strict'"),
        (["probe", "a:1", "--trust-store", "=x"], "'=x' is not NAME=PEM"),
        (["verify"], "Missing argument 'CHAIN.pem'"),
        (["verify", "x", "--at", "noon"], "'noon' is not a moment; write it like 2026-11-24T12"),
        (["run"], "Missing option '--config'"),
        (["check-config", "/no/such/file"], "'/no/such/file' does not exist"),
        (["rules"], "say where to write them: --output DIR"),
        (["completion", "tcsh"], "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
        (["logs", "nope"], "No such command 'nope'"),
        (["demo", "--break", "all"], "'all' is not one of"),
    ],
)
def test_wrong_usage_is_code_2_and_a_sentence(arguments: list[str], sentence: str) -> None:
    answer = CliRunner().invoke(command_line, arguments)

    assert answer.exit_code == 2
    assert sentence in answer.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--config", "/no/such/file"],
        ["logs", "classify", "/no/such/file"],
        ["verify", "/no/such/file", "--trust-store", "/no/such/store"],
        ["probe", "127.0.0.1:1", "--trust-store", "/no/such/store"],
        ["probe", "--targets", "/no/such/file"],
        ["probe", "127.0.0.1:1", "--client-cert", "/no/such/a", "--client-key", "/no/such/b"],
        ["probe", "127.0.0.1:1", "--protocol", "smtp"],
        ["probe", "127.0.0.1:1", "--trust-store", "a.pem", "--trust-store", "b.pem"],
        ["probe", "127.0.0.1:1", "--trust-store", "a=a.pem", "--trust-store", "a=b.pem"],
        ["rules", "--output", "/dev/null/x"],
        ["demo", "--devices", "0"],
    ],
)
@pytest.mark.slow
async def test_what_cannot_be_done_is_code_2_and_one_sentence(arguments: list[str]) -> None:
    ended = await run(*arguments)

    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("fleet-tls-exporter: ")
    assert len(ended.err.splitlines()) == 1
    assert "Traceback" not in ended.err


@pytest.mark.slow
async def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_bytes(b"an ordinary line\n" * 50_000)
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "logs", "classify", "--json", lines, stdout=PIPE, stderr=PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]  # what head -1 does

    async with asyncio.timeout(50):
        err = await process.stderr.read()
        code = await process.wait()

    assert err == b""
    assert code == -signal.SIGPIPE


def heed_ctrl_c() -> None:
    """As in a terminal; what a shell runs in the background is started with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
async def test_ctrl_c_ends_a_look_quietly() -> None:
    connected = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()

    async with listening(silent) as port:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "probe", f"127.0.0.1:{port}", "--timeout", "30s", stdout=PIPE, stderr=PIPE,
            preexec_fn=heed_ctrl_c,
        )  # fmt: skip
        async with asyncio.timeout(50):
            await connected.wait()
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()

    assert process.returncode == -signal.SIGINT
    assert out == b""
    assert err.strip() == b""


@pytest.mark.parametrize(
    ("text", "store"),
    [
        ("a.pem", StoreFile(name=UNNAMED_STORE, path=Path("a.pem"))),
        ("fw=a.pem", StoreFile(name="fw", path=Path("a.pem"))),
        ("fw=x=y.pem", StoreFile(name="fw", path=Path("x=y.pem"))),
        ("/srv/a=b/c.pem", StoreFile(name=UNNAMED_STORE, path=Path("/srv/a=b/c.pem"))),
    ],
)
def test_a_store_is_named_before_the_first_equals_sign(text: str, store: StoreFile) -> None:
    assert STORE.convert(text, None, None) == store


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_for_our_command(shell: str) -> None:
    answer = CliRunner().invoke(command_line, ["completion", shell])

    assert answer.exit_code == 0
    assert "_FLEET_TLS_EXPORTER_COMPLETE" in answer.output


async def test_the_shell_is_told_our_commands() -> None:
    ended = await run(
        _FLEET_TLS_EXPORTER_COMPLETE="bash_complete", COMP_WORDS="fleet-tls-exporter pro",
        COMP_CWORD="1",
    )  # fmt: skip

    assert ended.out == "plain,probe\n"


HEAVY = ("cryptography", "OpenSSL", "pydantic", "aiohttp", "rich", "sqlalchemy", "re2", "uvloop")


@pytest.mark.parametrize("name", ["", *COMMANDS, "logs classify"])
async def test_help_waits_for_nothing_heavy(name: str) -> None:
    asked = f"""
import sys
from exporter.cli.group import run_commands
run_commands({[*name.split(), "--help"]!r})
print(*(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", asked, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()

    assert b"Usage:" in out
    assert err.strip() == b""
