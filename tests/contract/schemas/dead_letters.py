"""The schema of the headers of a dead letter, and of the mark of a redriven one."""

from __future__ import annotations

from stream_app.contract.decoders import NUMBER_HEADERS
from stream_app.domain.dead_letters.dead_letter_index import DISMISSED
from stream_app.domain.errors import DeadLetterReason
from stream_app.kafka.dead_letters.writing import (
    ATTEMPT_HEADER,
    HEADERS,
    INTEGRATIONS_HEADER,
    MAX_DIGITS,
    MAX_LONG_DIGITS,
    REASON_HEADER,
    REDRIVEN_HEADER,
    TARGET_HEADER,
)
from tests.contract.schemas.struct_schemas import Schema
from tests.contract.schemas.text_schemas import objects

_COUNT: Schema = {"pattern": f"^[0-9]{{1,{MAX_LONG_DIGITS}}}$", "$comment": "a number, as text"}
_RULES: dict[str, Schema] = {
    "x-original-topic": {"minLength": 1},
    **dict.fromkeys(NUMBER_HEADERS, _COUNT),
    # -1: the record had none.
    "x-original-timestamp": {
        "pattern": f"^(-1|[0-9]{{1,{MAX_LONG_DIGITS}}})$",
        "$comment": "Unix milliseconds, as text",
    },
    REASON_HEADER: {"enum": [reason.value for reason in DeadLetterReason]},
    ATTEMPT_HEADER: {**_COUNT, "pattern": f"^[0-9]{{1,{MAX_DIGITS - 1}}}$"},
    INTEGRATIONS_HEADER: {
        "pattern": f"^[0-9]{{1,{MAX_LONG_DIGITS + 1}}}(,[0-9]{{1,{MAX_LONG_DIGITS + 1}}})*$",
        "$comment": "numbers with commas, as text",
    },
    TARGET_HEADER: {
        "pattern": f"^([^/]+/[0-9]{{1,18}}/[0-9]{{1,18}}|{DISMISSED})$",
        "$comment": f"a place, or {DISMISSED}",
    },
}
LETTER = ("x-original-topic", "x-original-partition", "x-original-offset", REASON_HEADER)
MARK = (REDRIVEN_HEADER, TARGET_HEADER)


def dead_letter_schema() -> Schema:
    """Return the schema of the headers, as an object of texts."""
    properties = {
        name: {"description": f"{words[:1].upper()}{words[1:]}.", "type": "string"}
        | _RULES.get(name, {})
        for name, words in HEADERS.items()
    }
    is_mark = {"required": [REDRIVEN_HEADER], "not": {"required": [REASON_HEADER]}}
    found = objects(
        "Headers of a dead letter, or of the mark that one is done; the record's own "
        "headers stand beside them. The value is the untouched bytes of what was refused.",
        properties,
    )
    return {**found, "if": is_mark, "then": _need(MARK), "else": _need(LETTER)}


def _need(names: tuple[str, ...]) -> Schema:
    return {"required": list(names)}
