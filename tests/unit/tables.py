"""A table as stages see it, without Faust."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from stream_app.kafka.state.send import Send
from stream_app.kafka.state.state_table import StateTable


def fake_table(state: Callable[[int], Any], **attributes: Any) -> Any:
    """Return a table with these states, whose changelog is the topic `changelog`."""

    def changelog_record(partition: int, key: bytes, value: bytes | None) -> Send:
        return Send("changelog", key, value, partition, table=table)

    table: Any = SimpleNamespace(state=state, changelog_record=changelog_record, **attributes)
    table.flush_steps = partial(StateTable.flush_steps, table)
    return table
