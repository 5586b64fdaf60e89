"""What each program writes: one file and one line of ``FORMATS`` per program.

They are asked in this order; the first that knows the line decides. A line that none knows is
judged by the vocabulary alone.
"""

from collections.abc import Mapping

from exporter.handshake_log.formats.apache import APACHE
from exporter.handshake_log.formats.envoy import ENVOY
from exporter.handshake_log.formats.erlang import ERLANG
from exporter.handshake_log.formats.go import GO
from exporter.handshake_log.formats.haproxy import HAPROXY
from exporter.handshake_log.formats.mosquitto import MOSQUITTO
from exporter.handshake_log.formats.nginx import NGINX
from exporter.handshake_log.formats.platform import PLATFORM
from exporter.handshake_log.formats.stunnel import STUNNEL
from exporter.handshake_log.message import Format

FORMATS: Mapping[str, Format] = {
    "nginx": NGINX,
    "haproxy": HAPROXY,
    "apache": APACHE,
    "stunnel": STUNNEL,
    "mosquitto": MOSQUITTO,
    "go": GO,
    "envoy": ENVOY,
    "erlang": ERLANG,
    "platform": PLATFORM,
}
