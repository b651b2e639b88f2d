"""Batches for a stage, without the loop that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stream_app.kafka.engine.stage import Stage


def take(stage: Stage, topic: str, partition: int, records: Sequence[Any]) -> None:
    """Have a stage take the records of one batch, without a pause between its steps."""
    for _ in stage.steps(topic, partition, records):
        pass
