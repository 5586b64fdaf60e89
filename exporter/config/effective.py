"""Shows a configuration with every default filled in."""

from pathlib import Path

import yaml

from exporter.config.load import load
from exporter.config.model import Config
from exporter.errors import ConfigError, Fault


def effective(config: Config) -> str:
    """Return the values in force as YAML, paths absolute; of secrets only the files' names.

    Targets of ``targets.static`` stand with the keys they were given.
    """
    values = config.model_dump(mode="json")
    values["targets"]["static"] = [
        static.model_dump(mode="json", exclude_unset=True) for static in config.targets.static
    ]
    for section in (values["web"], values["webhook"]):
        section["users"] = dict.fromkeys(section["users"], "(hidden)")
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=99)


def check(path: Path) -> tuple[Config | None, tuple[Fault, ...]]:
    """Return the configuration at ``path``, or None and all its faults; never raises for them."""
    try:
        return load(path), ()
    except ConfigError as exc:
        return None, exc.faults
