"""A table as stages see it, without Faust."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from stream_app.kafka.state.send import Send


def fake_table(state: Callable[[int], Any], **attributes: Any) -> Any:
    """Return a table with these states, whose changelog is the topic `changelog`."""

    def changelog_record(partition: int, key: bytes, value: bytes | None) -> Send:
        return Send("changelog", key, value, partition, table=table)

    table: Any = SimpleNamespace(state=state, changelog_record=changelog_record, **attributes)
    return table
