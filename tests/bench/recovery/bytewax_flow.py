# mypy: ignore-errors
"""The rival: Bytewax counts the same hits in the same windows, and keeps its state in SQLite.

It runs in an environment of its own (`rival.py`), so it imports nothing of this project. A hit
always counts in the five triggers of its client. Each process says on stdout, once, that a hit has
come through the counting.
"""

import functools
import json
import os
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow

PERIOD_SECONDS = 60
TRIGGERS_PER_CLIENT = 5


def keyed(message: Any) -> list[tuple[str, int]]:
    """Return a trigger and the start of a window for each of the triggers of a hit."""
    hit = json.loads(message.value)
    start = hit["request_time"] - hit["request_time"] % PERIOD_SECONDS
    client = hit["client_id"]
    return [(f"{client}.{place}", start) for place in range(TRIGGERS_PER_CLIENT)]


def count(counts: dict[int, int] | None, start: int) -> tuple[dict[int, int], int]:
    """Add a hit to its window; return the windows of the trigger, and this one's count."""
    counts = counts or {}
    counts[start] = counts.get(start, 0) + 1
    return counts, counts[start]


@functools.cache
def say() -> None:
    """Say that a hit has come through, the first time only."""
    print("counting", flush=True)


def is_exceeded(item: tuple[str, int]) -> bool:
    """Tell whether a count exceeds the threshold, which is never reached."""
    say()
    return item[1] > 1_000_000


flow = Dataflow("windows")
source = KafkaSource([os.environ["BROKER"]], [os.environ["TOPIC"]], batch_size=1000)
hits = op.input("hits", flow, source)
windows = op.stateful_map("count", op.flat_map("keyed", hits, keyed), count)
exceeded = op.filter("exceeded", windows, is_exceeded)
op.inspect("alert", exceeded)
