"""mosquitto's configuration as lines."""

from pathlib import Path

import pytest

from exporter.gateway.agent.driver import DriverError
from exporter.gateway.agent.drivers.mosquitto.configuration import (
    alone,
    certified,
    includes,
    log_file,
    mentions,
    parsed,
    served_from,
    written,
)

CURRENT, FOLDER = Path("/srv/tls/current"), Path("/srv/tls/versions/7")
TEXT = """\
# a comment
per_listener_settings true
user mosquitto
pid_file /run/mosquitto.pid
persistence true
log_dest file /var/log/mosquitto/mosquitto.log
log_type error
listener 1883 127.0.0.1
allow_anonymous true
listener 8883
 certfile /srv/tls/current/chain.pem
keyfile /srv/tls/current/key.pem
bind_interface eth0
require_certificate true
plugin /usr/lib/auth.so
plugin_opt_file a # b
listener 8884
certfile /srv/tls/current/chain.pem
protocol websockets
connection cloud
address broker.example:8883
topic # out 0
remote_username x
bridge_cafile /etc/x.pem
include_dir /etc/mosquitto/conf.d
"""


def test_settings_are_read_as_mosquitto_reads_them() -> None:
    lines = parsed(TEXT)

    assert ("certfile", "/srv/tls/current/chain.pem") in lines
    assert ("topic", "# out 0") in lines
    assert ("plugin_opt_file", "a # b") in lines
    assert log_file(lines) == Path("/var/log/mosquitto/mosquitto.log")
    assert includes(lines) == [Path("/etc/mosquitto/conf.d")]
    assert parsed(written(lines)) == lines


def test_an_instance_beside_touches_nothing_of_the_operators_own() -> None:
    lines = served_from(parsed(TEXT), CURRENT, FOLDER)

    text = written(alone(lines, lambda number: f"{9000 + number} 127.0.0.1"))

    assert text == (
        "log_dest stderr\npersistence false\nlog_type error\nlog_type warning\n"
        "log_type information\nper_listener_settings true\nuser mosquitto\n"
        "listener 9000 127.0.0.1\nallow_anonymous true\n"
        "listener 9001 127.0.0.1\ncertfile /srv/tls/versions/7/chain.pem\n"
        "keyfile /srv/tls/versions/7/key.pem\nrequire_certificate true\n"
        "listener 9002 127.0.0.1\ncertfile /srv/tls/versions/7/chain.pem\n"
        "protocol websockets\n"
    )


def test_the_default_listener_is_one_as_well() -> None:
    lines = parsed("allow_anonymous true\nport 8883\ncertfile /srv/tls/current/chain.pem\n")

    assert certified(lines, CURRENT) == 0
    assert written(alone(lines, lambda _: "1 ::1")).endswith(
        "allow_anonymous true\nlistener 1 ::1\ncertfile /srv/tls/current/chain.pem\n"
    )


def test_the_first_listener_with_the_certificate_is_found_by_its_number() -> None:
    lines = parsed(TEXT)

    assert certified(lines, CURRENT) == 1
    assert mentions(lines, CURRENT)
    assert not mentions(lines, FOLDER)
    with pytest.raises(DriverError, match=r"no listener .* /srv/tls/versions/7"):
        certified(lines, FOLDER)


def test_without_a_file_to_log_to_there_is_none() -> None:
    assert log_file(parsed("log_dest syslog\nlog_dest stderr\n")) is None
