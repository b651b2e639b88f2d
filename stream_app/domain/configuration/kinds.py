"""The kinds of configured objects, how one is recognised, and how all of them are kept."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """Kinds of configured objects, in the order in which they are written."""

    CLIENT = "client"
    INTEGRATION = "integration"
    TRIGGER = "trigger"


INTEGRATION_STAMPS = ("updated_at", "epoch", "enabled_at")
TRIGGER_STAMPS = ("enabled_at",)
#: What our commands set themselves; what a file says there is ignored.
STAMPS = {Kind.CLIENT: (), Kind.INTEGRATION: INTEGRATION_STAMPS, Kind.TRIGGER: TRIGGER_STAMPS}
#: Kind -> id -> the record as it is stored, flattened.
Stored = dict[Kind, dict[int, dict[str, object]]]


def kind_of(obj: Mapping[str, object]) -> Kind | None:
    """Recognise an object by `kind` or by its shape; None when it is neither."""
    if "kind" in obj:
        return next((kind for kind in Kind if kind == obj["kind"]), None)
    if "trigger" in obj or "template_id" in obj or ("template" in obj and "actions" in obj):
        return Kind.TRIGGER
    if "events" in obj and ("target" in obj or "type" in obj):
        return Kind.INTEGRATION
    if "name" in obj and "cloud" in obj and "target" not in obj:
        return Kind.CLIENT
    return None
