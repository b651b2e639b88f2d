"""Small schemas that several records share. `$comment` says in words what is allowed."""

from __future__ import annotations

from collections.abc import Iterable

from stream_app.domain.catalog.numbers import MAX_INTEGER
from tests.contract.schemas.struct_schemas import Schema

#: The characters that Python's `strip` removes, for a class of a regular expression.
BLANKS = r"\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


def text(description: str) -> Schema:
    """Return the schema of a text that is not blank."""
    return {
        "description": description,
        "type": "string",
        "pattern": f"[^{BLANKS}]",
        "$comment": "a text, not blank",
    }


def optional(schema: Schema) -> Schema:
    """Return a schema that takes `null`, too: the readers take it for a missing field."""
    types = schema["type"]
    found = {**schema, "type": [*([types] if isinstance(types, str) else types), "null"]}
    return found if "enum" not in found else {**found, "enum": [*found["enum"], None]}


def integer(description: str, minimum: int) -> Schema:
    """Return the schema of an integer."""
    return {
        "description": description,
        "type": "integer",
        "minimum": minimum,
        "maximum": MAX_INTEGER,
    }


def choice(description: str, allowed: Iterable[str]) -> Schema:
    """Return the schema of one of some texts."""
    return {"description": description, "type": "string", "enum": list(allowed)}


def any_case(allowed: Iterable[str]) -> Schema:
    """Return the schema of one of some texts, in which case does not matter."""
    names = list(allowed)
    return {
        "type": "string",
        "pattern": f"^(?:{'|'.join(map(any_case_pattern, names))})$",
        "$comment": f"one of {', '.join(names)}, in any case",
    }


def any_case_pattern(name: str) -> str:
    """Return the regular expression of a text in which case does not matter."""
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in name)


def objects(description: str, properties: Schema, required: Iterable[str] = ()) -> Schema:
    """Return the schema of an object; further properties are ignored."""
    found = {"description": description, "type": "object", "properties": properties}
    return {**found, "required": list(required)} if required else found


def lists(description: str, items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"description": description, "type": "array", "items": items}


def with_field(name: str, schema: Schema) -> Schema:
    """Return the schema of an object that has a field of a schema."""
    return {"required": [name], "properties": {name: schema}}
