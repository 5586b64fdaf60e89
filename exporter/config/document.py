"""Writes docs/configuration.md from the models: ``python -m exporter.config.document FILE``."""

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from exporter.config.model import Config
from exporter.config.sentences import bare_type
from exporter.durations import format_duration
from exporter.web.options import ListenAddress

_INTRODUCTION = """\
# Configuration

One YAML file, given by `--config`. `fleet-tls-exporter check-config FILE` tells all its
faults, each with its line, and shows the values in force. This page is written from the
program's own models: `python -m exporter.config.document FILE`.

- Everything but `targets` has a default. Unknown keys are refused.
- Durations are written as in Prometheus: `30s`, `5m`, `1h30m`, `14d`.
- Relative paths are relative to the folder of the file.
- Secrets are never written into the file; `*_file` names the file that holds one. Passwords of
  people stand as bcrypt hashes.
- Only `true` and `false` are switches; `yes`, `no`, `on` and `off` are text, as in YAML 1.2.
  (`off` as a `mode` means `disabled`.) A name that looks like a number needs quotes.
- A reload (`SIGHUP`, `POST /-/reload`) takes the new file as a whole, or keeps the old one and
  says why.

## A complete example
"""

EXAMPLE = """\
listen: 127.0.0.1:9883
web:
  cert_file: tls/exporter.pem
  key_file: tls/exporter.key
  client_ca_file: tls/clients.pem
  users:
    prometheus: $2b$10$CPdaN8pX9q00RevnKKro5OgyU8zHTnH.qOBMnril8G.NQ5tU1oHVW
store: sqlite:///state.db
trust_stores:
  - {name: fw-4.1, file: anchors/fw-4.1.pem, weak_crypto: refuse}
  - {name: fw-4.2, file: anchors/fw-4.2.pem, profile: strict}
device_classes:
  - {name: sensor, holds: [fw-4.2], contact_interval: 1h, reconnect: 10m}
targets:
  static:
    - name: gw-1
      address: "gw-1.example:8883"
      role: gateway
      server_name: mqtt.example
      trust_stores: [fw-4.1, fw-4.2]
      management_api: site-a
    - {name: dev-01, gateway: gw-1, device_class: sensor, rollout_group: canary, peers: [10.1.0.1]}
    - name: dev-02
      gateway: gw-1
      address: "[2001:db8::2]:8443"
      protocol: tls
      device_class: sensor
      holds: [fw-4.1]
      rollout_group: production
      expiry_warning: 60d
      peers: [10.1.2.0/24]
  files: [targets/*.json]
  http:
    - {url: "https://inventory.example/targets", interval: 5m, token_file: secrets/inventory.token}
probe:
  interval: 60s
  timeout: 5s
  concurrency: 200
  client_cert_file: tls/exporter.pem
  client_key_file: tls/exporter.key
  control_targets: ["www.example:443"]
probe_endpoint: {allow: [10.1.0.0/16, "*.example"]}
handshake_logs:
  - {file: /var/log/nginx/error.log, gateway: gw-1, side: gateway}
  - {push: site-a, gateway: gw-1, side: platform, token_file: secrets/push.token}
management_apis:
  - {name: site-a, url: "https://gw-1.example:9443", token_file: secrets/site-a.token}
trust_sync:
  stale_after: 6h
  desired:
    - {rollout_group: canary, trust_stores: [fw-4.2]}
webhook: {token_file: secrets/webhook.token, networks: [10.0.0.0/8]}
remediation: {mode: dry_run}
rotation: {mode: dry_run}
"""

