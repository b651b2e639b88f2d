"""The pods of a rendering, and what is mounted into them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.deploy.chart.rendering import Rendering

COMPONENT = "app.kubernetes.io/component"


def pods(rendering: Rendering) -> dict[str, dict[str, Any]]:
    """Return the templates of all pods by their component."""
    owners = rendering.of_kind("Deployment") + rendering.of_kind("Job")
    templates = [owner["spec"]["template"] for owner in owners]
    return {template["metadata"]["labels"][COMPONENT]: template for template in templates}


def container(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Return the one container of a pod."""
    (found,) = pod["spec"]["containers"]
    return dict(found)


def environment(pod: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a pod."""
    return {row["name"]: row["value"] for row in container(pod).get("env", [])}


def mounted_files(pod: Mapping[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Return the path of each mounted file -> (kind of source, its name, its key)."""
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    mounts = container(pod).get("volumeMounts", [])
    assert sorted(mount["name"] for mount in mounts) == sorted(volumes), "a volume is not mounted"
    found = {}
    for mount in mounts:
        projected = volumes[mount["name"]].get("projected", {"sources": [], "defaultMode": 0o444})
        assert projected["defaultMode"] == 0o444, "it belongs to root, and another user reads it"
        for source in projected["sources"]:
            ((kind, value),) = source.items()
            (item,) = value["items"]
            found[f"{mount['mountPath']}/{item['path']}"] = (kind, value["name"], item["key"])
    return found


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a selector of labels fits; `In` is the only expression."""
    by_label = selector.get("matchLabels", {}).items() <= labels.items()
    return by_label and all(
        labels.get(row["key"]) in row["values"] for row in selector.get("matchExpressions", [])
    )
