"""Schemas of records that a struct decodes: those of msgspec, simplified and with descriptions.

Unknown fields are allowed, since the decoders ignore them. A schema cannot tell `1.0` from `1`; the
decoders refuse `1.0` for an integer.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import msgspec

from tests.contract.schemas.descriptions import descriptions_of

Schema = dict[str, Any]

#: What a struct checks beyond the types of its fields: (struct, field) -> more of its schema.
RULES: dict[tuple[str, str], Schema] = {
    ("TriggerCounts", "revision"): {
        "pattern": "^[^:|]*$",
        "$comment": "a hash, without `:` and `|`",
    },
}


def struct_definitions(types: Sequence[Any]) -> dict[str, Schema]:
    """Return the schemas of types and all that they are made of, by name, for `$defs`."""
    _, components = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    return {name: _described(name, _simplified(part)) for name, part in components.items()}


def reference(struct: type) -> Schema:
    """Return what refers to a struct's schema within one document."""
    return {"$ref": f"#/$defs/{struct.__name__}"}


def _described(name: str, schema: Schema) -> Schema:
    if "description" in schema:
        schema["description"] = " ".join(inspect.cleandoc(schema["description"]).split())
    words = descriptions_of(name)
    for field, part in schema.get("properties", {}).items():
        part.update(RULES.get((name, field), {}))
        if field in words:
            schema["properties"][field] = {"description": words[field], **part}
    return schema


def _simplified(schema: Any) -> Any:
    """Return a schema in which a union of plain types is one list of types.

    An error in an `anyOf` says only that nothing fits; one in a list says what would.
    """
    if isinstance(schema, list | tuple):  # a default may be a tuple
        return [_simplified(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    simple = {name: _simplified(part) for name, part in schema.items() if name != "discriminator"}
    if simple.get("required") == []:
        del simple["required"]
    return _without_any_of(simple)


def _without_any_of(schema: Schema) -> Schema:
    members = schema.get("anyOf", ())
    rich = [member for member in members if set(member) != {"type"}]
    if not members or len(rich) > 1 or any(not isinstance(m.get("type"), str) for m in members):
        return schema
    types = list(dict.fromkeys(member["type"] for member in members))
    if "number" in types:
        types = [name for name in types if name != "integer"]
    rest = {name: part for name, part in schema.items() if name != "anyOf"}
    return {**(rich[0] if rich else {}), "type": types if len(types) > 1 else types[0], **rest}
