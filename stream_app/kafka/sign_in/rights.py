"""Which right a user lacks, from the driver's error: the operation, and the resource."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from pathlib import Path

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)

from stream_app.domain.foreign_text.printable import printable

PAGE = "deploy/acls.md"
#: The operation that a step needs, by the module that carries it out; a write ends in a future, so
#: that no module of the driver is on its way.
_TOPIC_OPERATIONS = {
    "fetcher.py": "Read",
    "group_coordinator.py": "Read",
    "client.py": "Describe",
    "topic_metadata.py": "Describe",
    "groups.py": "Describe",
    "admin.py": "Describe",
    "topic_configs.py": "DescribeConfigs",
    "changelog_settings.py": "DescribeConfigs",
    "snapshots.py": "Delete",
    # Faust's: it asks to make a topic, and takes it well that there is one.
    "aiokafka.py": "Create",
}
#: What stands around the name of a group or a topic in an error's text.
_AROUND_NAME = re.compile(
    r"^(group|Unable to get coordinator id for|Cannot create topic:) |( \(\d+\))?: .*$"
)
_GROUP_OPERATIONS = {"client.py": "Describe", "groups.py": "Describe"}


def missing_right(error: BaseException) -> str | None:
    """Return which operation on what the user lacks, and where that is written; None if none."""
    if isinstance(error, TopicAuthorizationFailedError):
        operation = _operation(error, _TOPIC_OPERATIONS) or "Write"
        return f"the user lacks {operation} on topic {_names(error)}: see {PAGE}"
    if isinstance(error, GroupAuthorizationFailedError):
        operation = _operation(error, _GROUP_OPERATIONS) or "Read"
        return f"the user lacks {operation} on group {_names(error)}: see {PAGE}"
    if isinstance(error, ClusterAuthorizationFailedError):
        return (
            "the user lacks a right on the cluster, or Write on any topic, without which it may "
            f"write nothing: see {PAGE}"
        )
    return None


def _operation(error: BaseException, operations: dict[str, str]) -> str | None:
    """Return the operation of the innermost step that is known."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if (found := operations.get(Path(frame.filename).name)) is not None:
            return found
    return None


def _names(error: BaseException) -> str:
    """Return the topics or groups that an error names; there may be a set of them."""
    named = error.args[0] if error.args else "?"
    names = sorted(named) if isinstance(named, Iterable) and not isinstance(named, str) else [named]
    return printable(", ".join(_AROUND_NAME.sub("", str(name)) for name in names))
