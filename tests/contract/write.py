"""Writes `schemas/`: `python -m tests.contract.write`, or `make schemas`."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from stream_app.contract.records import RecordName
from tests.contract.asyncapi import asyncapi_document
from tests.contract.schemas.record_schemas import record_schema

SCHEMAS = Path(__file__).parents[2] / "schemas"
EXAMPLES = SCHEMAS / "examples"
_NOTE = "# Written by `make schemas` from the code. Do not edit.\n"


def examples(name: RecordName, kind: str) -> list[Path]:
    """Return the examples of a record that are `valid` or `invalid`."""
    return sorted((EXAMPLES / name).glob(f"{kind}-*.json"))


def generated() -> dict[Path, str]:
    """Return the text of each file that follows from the code."""
    files = {
        SCHEMAS / f"{name}.schema.json": json.dumps(record_schema(name), indent=2) + "\n"
        for name in RecordName
    }
    # In the text of the document: tools follow no reference inside an example.
    shown = {
        name: {path.stem: json.loads(path.read_bytes()) for path in examples(name, "valid")}
        for name in RecordName
    }
    document = asyncapi_document(shown)
    text = yaml.dump(document, Dumper=_Plain, sort_keys=False, width=100, allow_unicode=True)
    return {**files, SCHEMAS / "asyncapi.yaml": _NOTE + text}


class _Plain(yaml.SafeDumper):
    """Writes equal parts out instead of naming them, and texts of several lines as they are."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Plain.add_representer(str, _text)


def main() -> None:
    """Write the files, and remove those of records that are gone."""
    files = generated()
    for path in SCHEMAS.glob("*.schema.json"):
        if path not in files:
            path.unlink()
    for path, text in files.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
