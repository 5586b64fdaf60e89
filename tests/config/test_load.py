import json
import os
import socket
from pathlib import Path

import pytest
import yaml

from exporter import yaml_text
from exporter.config import Config, check, load
from exporter.config.draft import draft_of
from exporter.config.written import MAX_BYTES
from exporter.errors import ConfigError
from exporter.handshake_log.options import Side
from exporter.modes import Mode
from exporter.targets.model import Role
from exporter.web.options import ListenAddress
from tests.pki import make_ca, make_leaf

GATEWAY = 'targets: {static: [{name: gw-1, address: "gw-1.example:8883"}]}\n'
EMPTY = "targets: {}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an anchor, to be loaded from."""
    (tmp_path / "anchors").mkdir()
    (tmp_path / "anchors" / "ca.pem").write_bytes(make_ca().pem)
    return tmp_path


def loaded(folder: Path, text: str, **environ: str) -> Config:
    path = folder / "config.yml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ=environ)


def test_the_contracts_example_is_accepted(folder: Path) -> None:
    (folder / "t").write_text("a token")
    (folder / "c").write_bytes((folder / "anchors" / "ca.pem").read_bytes())
    config = loaded(
        folder,
        """
listen: 127.0.0.1:9883
store: sqlite:///state.db
trust_stores:
  - {name: fw-4.2, file: anchors/ca.pem}
device_classes:
  - {name: sensor, holds: [fw-4.2], contact_interval: 1h, reconnect: 10m}
targets:
  static:
    - {name: gw-1, address: "127.0.0.1:8883", role: gateway, trust_stores: [fw-4.2],
       management_api: site-a}
    - {name: dev-01, gateway: gw-1, device_class: sensor, rollout_group: canary,
       peers: [127.0.1.1]}
  files: [targets/*.json]
  http: []
probe: {interval: 60s, timeout: 5s, concurrency: 200}
probe_endpoint: {allow: []}
handshake_logs:
  - {file: /var/log/nginx/error.log, gateway: gw-1, side: gateway}
management_apis:
  - {name: site-a, url: "https://gw-1.example", token_file: t, ca_file: c, poll_interval: 60s}
webhook: {token_file: t}
remediation: {mode: dry_run}
rotation: {mode: dry_run}
""",
    )

    gateway, device = config.static_targets
    assert (gateway.name, gateway.address) == ("gw-1", "127.0.0.1:8883")
    assert (gateway.role, gateway.trust_stores) == (Role.GATEWAY, ("fw-4.2",))
    assert (device.name, device.role, device.host) == ("dev-01", Role.DEVICE, None)
    assert (device.holds, device.contact_interval_s) == (("fw-4.2",), 3600.0)
    assert config.device_classes[0].reconnect == 600.0
    assert config.handshake_logs[0].side is Side.GATEWAY
    assert config.probe.interval == 60.0
    assert len(config.loaded_stores["fw-4.2"].anchors) == 1


def test_everything_but_targets_has_a_default(folder: Path) -> None:
    config = loaded(folder, EMPTY)

    assert config.listen == ListenAddress(host="127.0.0.1", port=9883)
    assert config.remediation.mode is Mode.DRY_RUN
    assert config.static_targets == ()
    assert config.path == folder / "config.yml"


def test_relative_paths_are_relative_to_the_file(folder: Path) -> None:
    config = loaded(
        folder,
        EMPTY
        + "trust_stores: [{name: a, file: anchors/ca.pem}]\n"
        + "handshake_logs: [{file: logs/*.log}, {file: /var/log/a.log}]\n"
        + "store: sqlite:///data/state.db\n",
    )

    assert config.trust_stores[0].file == folder / "anchors" / "ca.pem"
    assert config.handshake_logs[0].file == folder / "logs" / "*.log"
    assert config.handshake_logs[1].file == Path("/var/log/a.log")
    assert config.store == f"sqlite:///{folder}/data/state.db"


def test_a_file_named_without_a_folder_resolves_against_the_working_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "config.yml").write_text(EMPTY + "handshake_logs: [{file: a.log}]\n")
    monkeypatch.chdir(folder)

    config = load(Path("config.yml"))

    assert config.handshake_logs[0].file == folder / "a.log"


def test_the_default_store_is_beside_the_file(folder: Path) -> None:
    assert loaded(folder, EMPTY).store == f"sqlite:///{folder}/state.db"


def test_the_default_store_is_in_systemds_folder(folder: Path) -> None:
    config = loaded(folder, EMPTY, STATE_DIRECTORY="/var/lib/fleet:/var/lib/other")

    assert config.store == "sqlite:////var/lib/fleet/state.db"


