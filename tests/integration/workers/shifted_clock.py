"""Runs `stream-app` as on a machine whose clock is off by `SHIFTED_BY_SECONDS`.

With `TELLS_NO_TIME` the cluster does not tell its time, like an old cluster.
"""

from __future__ import annotations

import importlib
import os
import time
from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder

SECONDS = int(os.environ["SHIFTED_BY_SECONDS"])
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + SECONDS
time.time_ns = lambda: _time_ns() + SECONDS * 1_000_000_000


def shift_records() -> None:
    """Shift the system time that aiokafka's compiled code gives to records without a time."""
    append = BatchBuilder.append

    def shifted(self: Any, *, timestamp: int | None, **fields: Any) -> Any:
        if timestamp is None:
            timestamp = int(time.time() * 1000)
        return append(self, timestamp=timestamp, **fields)

    BatchBuilder.append = shifted


async def no_time(*_: Any) -> None:
    """Answer as a cluster that does not tell its time."""


if __name__ == "__main__":
    from stream_app.cli import main

    shift_records()

    if "TELLS_NO_TIME" in os.environ:
        for name in ("stream_app.doctor.broker", "stream_app.kafka.cluster.broker_clock"):
            vars(importlib.import_module(name))["cluster_time"] = no_time
    main()
