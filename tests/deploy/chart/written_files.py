"""The parts of the Helm chart that the code decides: its settings' schema, and its topics.

`python -m tests.deploy.chart.written_files` writes them into the chart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from stream_app.kafka.cluster.topics import ENOUGH_COPIES, copies_config, topic_specs
from stream_app.settings import Settings, secret_variables, setting_fields

CHART = Path(__file__).parents[3] / "deploy" / "helm" / "stream-app"
SCHEMA = CHART / "values.schema.json"
TOPICS = CHART / "files" / "topics.yaml"

#: What a pod has no use for: the embedded Kafka, the sandbox on loopback, and what the chart sets.
NOT_FOR_PODS = (
    "STREAM_APP_EMBEDDED__",
    "STREAM_APP_DELIVERY__SANDBOX_URL",
    "STREAM_APP_DELIVERY__RETRY_SCALE",
    "STREAM_APP_HEARTBEAT__JSM_API",
    "STREAM_APP_HTTP__PORT",
    "STREAM_APP_KEY_DIR",
)
#: One value for a whole installation: no component may have another one.
OF_ALL = (
    "STREAM_APP_TOPIC_PREFIX",
    "STREAM_APP_PARTITIONS",
    "STREAM_APP_DRY_RUN",
    "STREAM_APP_OPERATOR_INTEGRATION",
    "STREAM_APP_KAFKA__REPLICATION_FACTOR",
    # One ServiceMonitor speaks to both roles.
    "STREAM_APP_HTTP__",
)


def settings_of_pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (variable, JSON schema) of every setting that the chart can set."""
    for variable, field in setting_fields():
        if variable.startswith(NOT_FOR_PODS):
            continue
        found = dict(_property(variable))
        # A number's or a list's text is what the variable holds in the end.
        found.pop("default", None)
        found.pop("title", None)
        found["description"] = field.description
        yield variable, found


def _property(variable: str) -> Mapping[str, Any]:
    """Return the schema that pydantic gives for a setting; lists and maps are text in variables."""
    *groups, name = variable.removeprefix("STREAM_APP_").lower().split("__")
    schema = Settings.model_json_schema()
    found = schema["properties"] if not groups else _group(schema, groups[0])
    rows = found[name].get("anyOf", [found[name]])
    (row,) = [{**row} for row in rows if row.get("type") != "null"]
    if row["type"] in {"array", "object"}:
        return {"type": "string", "minLength": 1}
    if row["type"] == "string" and "pattern" not in row and "enum" not in row:
        # An empty variable is an error of the settings.
        row["minLength"] = 1
    return row


def _group(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    reference = schema["properties"][name]
    target = str(reference.get("$ref") or reference["allOf"][0]["$ref"])
    found: Mapping[str, Any] = schema["$defs"][target.rpartition("/")[2]]["properties"]
    return found


def definitions() -> dict[str, Any]:
    """Return the schemas of the maps of settings, by the names that values.schema.json uses."""
    secret = set(secret_variables())
    plain, secrets, files = {}, {}, {}
    for variable, schema in settings_of_pods():
        text = schema["description"]
        if variable in secret:
            secrets[variable] = {"$ref": "#/definitions/secretSource", "description": text}
        elif schema.get("format") == "path":
            files[variable] = {"$ref": "#/definitions/fileSource", "description": text}
        else:
            plain[variable] = schema
    found = {"settings": plain, "secrets": secrets, "files": files}
    own = {f"own{name.title()}": _without(OF_ALL, names) for name, names in found.items()}
    return {
        name: {"type": "object", "additionalProperties": False, "properties": properties}
        for name, properties in (found | own).items()
    }


def _without(beginnings: tuple[str, ...], schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {name: schema for name, schema in schemas.items() if not name.startswith(beginnings)}


def schema_text() -> str:
    """Return values.schema.json with the settings that there are now."""
    schema = json.loads(SCHEMA.read_text())
    schema["definitions"] |= definitions()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def topics_text() -> str:
    """Return the chart's list of the topics, as `topics create` makes them."""
    few, many = (
        {spec.name: spec for spec in topic_specs(Settings(partitions=n, dry_run=True))}
        for n in (1, 2)
    )
    rows = [
        {
            "name": name,
            "isPartitioned": spec.partitions != many[name].partitions,
            "dryRun": name == "dry-run",
            "config": spec.config,
        }
        for name, spec in few.items()
    ]
    head = "# Made from what `topics create` makes: python -m tests.deploy.chart.written_files\n"
    # A copy of each part: YAML would name those that are the same object.
    found = {
        "withCopies": {"atLeast": ENOUGH_COPIES, "config": copies_config(ENOUGH_COPIES)},
        "topics": json.loads(json.dumps(rows)),
    }
    return head + yaml.safe_dump(found, sort_keys=False)


if __name__ == "__main__":
    SCHEMA.write_text(schema_text())
    TOPICS.write_text(topics_text())
