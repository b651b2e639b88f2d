"""The kinds of configured objects, how they are recognised, and how they are kept in memory."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of configured objects, in the order in which `apply` writes them."""

    CLIENT = "client"
    INTEGRATION = "integration"
    TRIGGER = "trigger"


INTEGRATION_STAMPS = ("updated_at", "epoch", "enabled_at")
TRIGGER_STAMPS = ("enabled_at",)
#: Fields that only our commands set; their values in a file are ignored.
STAMPS = {Kind.CLIENT: (), Kind.INTEGRATION: INTEGRATION_STAMPS, Kind.TRIGGER: TRIGGER_STAMPS}
#: Kind -> id -> the object in its stored form.
Stored = dict[Kind, dict[int, dict[str, object]]]


def kind_of(obj: Mapping[str, object]) -> Kind | None:
    """Return the kind of an object, from its field `kind` or its shape; None if it is unknown."""
    if "kind" in obj:
        return next((kind for kind in Kind if kind == obj["kind"]), None)
    if "trigger" in obj or "template_id" in obj or ("template" in obj and "actions" in obj):
        return Kind.TRIGGER
    if "events" in obj and ("target" in obj or "type" in obj):
        return Kind.INTEGRATION
    if "name" in obj and "cloud" in obj and "target" not in obj:
        return Kind.CLIENT
    return None
