"""The command of this project, on a machine whose clock is off by the seconds of the environment.

`TELLS_NO_TIME` takes away the cluster's answer to what time it is, as an old cluster's.
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
    """Shift what aiokafka's compiled code asks the system for: the time of a record without one."""
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
