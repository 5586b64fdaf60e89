"""nginx's configuration as a tree."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.gateway.agent.driver import Address, DriverError
from exporter.gateway.agent.drivers.nginx import files
from exporter.gateway.agent.drivers.nginx.configuration import (
    Directive,
    has_several_certificates,
    parsed,
    rehearsal,
    served_from,
    servers_of,
    tickets_of,
    written,
)
from exporter.gateway.messages import Tickets

CURRENT, FOLDER = Path("/srv/tls/current"), Path("/srv/tls/versions/7")
TEXT = r"""
# a comment; with { marks }
user www-data;
events { worker_connections 64; }
http {
  map $uri $x { default "a;b{c}"; ~^/(\d+)$ 'it''s'; "~*x{2}" ${uri}y; }
  log_format f '$remote_addr "$request" # no comment';
  content_by_lua_block { if x then return { a = 1 } end }
  server {
    listen 443 ssl http2 default_server; listen [::]:443 ssl;
    server_name a.example;
    ssl_certificate /srv/tls/current/chain.pem;
    ssl_certificate_key "/srv/tls/current/key.pem";
    location / { proxy_pass http://up; proxy_cache z; return 200 a#b; }
  }
  server { listen 80; return 301 https://$host$request_uri; }
}
stream { server { listen 8883 ssl; ssl_certificate /etc/other.pem; } }
"""


def names(directives: tuple[Directive, ...]) -> list[str]:
    return [directive.name for directive in directives]


def test_it_is_read_and_written_again_as_it_was() -> None:
    tree = parsed(TEXT, "nginx.conf")

    assert names(tree) == ["user", "events", "http", "stream"]
    assert parsed(written(tree), "copy") == tree
    assert r"~^/(\d+)$" in written(tree)
    assert "{ if x then return { a = 1 } end }" in written(tree)
    assert "a#b" in written(tree)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("http {\n server {\n", 3),
        ("a b;\n}\n", 2),
        ("a 'b\nc", 2),
        ("a b", 1),
        ("x_by_lua_block {\n if {\n", 2),
        ("a {\n b }\n", 2),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(DriverError, match=rf"nginx\.conf:{line} cannot be read"):
        parsed(text, "nginx.conf")


@given(st.text(alphabet="a{};#\"'$\\ \n", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tree = parsed(text, "x")
    except DriverError:
        return
    assert parsed(written(tree), "x") == tree


def test_another_folder_stands_in_for_current_and_for_nothing_that_begins_like_it() -> None:
    text = (
        "ssl_certificate /srv/tls/current/chain.pem;\n"
        "include /srv/tls/current-old/x;\nroot /mnt/srv/tls/current/y;\n"
        'map a b { default "/srv/tls/current"; }\n'
    )

    moved = written(served_from(parsed(text, "x"), CURRENT, FOLDER))

    assert "ssl_certificate /srv/tls/versions/7/chain.pem;" in moved
    assert "/srv/tls/current-old/x" in moved
    assert "/mnt/srv/tls/current/y" in moved
    assert '"/srv/tls/versions/7"' in moved


def test_a_rehearsal_keeps_the_server_and_moves_it() -> None:
    tree = served_from(parsed(TEXT, "x"), CURRENT, FOLDER)
    address = Address(host="::1", port=9443)

    text = written(rehearsal(tree, FOLDER, address=address, pid_file=Path("/scratch/pid")))

    assert "listen [::1]:9443 ssl http2;" in text
    assert text.count("listen ") == 1
    assert "proxy_pass http://up;" in text
    assert "proxy_cache off;" in text
    assert "stream" not in text
    assert text.startswith("daemon off;\nworker_processes 1;\npid /scratch/pid;\n")


def test_a_rehearsal_of_what_nobody_serves_is_refused() -> None:
    tree = parsed(TEXT, "x")

    with pytest.raises(DriverError, match=r"no server block .* /srv/tls/versions/7"):
        rehearsal(tree, FOLDER, address=Address(host="::1", port=1), pid_file=Path("/pid"))


def test_the_servers_with_the_certificate_are_found_in_their_blocks() -> None:
    found = servers_of(parsed(TEXT, "x"), CURRENT)

    assert [around for around, _ in found] == [("http",)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ssl_certificate a; ssl_session_ticket_key k;", Tickets(kept=False)),
        ("ssl_certificate $a;", Tickets(kept=False)),
        ("ssl_certificate $a; ssl_session_cache builtin;", Tickets(kept=False)),
        (
            "ssl_certificate $a; ssl_session_cache builtin shared:s:1m;",
            Tickets(kept=True, lifetime_seconds=300),
        ),
        (
            "ssl_certificate $a; ssl_session_ticket_key k; ssl_session_timeout '1h 30m';",
            Tickets(kept=True, lifetime_seconds=5_400),
        ),
        (
            "ssl_certificate $a; ssl_session_ticket_key k; ssl_session_timeout 1d;"
            " b { ssl_session_timeout 10; }",
            Tickets(kept=True, lifetime_seconds=86_400),
        ),
    ],
)
def test_tickets_are_kept_only_where_their_keys_and_their_context_stay(
    text: str, told: Tickets
) -> None:
    assert tickets_of(parsed(text, "x")) == told


@pytest.mark.parametrize(
    ("text", "several"),
    [
        ("http { server { ssl_certificate a; } server { ssl_certificate b; } }", False),
        ("http { ssl_certificate a; server { ssl_certificate b; } }", False),
        ("http { server { listen 80; } }", False),
        ("http { server { ssl_certificate a; ssl_certificate b; } }", True),
        ("stream { ssl_certificate a; ssl_certificate b; server { listen 1 ssl; } }", True),
        ("http { server { ssl_certificate $chosen; } }", True),
    ],
)
def test_a_server_with_several_certificates_is_seen(text: str, several: bool) -> None:
    assert has_several_certificates(parsed(text, "x")) is several


def test_included_files_stand_where_they_are_included(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("http { include sites/*.conf; include mime; x; }\n")
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites/b.conf").write_text("b;")
    (tmp_path / "sites/a.conf").write_text("a { include ../c/*.none; }")
    (tmp_path / "mime").write_text("types { }")

    loaded = files.load(tmp_path / "nginx.conf")

    (http,) = loaded.directives
    assert names(http.block or ()) == ["a", "b", "types", "x"]
    assert (("http",), f"{tmp_path}/sites/*.conf") in loaded.includes


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("include nginx.conf;\n")

    with pytest.raises(DriverError, match="larger than is read here"):
        files.load(tmp_path / "nginx.conf")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("include missing.conf;\n")

    with pytest.raises(DriverError, match=r"missing\.conf cannot be read: No such file"):
        files.load(tmp_path / "nginx.conf")


def test_the_log_of_the_master_is_that_outside_of_all_blocks(tmp_path: Path) -> None:
    config = tmp_path / "nginx.conf"

    config.write_text("http { error_log /a; }\nerror_log /b warn;\n")
    assert files.load(config).error_log == Path("/b")

    config.write_text("error_log syslog:server=x;\n")
    assert files.load(config).error_log is None