def test_a_store_that_was_written_is_not_moved_by_systemd(folder: Path) -> None:
    config = loaded(folder, EMPTY + "store: sqlite:///my.db\n", STATE_DIRECTORY="/var/lib/fleet")

    assert config.store == f"sqlite:///{folder}/my.db"


def test_a_store_that_is_no_file_stays_as_written(folder: Path) -> None:
    store = "sqlite:///:memory:"

    assert loaded(folder, EMPTY + f"store: '{store}'\n").store == store


@pytest.mark.parametrize("written", ["off", "'off'", "false", "disabled"])
def test_an_unquoted_off_is_disabled(folder: Path, written: str) -> None:
    config = loaded(folder, EMPTY + f"remediation: {{mode: {written}}}\nrotation: {{mode: off}}\n")

    assert config.remediation.mode is Mode.DISABLED
    assert config.rotation.mode is Mode.DISABLED


@pytest.mark.parametrize("name", ["no", "on", "2026-11-24", "0x1f", "007", "1e5", "12:30"])
def test_words_that_yaml_11_would_turn_into_something_else_are_text(
    folder: Path, name: str
) -> None:
    config = loaded(folder, f'targets: {{static: [{{name: {name}, address: "a:1"}}]}}\n')

    assert config.static_targets[0].name == name


def test_each_static_target_knows_its_file_and_line(folder: Path) -> None:
    config = loaded(
        folder,
        "targets:\n  static:\n    - name: a\n      address: a:1\n\n"
        "    - {name: b, address: 'b:1'}",
    )

    sources = [target.source for target in config.static_targets]
    assert sources == [f"{folder}/config.yml:3", f"{folder}/config.yml:6"]


def test_a_target_that_names_no_store_is_judged_by_the_systems(folder: Path) -> None:
    config = loaded(
        folder,
        "targets: {static: [{name: a, address: 'a:1'}, {name: d, gateway: a},"
        " {name: s, address: 'a:1', trust_stores: [system]}]}",
    )

    stores = [target.trust_stores for target in config.static_targets]
    assert stores == [("system",), (), ("system",)]


def test_a_url_alone_stands_for_an_http_source(folder: Path) -> None:
    config = loaded(folder, "targets: {http: ['https://inventory.example/t']}\n")

    assert config.targets.http[0].url == "https://inventory.example/t"
    assert config.targets.http[0].interval == 60.0


def test_a_logs_gateway_may_be_a_discovered_one(folder: Path) -> None:
    config = loaded(
        folder, "targets: {files: [t.json]}\nhandshake_logs: [{file: a.log, gateway: gw-9}]\n"
    )

    assert config.handshake_logs[0].gateway == "gw-9"


def test_merge_keys_and_anchors_work(folder: Path) -> None:
    config = loaded(
        folder,
        """
targets:
  static:
    - &first {name: gw-1, address: "gw-1.example:8883", rollout_group: canary}
    - {<<: *first, name: gw-2}
    - {<<: [{name: gw-3}, *first]}
""",
    )

    told = [(one.name, one.rollout_group, one.host) for one in config.static_targets]
    assert told == [
        ("gw-1", "canary", "gw-1.example"),
        ("gw-2", "canary", "gw-1.example"),
        ("gw-3", "canary", "gw-1.example"),
    ]


def test_a_byte_order_mark_is_taken_off(folder: Path) -> None:
    assert loaded(folder, "\ufeff" + EMPTY).static_targets == ()


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    config, faults = check(tmp_path / "config.yml")

    assert config is None
    assert [str(fault) for fault in faults] == [
        f"{tmp_path}/config.yml: this file cannot be read: No such file or directory"
    ]


def test_a_huge_file_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.touch()
    os.truncate(path, MAX_BYTES + 1)

    with pytest.raises(ConfigError, match="larger than the 16777216 bytes"):
        load(path)


def test_a_socket_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))

        with pytest.raises(ConfigError, match="cannot be read"):
            load(path)


