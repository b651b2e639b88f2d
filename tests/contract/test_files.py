"""The committed schemas are those that the code gives, and describe all fields and topics."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import yaml

from stream_app.contract.records import EVENT_KINDS, RecordName
from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.configuration.statuses import IntegrationStatus
from stream_app.domain.counting.partial_counts import PartialCounts
from stream_app.domain.delivery.records import Cancel, Checked, Delivery, Result
from stream_app.domain.events.decoder import SHAPES
from stream_app.domain.notices.incoming import IncomingNotice
from stream_app.kafka.cluster.topics import topic_specs
from stream_app.settings import Settings
from tests.contract.schemas import record_schemas
from tests.contract.schemas.descriptions import DESCRIPTIONS
from tests.contract.schemas.filter_values import unknown_filters
from tests.contract.schemas.record_schemas import part_schema, record_schema
from tests.contract.write import SCHEMAS, generated

META = json.loads((Path(__file__).parent / "asyncapi-3.0.0.json").read_text())
#: Keywords that only one of the two dialects knows; `$defs` is found by its path in both.
NOT_COMMON = {
    "unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$dynamicAnchor", "prefixItems",
    "dependentRequired", "dependentSchemas", "minContains", "maxContains", "$anchor",
    "additionalItems", "dependencies", "definitions",
}  # fmt: skip
#: Structs that are the whole of a record, or one of its forms.
STRUCTS: list[tuple[RecordName, type[msgspec.Struct]]] = [
    *((name, SHAPES[kind]) for name, kind in EVENT_KINDS.items()),
    (RecordName.NOTICE, IncomingNotice),
    (RecordName.INTEGRATION_STATUS, IntegrationStatus),
    (RecordName.COUNT, PartialCounts),
    (RecordName.ALERT, Alert),
    (RecordName.ALERT, NoticeAlert),
    (RecordName.DELIVERY, Delivery),
    (RecordName.DELIVERY_RESULT, Result),
    (RecordName.DELIVERY_RESULT, Cancel),
    (RecordName.DELIVERY_RESULT, Checked),
]


def committed(name: RecordName) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return found


def test_the_committed_files_are_those_of_the_code() -> None:
    files = generated()
    stale = [path.name for path, text in files.items() if path.read_text() != text]
    assert stale == [], "run: make schemas"
    assert set(SCHEMAS.glob("*.schema.json")) == {p for p in files if p.suffix == ".json"}


def changed(struct: type[msgspec.Struct], field: str, change: str) -> type[msgspec.Struct]:
    """Return the struct with another type of a field, or with its requiredness turned."""
    fields: list[Any] = []
    for info in msgspec.structs.fields(struct):
        kind, is_required = info.type, info.required
        if info.name == field:
            kind = dict[str, list[bytes]] if change == "type" else kind
            is_required = info.required is (change != "requiredness")
        fields.append((info.name, kind) if is_required else (info.name, kind, None))
    config = struct.__struct_config__
    return msgspec.defstruct(
        struct.__name__, fields, kw_only=True, tag=config.tag, tag_field=config.tag_field
    )


@pytest.mark.parametrize("change", ["type", "requiredness"])
@pytest.mark.parametrize(
    ("name", "struct"), STRUCTS, ids=[f"{name}-{struct.__name__}" for name, struct in STRUCTS]
)
def test_a_changed_field_makes_the_committed_file_stale(
    name: RecordName,
    struct: type[msgspec.Struct],
    change: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert record_schema(name) == committed(name)
    for info in msgspec.structs.fields(struct):
        other = changed(struct, info.name, change)
        with monkeypatch.context() as patch:
            for event_kind, known in SHAPES.items():
                if known is struct:
                    patch.setitem(SHAPES, event_kind, other)
            patch.setattr(record_schemas, struct.__name__, other, raising=False)
            assert record_schema(name) != committed(name), info.name


def parts(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each object within a schema, with its path."""
    if isinstance(schema, dict):
        yield path, schema
    items = schema.items() if isinstance(schema, dict) else enumerate(schema)
    for name, part in items:
        if isinstance(part, dict | list):
            yield from parts(part, f"{path}/{name}")


def described(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the properties that tell of fields: not those of conditions, which only compare."""
    for path, part in parts(schema):
        in_rule = {"if", "then", "else", "allOf", "anyOf", "oneOf", "not"} & set(path.split("/"))
        if not in_rule and "properties" in part:
            for name, field in part["properties"].items():
                yield f"{path}/{name}", field


@pytest.mark.parametrize("name", RecordName)
def test_each_field_has_a_description(name: RecordName) -> None:
    schema = part_schema(name)
    assert schema["title"]
    assert schema["description"]
    rows = list(described(schema))
    assert rows
    assert [path for path, field in rows if not field.get("description")] == []


def test_no_description_is_left_of_a_field_that_is_gone() -> None:
    for struct, words in DESCRIPTIONS.items():
        config = struct.__struct_config__  # type: ignore[attr-defined]
        names = {info.name for info in msgspec.structs.fields(struct)} | {config.tag_field}
        assert words.keys() - names == set(), struct


def test_each_filter_tells_its_values() -> None:
    assert unknown_filters() == []


@pytest.mark.parametrize("name", RecordName)
def test_a_schema_is_one_in_both_dialects(name: RecordName) -> None:
    schema = committed(name)
    jsonschema_rs.meta.validate(schema)
    jsonschema_rs.meta.validate({**schema, "$schema": "http://json-schema.org/draft-07/schema#"})
    used = {keyword for _, part in parts(schema) for keyword in part}
    fields = {path.rpartition("/")[2] for path, _ in described(schema)}
    assert (used - fields) & NOT_COMMON == set()


@functools.cache
def asyncapi() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text())
    return found


def test_asyncapi_is_a_document_of_its_version() -> None:
    meta = jsonschema_rs.Draft7Validator(META)
    document = asyncapi()
    assert [str(error.message)[-200:] for error in meta.iter_errors(document)] == []
    document["channels"]["alerts"]["bindings"]["kafka"]["partitions"] = "many"
    assert not meta.is_valid(document)


def test_each_reference_of_asyncapi_leads_somewhere() -> None:
    document = asyncapi()
    found = [part["$ref"] for _, part in parts(document) if "$ref" in part]
    assert found
    for reference in found:
        if reference.startswith("#/"):
            at: Any = document
            for step in reference[2:].split("/"):
                at = at[step]
        else:
            assert (SCHEMAS / reference).is_file(), reference


def test_asyncapi_has_all_topics_with_their_clean_up() -> None:
    channels = asyncapi()["channels"]
    specs = {spec.name: spec for spec in topic_specs(Settings())}
    assert channels.keys() == specs.keys()
    for name, spec in specs.items():
        kafka = channels[name]["bindings"]["kafka"]
        assert kafka["topicConfiguration"]["cleanup.policy"] == [spec.config["cleanup.policy"]]
        # An operation of its own says who sends it.
        assert [row for row in asyncapi()["operations"].values() if name in row["channel"]["$ref"]]


def test_each_message_has_a_key_and_examples() -> None:
    messages = asyncapi()["components"]["messages"]
    assert list(messages) == list(RecordName)
    for message in messages.values():
        assert message["bindings"]["kafka"]["key"]["description"]
        assert message["examples"]
        assert message["contentType"]
