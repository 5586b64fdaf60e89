from pathlib import Path

from exporter.cli.arguments import HostPort, StoreFile
from exporter.cli.errors import first_of
from exporter.cli.paste import yaml_to_paste
from exporter.config import load
from exporter.errors import ConfigError, Fault

WHERE = HostPort(host="2001:db8::1", port=8883, text="[2001:db8::1]:8883")


def test_what_is_pasted_is_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(yaml_to_paste(WHERE, [], ""))

    [target] = load(path).static_targets

    assert (target.host, target.port) == ("2001:db8::1", 8883)
    assert target.checked_name is None


def test_a_store_and_a_name_are_named_in_it() -> None:
    text = yaml_to_paste(WHERE, [StoreFile(name="fw", path=Path("a.pem"))], "gw.test")

    assert "- {name: fw, file: a.pem}" in text
    assert "server_name: gw.test" in text
    assert "trust_stores: [fw]" in text


def test_of_several_errors_the_operators_is_told() -> None:
    fault = ConfigError([Fault(place="listen", message="x")])
    inner = ExceptionGroup("inner", [ValueError("bug"), fault])

    assert first_of(BaseExceptionGroup("outer", [inner])) is fault


def test_a_bug_alone_is_shown_whole() -> None:
    group = ExceptionGroup("outer", [ValueError("bug")])

    assert first_of(group) is group