_DISCOVERY = """\
## Discovered targets

`targets.files` and `targets.http` take Prometheus' target groups as they are:

```json
[
  {
    "targets": ["10.1.0.7:8883"],
    "labels": {"name": "dev-07", "gateway": "gw-1", "device_class": "sensor"}
  }
]
```

- The keys of `targets.static` are labels, with these names; lists are comma-separated. Other
  labels, and those that begin with `__`, are ignored.
- `name` defaults to the address. `name` (and `address`) on a group of several targets is
  refused: give each target a group of its own.
- An empty label counts as absent, but for two: an empty `server_name` checks no name, and an
  empty `address` says that the device has none (the text in `targets` is then only its name).
- An entry that cannot be used (bad address, unknown trust store, device class, gateway,
  management API or protocol, a name that is taken) is dropped, logged by name and counted; the
  rest lives. Of two entries with one name the first stays, in the order `static`, `files`,
  `http`.
- A file is looked at every second; a change is taken up when the file has not moved for one
  look, so within 5 s. A file that is broken, empty or unreadable keeps its last good targets,
  and log and metrics say so. As in Prometheus, the targets of a *deleted* file leave (when it
  was missing twice in a row); those of a folder that cannot be listed stay. No targets at all
  are written `[]`. Write files under a temporary name and rename them.
- A URL is asked with `If-None-Match`, `X-Prometheus-Refresh-Interval-Seconds` and the bearer
  token; the answer is `200` with `Content-Type: application/json`. Anything else keeps the
  last good targets. After a restart they are gone until the first good answer; a reload keeps
  them.
- At most 64 MiB and 250,000 targets are read of one source.
- The gateway of a device in `targets.static` stands in `targets.static` too.
"""


def document() -> str:
    """Return docs/configuration.md."""
    parts = [_INTRODUCTION, f"```yaml\n{EXAMPLE}```\n", "## Keys\n"]
    parts += keys_of(Config)
    parts.append(_DISCOVERY)
    return "\n".join(parts)


def keys_of(model: type[BaseModel]) -> Iterator[str]:
    """Yield a titled table of keys for ``model`` and for each section in it."""
    for path, section in _sections("", model):
        title = f"### `{path}`" if path else "### Top level"
        yield f"{title}\n\n{_first_line(section)}\n\n{_table(section)}"


def _sections(path: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for key, field in model.model_fields.items():
        found = _model_in(field.annotation)
        if found is not None:
            several = "[]" if get_origin(bare_type(field.annotation)) is tuple else ""
            yield from _sections(f"{path}.{key}{several}".lstrip("."), found)


def _table(model: type[BaseModel]) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in model.model_fields.items():
        cells = (f"`{key}`", _type_name(field), _default(field), _meaning(field))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0].replace("``", "`")


def _meaning(field: FieldInfo) -> str:
    return f"{field.description or ''}{_range(field)}".strip()


def _range(field: FieldInfo) -> str:
    bounds = []
    for item in field.metadata:
        for key, word in (
            ("gt", "more than"),
            ("ge", "at least"),
            ("lt", "less than"),
            ("le", "at most"),
        ):
            limit = getattr(item, key, None)
            if limit is not None:
                bounds.append(f"{word} {_number(field, limit)}")
    return f" ({', '.join(bounds)})" if bounds else ""


def _number(field: FieldInfo, value: float) -> str:
    return f"`{format_duration(value)}`" if _is_duration(field) else f"`{value}`"


def _is_duration(field: FieldInfo) -> bool:
    return bare_type(field.annotation) is float


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if field.is_required():
        return "required"
    if isinstance(value, BaseModel):
        return "see below"
    if value in (None, "", (), {}):
        return "none"
    if isinstance(value, float):
        return f"`{format_duration(value)}`"
    if isinstance(value, tuple):
        return f"`{', '.join(str(one) for one in value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _type_name(field: FieldInfo) -> str:
    bare = bare_type(field.annotation)
    origin = get_origin(bare)
    if origin is tuple:
        return f"list of {_word(bare_type(get_args(bare)[0]))}s"
    if origin is dict:
        return "mapping"
    return _word(bare)


_WORDS: dict[object, str] = {
    bool: "true or false",
    float: "duration",
    int: "whole number",
    str: "text",
    Path: "file",
    ListenAddress: "`HOST:PORT`",
}


def _word(kind: object) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(f"`{member.value}`" for member in kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "section"
    return _WORDS[kind]


def _model_in(annotation: object) -> type[BaseModel] | None:
    bare = bare_type(annotation)
    if get_origin(bare) is tuple:
        bare = bare_type(get_args(bare)[0])
    return bare if isinstance(bare, type) and issubclass(bare, BaseModel) else None


if __name__ == "__main__":  # pragma: no cover - a test compares document() with the page
    page = document()  # first, so that a fault in a model leaves the old page as it is
    Path(sys.argv[1]).write_text(page, encoding="utf-8")
