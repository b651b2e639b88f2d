"""`schemas/asyncapi.yaml`: the topics as channels, made of what `topics create` makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_app import __version__
from stream_app.contract.records import TOPICS, RecordName
from stream_app.domain.delivery.records import ALERTED_HEADER
from stream_app.domain.formats import FORMAT_HEADER, RECORD_FORMATS, USUAL_FORMATS
from stream_app.kafka.cluster.topics import DEAD_LETTER_SOURCES, Topic, TopicSpec, topic_specs
from stream_app.settings import Settings
from tests.contract.schemas.record_schemas import record_schema

SCHEMA_FORMAT = "application/schema+json;version=2020-12"
_BINDING = "0.5.0"
#: What others write; the rest is this project's own.
FROM_PRODUCERS = (Topic.ATTACKS, Topic.HITS, Topic.INCIDENTS, Topic.ACCOUNT)
FROM_PEOPLE = (Topic.CLIENTS, Topic.TRIGGERS, Topic.INTEGRATIONS)
_ACTOR = {"x-actor": "The command that wrote the record."}
_ATTEMPT = {
    "x-attempt": "Of a redriven record: how often it has been tried.",
    "x-epoch": "Of a redriven delivery: the epoch that its integration had then, Unix ms.",
}
_ALERTED = {ALERTED_HEADER: "Append time of its alert, Unix ms; for a metric only."}
_FORMAT = (
    "The format of the record, a number; absent: 1. This version writes {} and reads up to {}."
)
_DESCRIPTION = """\
The topics of stream_app: what producers send, what people configure, and what it writes itself.
An installation may put a prefix before all names. Values are JSON in UTF-8. Unknown fields are
ignored; a missing optional field means its default. A record without a value (a tombstone) on a
`config.*` topic or on `status.integrations` deletes the object of its key.
"""


def asyncapi_document(examples: Mapping[RecordName, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the document.

    Args:
        examples: the valid examples of each record, by name.
    """
    specs = {spec.name: spec for spec in topic_specs(Settings(topic_prefix=""))}
    channels = {str(topic): _channel(name, specs[topic]) for name, topic in TOPICS.items()}
    for topic in DEAD_LETTER_SOURCES:
        channels[f"{topic}.dlq"] = _letters(specs[f"{topic}.dlq"])
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "stream_app", "version": __version__, "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": _operations(),
        "components": {
            "messages": {name.value: _message(name, examples[name]) for name in RecordName}
        },
    }


def _channel(name: RecordName, spec: TopicSpec) -> dict[str, Any]:
    return {
        "address": spec.name,
        "title": record_schema(name)["title"],
        "messages": {name.value: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"kafka": _kafka(spec)},
    }


def _letters(spec: TopicSpec) -> dict[str, Any]:
    found = _channel(RecordName.DEAD_LETTER, spec)
    return {**found, "title": f"Dead letters of {spec.name.removesuffix('.dlq')}"}


def _kafka(spec: TopicSpec) -> dict[str, Any]:
    # The binding knows these two settings; `stream-app topics list` shows them all.
    config: dict[str, Any] = {"cleanup.policy": [spec.config["cleanup.policy"]]}
    if "retention.ms" in spec.config:
        config["retention.ms"] = int(spec.config["retention.ms"])
    # Other numbers of partitions are the installation's business.
    one = {"partitions": 1} if spec.partitions == 1 else {}
    return {**one, "topicConfiguration": config, "bindingVersion": _BINDING}


def _message(name: RecordName, examples: Mapping[str, Any]) -> dict[str, Any]:
    if name is RecordName.DEAD_LETTER:
        headers: dict[str, Any] = {"$ref": f"./{name}.schema.json"}
        payload: dict[str, Any] = {"description": "The untouched bytes of what was refused."}
        shown, content_type = "headers", "application/octet-stream"
    else:
        headers, payload = _headers(TOPICS[name]), {"$ref": f"./{name}.schema.json"}
        shown, content_type = "payload", "application/json"
    found: dict[str, Any] = {
        "name": name.value,
        "title": record_schema(name)["title"],
        "contentType": content_type,
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": payload},
        "bindings": {"kafka": {"key": _key(name), "bindingVersion": _BINDING}},
        "examples": [{"name": example, shown: content} for example, content in examples.items()],
    }
    if headers:
        found["headers"] = {"schemaFormat": SCHEMA_FORMAT, "schema": headers}
    return found


def _headers(topic: Topic) -> dict[str, Any]:
    """Return the schema of the headers that a record can have; all of them are texts."""
    texts = {}
    if known := RECORD_FORMATS.get(topic):
        usual = USUAL_FORMATS[topic]
        written = f"{usual}" if usual == known else f"{usual}, or {known} if it needs that,"
        texts = {FORMAT_HEADER: _FORMAT.format(written, known)}
    if topic in FROM_PEOPLE:
        texts |= _ACTOR
    if topic in DEAD_LETTER_SOURCES:
        texts |= _ATTEMPT
    if topic is Topic.DELIVERIES:
        texts |= _ALERTED
    if not texts:
        return {}
    rows = {name: {"description": text, "type": "string"} for name, text in texts.items()}
    return {"type": "object", "properties": rows}


def _key(name: RecordName) -> dict[str, Any]:
    """Return the schema of a record's key, from the table of topics."""
    if name is RecordName.DEAD_LETTER:
        return {"description": "As the source: the record's own key.", "type": "string"}
    specs = {spec.name: spec for spec in topic_specs(Settings(topic_prefix=""))}
    words = specs[TOPICS[name]].key
    if words == "any":
        return {"description": "Any, or none: nothing depends on it.", "type": ["string", "null"]}
    text = f"{words[:1].upper()}{words[1:]}, as decimal text."
    return {"description": text, "type": "string", "pattern": "^[0-9]{1,19}$"}


def _operations() -> dict[str, Any]:
    """Return what this project does with the topics: it receives some, and sends others."""
    received = [*FROM_PRODUCERS, *FROM_PEOPLE]
    sent = [topic for topic in TOPICS.values() if topic not in received]
    # Its own notices stand beside those of producers.
    rows = [("receive", str(topic)) for topic in received]
    rows += [("send", str(topic)) for topic in (Topic.ACCOUNT, *sent)]
    rows += [("send", f"{topic}.dlq") for topic in DEAD_LETTER_SOURCES]
    return {
        f"{action}-{channel}": {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}
        for action, channel in rows
    }
