"""The worker's command; the progress of one flush reaches the broker in the midst of a rebalance.

By then the states have been rolled back, and the changelog has not been read to its end. The
broker's answer comes after that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from stream_app.cli import main
from stream_app.kafka.engine import flush_loop
from stream_app.kafka.state import state_table
from stream_app.kafka.state.send import Send

#: Of the topic's eight; so many that this worker keeps one of them when another worker joins.
PARTITIONS = 5


def delay_one_progress() -> None:
    send, on_rebalance = flush_loop.FlushLoop._send_step, state_table.StateTable.on_rebalance
    rolled_back, landed = asyncio.Event(), asyncio.Event()
    held: list[Any] = []

    async def overtaken(self: Any, step: Sequence[Send], written: Any) -> None:
        progress = [s for s in step if s.table is not None]
        if len(progress) < PARTITIONS or held or not self.topics[0].endswith("events.hits"):
            await send(self, step, written)
            return
        held.append(step[0].table)
        print("progress_held", flush=True)
        await rolled_back.wait()
        produce = self._producer.produce
        await asyncio.gather(
            *[await produce(s.topic, s.key, s.value, s.partition, s.headers) for s in step]
        )
        print("progress_landed", flush=True)
        landed.set()
        while held[0].generation < 0:  # noqa: ASYNC110 - it has no event for this
            await asyncio.sleep(0.05)

    async def rebalanced(self: Any, *args: Any, **kwargs: Any) -> None:
        await on_rebalance(self, *args, **kwargs)
        if any(self is table for table in held):
            rolled_back.set()
            await landed.wait()

    flush_loop.FlushLoop._send_step = overtaken  # type: ignore[method-assign]
    state_table.StateTable.on_rebalance = rebalanced  # type: ignore[method-assign]


if __name__ == "__main__":
    delay_one_progress()
    main()
