"""HAProxy's configuration as sections."""

from pathlib import Path

import pytest

from exporter.gateway.agent.driver import Address, DriverError
from exporter.gateway.agent.drivers.haproxy import files
from exporter.gateway.agent.drivers.haproxy.configuration import (
    BEGIN,
    has_several_certificates,
    own_format,
    parsed,
    rehearsal,
    served_from,
    tickets_of,
    with_ours,
    without_ours,
    words_of,
    written,
)
from exporter.gateway.messages import Tickets

CURRENT, FOLDER = Path("/srv/tls/current"), Path("/srv/tls/versions/7")
TEXT = """\
# before all sections
global
    log /dev/log local0
    stats socket /run/haproxy/admin.sock mode 660 level admin
    daemon
defaults
    mode tcp
peers mine
    peer a 127.0.0.1:10000
frontend mqtt
    bind :8883,:::8883 v6only ssl crt /srv/tls/current/haproxy.pem accept-proxy alpn mqtt # ours
    bind :1883
    default_backend brokers
listen admin
    bind 127.0.0.1:9000
    stats enable
backend brokers
    server b1 127.0.0.1:1883 check
"""


def test_it_is_read_and_written_again_as_it_was() -> None:
    assert written(parsed(TEXT)) == TEXT


def test_words_are_read_without_quotes_and_comments() -> None:
    assert words_of(""" bind  "a b" c\\ d 'e' # f""") == ["bind", "a b", "c d", "e"]
    assert words_of("server it's # x") == ["server", "it's"]


def test_a_rehearsal_keeps_the_frontend_and_moves_its_listener() -> None:
    sections = served_from(parsed(TEXT), CURRENT, FOLDER)

    text = written(rehearsal(sections, [FOLDER], Address(host="127.0.0.1", port=9443)))

    binds = [line.split() for line in text.splitlines() if "bind" in line]
    assert len(binds) == 1
    assert binds[0][:2] == ["bind", "127.0.0.1:9443"]
    assert "/srv/tls/versions/7/haproxy.pem" in binds[0]
    assert "accept-proxy" not in binds[0]
    assert "stats socket" not in text
    assert "daemon" not in text
    assert "peers" not in text
    assert "server b1" in text
    assert "stats enable" in text


def test_a_rehearsal_of_what_nobody_serves_is_refused() -> None:
    with pytest.raises(DriverError, match=r"no bind line .* /srv/tls/versions/7"):
        rehearsal(parsed(TEXT), [FOLDER], Address(host="127.0.0.1", port=1))


@pytest.mark.parametrize(
    ("text", "by_reload", "told"),
    [
        ("", False, Tickets(kept=True, lifetime_seconds=7_200)),
        ("global\n tune.ssl.lifetime 600\n", False, Tickets(kept=True, lifetime_seconds=600)),
        ("global\n tune.ssl.lifetime 600\n", True, Tickets(kept=False)),
        (
            "frontend f\n bind :1 ssl crt x tls-ticket-keys k\n",
            True,
            Tickets(kept=True, lifetime_seconds=7_200),
        ),
    ],
)
def test_tickets_are_kept_but_by_a_reload_without_a_key_file(
    text: str, by_reload: bool, told: Tickets
) -> None:
    assert tickets_of(parsed(text), by_reload=by_reload) == told


@pytest.mark.parametrize(
    ("bind", "several"),
    [
        ("bind :1 ssl crt /srv/tls/current/haproxy.pem alpn h2", False),
        ("bind :1 ssl crt /etc/other.pem", False),
        ("bind :1", False),
        ("server s :1 ssl crt /srv/tls/current/haproxy.pem crt /etc/other.pem", False),
        ("bind :1 ssl crt /srv/tls/current/haproxy.pem crt /etc/other.pem", True),
        ("bind :1 ssl crt /srv/tls/current", True),
        ("bind :1 ssl crt-list /etc/list", True),
    ],
)
def test_a_bind_line_with_several_certificates_is_seen(bind: str, several: bool) -> None:
    sections = parsed(f"frontend f\n {bind}\n")

    assert has_several_certificates(sections, CURRENT / "haproxy.pem") is several


def test_our_lines_are_put_at_the_end_once_and_taken_out_exactly() -> None:
    text = "global\n    daemon\ndefaults\n    mode tcp\n"

    once = with_ours(text, "log-format a\n")
    twice = with_ours(once, "log-format b\n")

    assert once.endswith("log-format a\n# fleet-tls-exporter's gateway agent: end\n")
    assert twice.count(BEGIN) == 1
    assert "log-format a" not in twice
    assert without_ours(twice) == text


@pytest.mark.parametrize("text", ["frontend f\n", "", "# nothing\n"])
def test_our_lines_go_into_a_defaults_section_only(text: str) -> None:
    with pytest.raises(DriverError, match="must be a defaults section"):
        with_ours(text, "log-format a\n")


@pytest.mark.parametrize(
    ("line", "own"),
    [
        (" option  httplog clf", "option  httplog clf"),
        (" error-log-format x", "error-log-format x"),
        (" option dontlognull", None),
        (" # option httplog", None),
    ],
)
def test_a_format_of_a_section_itself_is_found(line: str, own: str | None) -> None:
    (_, section) = parsed(f"frontend f\n{line}\n")

    assert own_format(section) == own


def test_a_folder_of_files_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "2.cfg").write_text("backend b\n")
    (tmp_path / "1.cfg").write_text("global\n")
    (tmp_path / "3.txt").write_text("peers p\n")

    kinds = [section.kind for section in files.load([tmp_path])]

    assert [kind for kind in kinds if kind] == ["global", "backend"]


def test_a_list_that_names_the_certificate_is_copied_and_others_are_not(tmp_path: Path) -> None:
    current, folder = tmp_path / "current", tmp_path / "7"
    ours, other = tmp_path / "ours.list", tmp_path / "other.list"
    ours.write_text(f"{current}/haproxy.pem [alpn h2] *.example\n")
    other.write_text("/etc/other.pem\n")
    text = f"frontend f\n bind :1 ssl crt-list {ours}\n bind :2 ssl crt-list {other}\n"

    copy = files.copied(
        parsed(text), current=current, folder=folder, into=tmp_path / "s", config=Path("/c")
    )

    assert copy.places == (folder, tmp_path / "s/crt-list-1")
    assert copy.places[1].read_text() == f"{folder}/haproxy.pem [alpn h2] *.example\n"
    assert f"crt-list {copy.places[1]}" in written(copy.sections)
    assert f"crt-list {other}" in written(copy.sections)


def test_a_configuration_without_the_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match=r"/c does not name /srv/tls/current/haproxy\.pem"):
        files.copied(
            parsed("frontend f\n bind :1 ssl crt /x.pem\n"),
            current=CURRENT, folder=FOLDER, into=tmp_path / "s", config=Path("/c"),
        )  # fmt: skip
