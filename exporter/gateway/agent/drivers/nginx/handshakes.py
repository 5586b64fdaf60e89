"""What the agent's own include file tells nginx to log of handshakes; pure."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from exporter.gateway.agent.driver import DriverError
from exporter.gateway.agent.drivers.nginx.configuration import (
    CONTEXTS,
    Directive,
    named,
    servers_of,
)
from exporter.gateway.agent.drivers.nginx.files import Loaded, has_own_log
from exporter.gateway.messages import DebugLevel
from exporter.handshake_log.advice import NGINX_HTTP_FORMAT, NGINX_STREAM_FORMAT

# "debug" alone would write every request's head, Authorization included, into the log
_LEVELS: Mapping[DebugLevel, str] = {DebugLevel.NORMAL: "info", DebugLevel.VERBOSE: "debug_event"}
_FORMATS: Mapping[str, str] = {"http": NGINX_HTTP_FORMAT, "stream": NGINX_STREAM_FORMAT}
_NAME = "fleet_tls"
_OWN_NAME = "fleet_tls_agent"  # the operator may have pasted the other one from the manual
_ADVISED_LOG = "/var/log/nginx/tls.log"


def file_name(context: str) -> str:
    """Return the name of the include file for one of ``CONTEXTS``."""
    return f"{context}.conf"


def texts(
    loaded: Loaded, folder: Path, level: DebugLevel, *, error_log: str, handshakes_log: Path
) -> dict[str, str]:
    """Return what the include file of each context is to hold, for those that include it.

    Args:
        loaded: The operator's configuration, without these files.
        folder: Of the include files.
        level: ``VERBOSE``: with each step of a handshake.
        error_log: Where failed handshakes go.
        handshakes_log: Where good ones go.
    """
    found = {}
    for context in CONTEXTS:
        if not is_included(loaded, folder, context):
            continue
        text = f"error_log {error_log} {_LEVELS[level]};\n"
        if not _logs_handshakes(loaded.directives, context):
            advised = _FORMATS[context].replace(_ADVISED_LOG, str(handshakes_log))
            text += advised.replace(_NAME, _OWN_NAME)
        found[context] = f"# written by the gateway agent of fleet-tls-exporter\n{text}"
    return found


def is_included(loaded: Loaded, folder: Path, context: str) -> bool:
    """Whether the configuration includes our file in the block that it is for."""
    path = str(folder / file_name(context))
    return any(
        around == (context,) and fnmatchcase(path, pattern) for around, pattern in loaded.includes
    )


def _logs_handshakes(directives: Sequence[Directive], context: str) -> bool:
    return any(
        "$ssl_session_reused" in "".join(found.words)
        for block in directives
        if block.name == context
        for found in named(block.block or (), "log_format")
    )


def require_effect(loaded: Loaded, folder: Path, served: Path) -> None:
    """Refuse a configuration in which our files would have no effect, or count twice.

    Raises:
        DriverError: with what to change.
    """
    servers = servers_of(loaded.directives, served)
    contexts = {around[0] for around, _ in servers}
    missing = [name for name in sorted(contexts) if not is_included(loaded, folder, name)]
    if missing or not contexts:
        context = missing[0] if missing else CONTEXTS[0]
        raise DriverError(
            f"nginx's {context} block does not include the agent's file: put"
            f" 'include {folder}/{context}*.conf;' into it (a pattern, since the file is there"
            " only while handshakes are logged)"
        )
    for around, server in servers:
        own = has_own_log(server)
        if own is not None:
            raise DriverError(
                f"nginx's server block with the certificate has an {own} of its own, which wins"
                f" over the agent's: move it to the {around[0]} block"
            )
    for block in loaded.directives:
        if block.name in contexts and any(d.name == "error_log" for d in block.block or ()):
            raise DriverError(
                f"nginx's {block.name} block has an error_log of its own beside the agent's, and"
                " each failure would be logged twice: move it out of that block"
            )
