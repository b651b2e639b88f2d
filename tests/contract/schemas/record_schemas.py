"""The schema of each record, as its file in `schemas/` has it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stream_app.contract.records import EVENT_KINDS, IN_PARTS, ONE, RecordName
from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.configuration.statuses import IntegrationStatus
from stream_app.domain.counting.partial_counts import PartialCounts
from stream_app.domain.delivery.records import Cancel, Checked, Delivery, Folded, Result, Skipped
from stream_app.domain.events.decoder import SHAPES
from stream_app.domain.events.model import EVENT_TYPES, EventKind
from stream_app.domain.notices.incoming import IncomingNotice
from stream_app.domain.pulse.note import PulseNote
from tests.contract.schemas.dead_letters import dead_letter_schema
from tests.contract.schemas.event_rules import event_rules
from tests.contract.schemas.notice_rules import notice_rules
from tests.contract.schemas.object_schemas import client_schema, integration_schema, trigger_schema
from tests.contract.schemas.struct_schemas import Schema, reference, struct_definitions

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class _Form:
    """The schema of one object, and the schemas that it refers to."""

    schema: Schema
    definitions: Schema


def part_schema(name: RecordName) -> Schema:
    """Return the schema of one object of a record, in the dialect of the files."""
    form = _FORMS[name]()
    definitions = {"$defs": form.definitions} if form.definitions else {}
    return {"$schema": DIALECT, "title": _TITLES[name], **form.schema, **definitions}


def record_schema(name: RecordName) -> Schema:
    """Return the schema of a record's value: of records in parts, one object or an array."""
    whole = part_schema(name)
    if name not in IN_PARTS:
        return whole
    definitions = whole.pop("$defs", {})
    own = {"$ref": f"#/$defs/{ONE}"}
    return {
        "$schema": whole.pop("$schema"),
        "title": whole.pop("title"),
        "description": "One object, or an array of them. On the topic one object a line (NDJSON) "
        "is taken, too. Unknown fields are ignored; a missing optional field means its default.",
        "if": {"type": "array"},
        "then": {"items": own},
        "else": own,
        "$defs": {ONE: whole, **definitions},
    }


_TITLES: dict[RecordName, str] = {
    RecordName.ATTACK: "Attacks that have opened",
    RecordName.HIT: "Hits",
    RecordName.INCIDENT: "Incidents",
    RecordName.NOTICE: "Account notices",
    RecordName.CLIENT: "A client as it is configured",
    RecordName.TRIGGER: "A trigger as it is configured",
    RecordName.INTEGRATION: "An integration as it is configured",
    RecordName.INTEGRATION_STATUS: "Whether the system has disabled an integration, and why",
    RecordName.COUNT: "Partial counts of triggers, windows and source partitions",
    RecordName.ALERT: "An alert of a fired trigger or of a notice",
    RecordName.DELIVERY: "One rendered message for one integration",
    RecordName.DELIVERY_RESULT: "What came of an attempt, a command, or a check",
    RecordName.DEAD_LETTER: "Headers of a dead letter",
}


def _event(kind: EventKind) -> Callable[[], _Form]:
    return lambda: _inlined(
        SHAPES[kind], description=inspect.getdoc(EVENT_TYPES[kind]), allOf=event_rules(kind)
    )


def _inlined(struct: type, **more: Any) -> _Form:
    """Return a struct's schema as the root, so that a reader of the file meets it first."""
    definitions = struct_definitions([struct])
    own = definitions.pop(struct.__name__)
    own.pop("title", None)
    return _Form(own | more, definitions)


def _of_tables(build: Callable[[], Schema]) -> Callable[[], _Form]:
    return lambda: _Form(build(), {})


def _notice() -> _Form:
    return _inlined(IncomingNotice, allOf=notice_rules())


def _alert() -> _Form:
    has_notice = {"required": ["notice"], "properties": {"notice": {"not": {"type": "null"}}}}
    schema = {
        "description": "The alert of a notice has the field `notice`; a counting one has not.",
        "type": "object",
        "if": has_notice,
        "then": reference(NoticeAlert),
        "else": reference(Alert),
    }
    return _Form(schema, struct_definitions([Alert, NoticeAlert]))


def _result() -> _Form:
    structs = (Result, Cancel, Checked, Folded, Skipped, PulseNote)
    tags = {str(struct.__struct_config__.tag): struct for struct in structs}
    schema = {
        "description": "`type` says which of the records it is.",
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"description": "What it is.", "enum": list(tags)}},
        "allOf": [
            {
                "if": {"required": ["type"], "properties": {"type": {"const": tag}}},
                "then": reference(struct),
            }
            for tag, struct in tags.items()
        ],
    }
    return _Form(schema, struct_definitions(structs))


_FORMS: dict[RecordName, Callable[[], _Form]] = {
    **{name: _event(kind) for name, kind in EVENT_KINDS.items()},
    RecordName.NOTICE: _notice,
    RecordName.CLIENT: _of_tables(client_schema),
    RecordName.TRIGGER: _of_tables(trigger_schema),
    RecordName.INTEGRATION: _of_tables(integration_schema),
    RecordName.INTEGRATION_STATUS: lambda: _inlined(IntegrationStatus),
    RecordName.COUNT: lambda: _inlined(PartialCounts),
    RecordName.ALERT: _alert,
    RecordName.DELIVERY: lambda: _inlined(Delivery),
    RecordName.DELIVERY_RESULT: _result,
    RecordName.DEAD_LETTER: _of_tables(dead_letter_schema),
}
