"""Reads the files of `schemas/`; a wheel has copies of them beside this module.

`make schemas` writes the files from the code; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from stream_app.contract.records import IN_PARTS, RecordName

Schema = dict[str, Any]

#: Name under `$defs` of one object's schema, if a record's value may hold several objects.
ONE = "One"
_IN_WHEEL = Path(__file__).parent / "schemas"
_IN_CHECKOUT = Path(__file__).parents[2] / "schemas"


def part_schema(name: RecordName) -> Schema:
    """Return the schema of one object of a record."""
    folder = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT
    whole: Schema = orjson.loads((folder / f"{name}.schema.json").read_bytes())
    if name not in IN_PARTS:
        return whole
    definitions = whole["$defs"]
    one = definitions.pop(ONE)
    return {"$schema": whole["$schema"], **one, "$defs": definitions}
