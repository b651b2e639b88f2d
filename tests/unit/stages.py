"""Batches for a stage and what its flushes send, without the loop that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stream_app.kafka.engine.flush import Flush
from stream_app.kafka.engine.stage import Stage
from stream_app.kafka.state.send import Send


def take(stage: Stage, topic: str, partition: int, records: Sequence[Any]) -> None:
    """Have a stage take the records of one batch, without a pause between its steps."""
    for _ in stage.steps(topic, partition, records):
        pass


def effects(flush: Flush[Any]) -> list[Send]:
    """Return the first step of a flush: what the records have caused."""
    return list(next(iter(flush.steps())))
