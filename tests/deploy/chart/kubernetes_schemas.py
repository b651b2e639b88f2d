"""Validates manifests as an API server would with strict field validation: no field is unknown.

Kubernetes' schemas come from the package kubernetes-validate, which makes them from the API's
OpenAPI documents. Those of others' resources are in `crds`, from their projects.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate

_SCHEMAS = Path(str(kubernetes_validate.__file__)).parent / "kubernetes-json-schema"
_CRDS = Path(__file__).parent / "crds"
#: The oldest version that Chart.yaml allows, one between, and the newest that the package knows.
VERSIONS = ("1.29", "1.33", "1.37")


def problems(manifest: Mapping[str, Any], version: str) -> list[str]:
    """Return what is wrong with a manifest, by Kubernetes' schemas of this version."""
    return _problems(json.dumps(manifest), version)


@functools.lru_cache(maxsize=1024)
def _problems(text: str, version: str) -> list[str]:
    manifest = json.loads(text)
    validator = _validator(manifest["apiVersion"], manifest["kind"], version)
    name = f"{manifest['kind']} {manifest['metadata']['name']}"
    return [
        f"{name}: {'.'.join(map(str, error.instance_path))}: {error.message}"
        for error in validator.iter_errors(manifest)
    ]


@functools.cache
def _validator(api_version: str, kind: str, version: str) -> jsonschema_rs.Draft202012Validator:
    crd = _CRDS / f"{kind.lower()}.json"
    if crd.exists():
        return jsonschema_rs.Draft202012Validator(_strict(json.loads(crd.read_text())))
    # networking.k8s.io/v1 -> networking-v1
    api = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    folder = _SCHEMAS / f"v{version}.0-local-strict"
    schema = json.loads((folder / f"{kind.lower()}-{api}.json").read_text())
    return jsonschema_rs.Draft202012Validator(
        schema, base_uri="file:///schema.json", retriever=lambda _uri: _definitions(version)
    )


@functools.cache
def _definitions(version: str) -> Any:
    folder = _SCHEMAS / f"v{version}.0-local-strict"
    return json.loads((folder / "_definitions.json").read_text())


def _strict(schema: Any) -> Any:
    """Return a CRD's schema that refuses fields which the API server would drop."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    # Keys of "properties" are names, not keywords.
    result = {
        key: {name: _strict(one) for name, one in value.items()}
        if key == "properties"
        else _strict(value)
        for key, value in schema.items()
    }
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get(
        "additionalProperties"
    )
    if schema.get("type") == "object" and "properties" in schema and not is_open:
        result["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
    return result
