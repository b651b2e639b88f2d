"""Other values than the defaults, one for each part of values.schema.json."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs
import yaml

from tests.deploy.chart.written_files import CHART, SCHEMA

_SCHEMA = json.loads(SCHEMA.read_text())
DEFAULTS: Mapping[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())

#: Examples; a value takes the first ones that its schema allows.
_EXAMPLES: tuple[Any, ...] = (
    *(True, False, 67108864, 12, 3, 1.5, 0.5),
    *("example", "plain words, and: {braces} # \"quotes\" 'marks' \\", "example/", "1.2.3", "12"),
    *("https://git.example.com/stream-app/", "sha256:" + "0" * 64, "45s", "250m", "320Mi"),
    *("broker-1:9092,broker-2:9093", "acme.", "eu-west-1", "eu-west-2"),
    {"example.com/key": "true"},
    {"EXAMPLE": "12"},
    {"1111/acme": {"secret": "acme", "key": "api-key"}},
    {"secret": "example", "key": "some.key"},
    {"configMap": "example", "key": "some.key"},
    [{"name": "registry"}],
    [{"key": "example.com/alerts", "operator": "Exists"}],
    [9094, 8443],
    {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
)
#: What only the API server knows: a free form here has one example that it allows.
_FREE = {
    ("affinity",): _EXAMPLES[-1],
    ("tolerations",): _EXAMPLES[-3],
}

Path = tuple[str, ...]


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a schema's reference names."""
    if "allOf" in schema:
        return {**resolved(schema["allOf"][0]), "description": schema["description"]}
    if (reference := schema.get("$ref")) is None:
        return schema
    return resolved(_SCHEMA["definitions"][reference.rpartition("/")[2]])


def nodes(schema: Mapping[str, Any] = _SCHEMA, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield (path, schema) of each part of the values; `global` is helm's own."""
    found = resolved(schema)
    yield path, schema
    # Which Secret and which key is one value.
    if "key" in found.get("properties", {}):
        return
    for name, part in found.get("properties", {}).items():
        if name != "global":
            yield from nodes(part, (*path, name))


def leaves() -> Iterator[tuple[Path, Any]]:
    """Yield (path, schema) of each value."""
    for path, schema in nodes():
        found = resolved(schema)
        if "properties" not in found or "key" in found["properties"]:
            yield path, schema


LEAVES: Mapping[Path, Any] = dict(leaves())


def maps() -> Iterator[Path]:
    """Yield the path of each map whose names the schema lists."""
    for path, schema in nodes():
        if "properties" in resolved(schema):
            yield path


def value_at(values: Mapping[str, Any], path: Path) -> Any:
    """Return what values have at a path, or None."""
    value: Any = values
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


@functools.cache
def others(path: Path) -> list[Any]:
    """Return the values that a place is tried with; each differs from its default.

    All members of an enumeration, the other truth value, and one or two examples of the rest.
    """
    schema = LEAVES[path]
    found, old = resolved(schema), value_at(DEFAULTS, path)
    if path in _FREE:
        return [_FREE[path]]
    if "enum" in found:
        return [value for value in found["enum"] if value != old]
    if isinstance(old, bool):
        return [not old]
    check = jsonschema_rs.Draft7Validator({**schema, "definitions": _SCHEMA["definitions"]})
    allowed = (value for value in _EXAMPLES if check.is_valid(value) and value != old)
    return list(itertools.islice(allowed, 2))


def describe(path: Path) -> str:
    """Return a path as `--set` has it."""
    return ".".join(path)
