from pathlib import Path

import bcrypt
import yaml

from exporter.config import effective, load
from tests.pki import make_ca, make_leaf


def test_defaults_are_filled_in_and_durations_written_as_in_prometheus(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("targets: {}\nprobe: {interval: 90s}\nlisten: '[::1]:9883'\n")

    shown = yaml.safe_load(effective(load(path)))

    assert shown["listen"] == "[::1]:9883"
    assert shown["probe"]["interval"] == "1m30s"
    assert shown["probe"]["timeout"] == "5s"
    assert shown["store"] == f"sqlite:///{tmp_path}/state.db"
    assert shown["remediation"]["mode"] == "dry_run"
    assert shown["remediation"]["hold"] == "1d"


def test_of_secrets_only_the_files_names_are_shown(tmp_path: Path) -> None:
    ca = make_ca()
    leaf = make_leaf(ca, "exporter.example")
    (tmp_path / "tls.pem").write_bytes(leaf.pem)
    (tmp_path / "tls.key").write_bytes(leaf.key_pem)
    (tmp_path / "token").write_text("hunter2")
    hashed = bcrypt.hashpw(b"hunter2", bcrypt.gensalt(4)).decode()
    path = tmp_path / "config.yml"
    path.write_text(
        "targets: {http: [{url: 'http://a.example', token_file: token}]}\n"
        f"web: {{cert_file: tls.pem, key_file: tls.key, users: {{admin: {hashed}}}}}\n"
        f"webhook: {{users: {{am: {hashed}}}}}\n"
    )

    text = effective(load(path))

    shown = yaml.safe_load(text)
    assert hashed not in text
    assert "hunter2" not in text
    assert shown["web"]["users"] == {"admin": "(hidden)"}
    assert shown["webhook"]["users"] == {"am": "(hidden)"}
    assert shown["targets"]["http"][0]["token_file"] == f"{tmp_path}/token"


def test_what_is_shown_can_be_loaded_and_shows_the_same(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(make_ca().pem)
    path = tmp_path / "config.yml"
    path.write_text(
        "trust_stores: [{name: a, file: ca.pem}]\n"
        "targets: {static: [{name: g, address: 'g:1', trust_stores: [a]}], files: [t/*.json],"
        " http: ['http://a.example']}\n"
        "handshake_logs: [{file: a.log}]\nremediation: {mode: off}\n"
    )
    first = effective(load(path))
    again = tmp_path / "elsewhere" / "config.yml"
    again.parent.mkdir()
    again.write_text(first)

    assert effective(load(again)) == first