def test_of_very_many_faults_the_first_are_told_and_the_others_counted(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("targets: {static: [" + "{name: a, address: b}," * 1_000 + "]}\n")

    _, faults = check(path)

    assert len(faults) == 201
    assert faults[-1].message == "there are 1799 faults more, not shown"


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("web: {cert_file: tls.pem, key_file: tls.key}", "web.key_file"),
        ("probe: {client_cert_file: tls.pem, client_key_file: tls.key}", "probe.client_key_file"),
    ],
    ids=["web", "probe"],
)
def test_a_certificate_and_a_key_that_do_not_fit_are_a_fault(
    folder: Path, section: str, key: str
) -> None:
    ca = make_ca()
    leaf = make_leaf(ca, "exporter.example")
    (folder / "tls.pem").write_bytes(leaf.pem)
    (folder / "tls.key").write_bytes(leaf.key_pem)
    loaded(folder, EMPTY + section)

    (folder / "tls.key").write_bytes(ca.key_pem)
    _, faults = check(folder / "config.yml")

    assert [str(fault) for fault in faults] == [
        f"{folder}/config.yml:2 {key}: {folder}/tls.key does not hold the key of the first"
        f" certificate in {folder}/tls.pem"
    ]


def test_half_a_character_is_a_fault() -> None:
    draft, findings = draft_of({"targets": {}, "listen": "\ud800"})

    assert draft is None
    assert "half a character" in findings[0][1]


def test_half_a_character_in_a_file_is_a_fault_without_libyaml_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_text, "_LOADER", yaml.SafeLoader)

    with pytest.raises(ConfigError, match="half a character"):
        loaded(folder, EMPTY + 'listen: "\\ud800"\n')


def test_discovered_entries_may_refer_to_what_the_file_names(folder: Path) -> None:
    config = loaded(
        folder,
        EMPTY
        + "trust_stores: [{name: a, file: anchors/ca.pem}]\n"
        + "device_classes: [{name: sensor}]\n"
        + "management_apis: [{name: m, url: 'http://m.example'}]\n",
    )

    assert list(config.known.trust_stores) == ["a"]
    assert list(config.known.device_classes) == ["sensor"]
    assert list(config.known.management_apis) == ["m"]
    assert list(config.known.protocols) == ["tls"]
    assert "smtp" in config.known.later_protocols


def test_a_fault_in_one_item_does_not_hide_one_in_another(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(
            folder,
            "targets: {static: [{name: a, address: x, role: 7}, {name: b, address: y}]}\n"
            "trust_stores: [7, {name: s, file: nope}]\n"
            "device_classes: [{name: c, contact_interval: 5}, {name: d, holds: [t]}]\n"
            "management_apis: [{name: m}]\n"
            "handshake_logs: [{gateway: g}, {file: f, gateway: g}]\n",
        )

    keys = [fault.place.partition(" ")[2] for fault in caught.value.faults]
    assert keys == [
        "targets.static[0].role",
        "targets.static[1].address",
        "trust_stores[0]",
        "trust_stores[1].file",
        "device_classes[0].contact_interval",
        "device_classes[1].holds[0]",
        "management_apis[0].url",
        "handshake_logs[0]",
        "handshake_logs[1].gateway",
    ]


def test_what_refers_to_a_faulty_item_or_section_is_no_fault_of_its_own(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(
            folder,
            "targets: {static: [{name: g, address: 'a:1', gateway_: x, management_api: m},"
            " {name: d, gateway: g, device_class: c, holds: [s]}]}\n"
            "trust_stores: s\n"
            "device_classes: [{name: c, reconnect: 1}, {name: k, holds: [s]}]\n"
            "management_apis: [{name: m}]\n",
        )

    keys = [fault.place.partition(" ")[2] for fault in caught.value.faults]
    assert keys == [
        "targets.static[0].gateway_",
        "trust_stores",
        "device_classes[0].reconnect",
        "management_apis[0].url",
    ]


def test_a_section_that_cannot_be_read_hides_only_itself(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(
            folder, "targets: 7\nprobe: []\nhandshake_logs: [{file: f, gateway: g}]\nlisten: x\n"
        )

    keys = [fault.place.partition(" ")[2] for fault in caught.value.faults]
    assert keys == ["targets", "probe", "listen"]


def test_ten_thousand_static_targets_load(folder: Path) -> None:
    lines = [
        f"- {{name: dev-{index}, gateway: gw-1, address: '10.0.{index // 250}.{index % 250}:1'}}"
        for index in range(10_000)
    ]
    text = "targets:\n static:\n  - {name: gw-1, address: 'gw:1'}\n  " + "\n  ".join(lines)

    config = loaded(folder, text)

    assert len(config.static_targets) == 10_001
    assert config.static_targets[-1].source.endswith(":10003")


def test_json_is_yaml_too(folder: Path) -> None:
    text = json.dumps({"targets": {"static": [{"name": "gw-1", "address": "[::1]:8883"}]}})

    assert loaded(folder, text).static_targets[0].host == "::1"
