"""Looking at endpoints: the table of what can be looked at, by protocol."""

from collections.abc import Callable, Mapping

from exporter.probe.client_files import ClientFiles
from exporter.probe.model import Prober, Tools
from exporter.probe.tls import TlsProber

ProberFactory = Callable[[Tools, ClientFiles | None], Prober]

PROBERS: Mapping[str, ProberFactory] = {
    "tls": TlsProber,
}

KNOWN_PROTOCOLS: tuple[str, ...] = (
    "tls", "dtls", "smtp", "imap", "pop3", "ftp", "ldap", "xmpp", "postgres", "mysql",
)  # fmt: skip
"""All that the command line and the inventory accept by name; those without a prober are
"not supported yet"."""
