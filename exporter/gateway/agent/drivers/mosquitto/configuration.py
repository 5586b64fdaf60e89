"""mosquitto's configuration as lines: read, changed and written again; pure."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from exporter.gateway.agent.driver import DriverError
from exporter.gateway.agent.terminator import repointed

Line = tuple[str, str]
"""A setting and its value, as mosquitto reads them."""

# What another instance must not share, or would do to others: mosquitto.conf(5). Bridges connect
# to other brokers, and a second one with the same name would throw the first one out.
_NOT_OURS = {
    "pid_file", "persistence", "persistence_location", "persistence_file", "autosave_interval",
    "autosave_on_changes", "log_dest", "log_type", "log_facility", "log_timestamp",
    "log_timestamp_format", "connection_messages", "plugin", "auth_plugin", "include_dir",
    "bind_address", "bind_interface", "socket_domain",
    "connection", "address", "addresses", "topic", "cleansession", "clientid", "idle_timeout",
    "keepalive_interval", "notifications", "notifications_local_only", "notification_topic",
    "restart_timeout", "round_robin", "start_type", "threshold", "try_private", "username",
    "password",
}  # fmt: skip
_NOT_OURS_PREFIXES = (
    "plugin_opt_", "auth_opt_", "auth_plugin_", "bridge_", "remote_", "local_",
)  # fmt: skip
_LISTENER_TLS = {"cafile", "capath", "certfile", "keyfile"}


def parsed(text: str) -> tuple[Line, ...]:
    """Return the settings of a configuration file, in its order."""
    found = []
    for line in text.splitlines():
        # config__read_file_core: a comment is a line of its own; values may hold spaces and #
        if line and not line.startswith("#"):
            name, _, value = line.strip(" ").partition(" ")
            found.append((name, value.strip()))
    return tuple(found)


def written(lines: Iterable[Line]) -> str:
    """Return settings as the text of a configuration file."""
    return "".join(f"{name} {value}".rstrip() + "\n" for name, value in lines)


def served_from(lines: Iterable[Line], current: Path, folder: Path) -> tuple[Line, ...]:
    """Return the settings as they would be if ``current`` were ``folder``."""
    return tuple((name, repointed(value, current, folder)) for name, value in lines)


def mentions(lines: Iterable[Line], folder: Path) -> bool:
    """Whether a listener's certificate is in ``folder``."""
    return any(name == "certfile" and value.startswith(f"{folder}/") for name, value in lines)


def log_file(lines: Iterable[Line]) -> Path | None:
    """Return the file that is logged to; None: another place."""
    for name, value in lines:
        kind, _, path = value.partition(" ")
        if name == "log_dest" and kind == "file":
            return Path(path.strip())
    return None


def includes(lines: Iterable[Line]) -> list[Path]:
    """Return the folders whose files are read as well."""
    return [Path(value) for name, value in lines if name == "include_dir"]


def listeners_of(lines: Iterable[Line]) -> list[list[Line]]:
    """Return the settings in groups: those of no listener first, then one group for each.

    ``port``, or a certificate before the first listener, makes the default listener.
    """
    groups: list[list[Line]] = [[]]
    for name, value in lines:
        is_default = len(groups) == 1 and (name == "port" or name in _LISTENER_TLS)
        if name == "listener" or is_default:
            groups.append([])
        if name not in {"listener", "port"}:
            groups[-1].append((name, value))
    return groups


def alone(lines: Sequence[Line], listen: Callable[[int], str]) -> tuple[Line, ...]:
    """Return settings for an instance beside the operator's own, which touches nothing of it.

    Plugins, bridges, persistence and logs are left out; it says on standard error what it has to.

    Args:
        lines: The operator's settings.
        listen: Gives port and address for the listener of this number, the first is 0.
    """
    shared, *listeners = listeners_of(lines)
    own: list[Line] = [("log_dest", "stderr"), ("persistence", "false")]
    own += [("log_type", kind) for kind in ("error", "warning", "information")]
    own += [line for line in shared if not _is_left_out(line[0])]
    for number, group in enumerate(listeners):
        own.append(("listener", listen(number)))
        own += [line for line in group if not _is_left_out(line[0])]
    return tuple(own)


def _is_left_out(name: str) -> bool:
    return name in _NOT_OURS or name.startswith(_NOT_OURS_PREFIXES)


def certified(lines: Iterable[Line], folder: Path) -> int:
    """Return the number of the first listener with a certificate of ``folder``.

    Raises:
        DriverError: there is none.
    """
    for number, group in enumerate(listeners_of(lines)[1:]):
        if mentions(group, folder):
            return number
    raise DriverError(f"no listener of mosquitto has a certificate of {folder}")
