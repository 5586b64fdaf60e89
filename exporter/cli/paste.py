"""The lines of configuration that would watch what was just looked at; pure."""

from collections.abc import Sequence

import yaml

from exporter.cli.arguments import HostPort, StoreFile


def yaml_to_paste(where: HostPort, stores: Sequence[StoreFile], server_name: str | None) -> str:
    """Return a configuration with one target and its trust stores."""
    target: dict[str, object] = {
        "name": where.host,
        "address": where.text,
        "role": "gateway",
    }
    if server_name is not None:
        target["server_name"] = server_name
    document: dict[str, object] = {}
    if stores:
        document["trust_stores"] = [
            {"name": store.name, "file": str(store.path)} for store in stores
        ]
        target["trust_stores"] = [store.name for store in stores]
    document["targets"] = {"static": [target]}
    return yaml.safe_dump(
        document, sort_keys=False, default_flow_style=None, allow_unicode=True, width=200
    )
