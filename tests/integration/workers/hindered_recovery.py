"""The worker's command; its recovery is hindered in one of three ways (`HINDER`).

`slow`: what Faust waits for takes longer than Faust waits. `overtaken`: the first recovery ends in
the gap between the next rebalance's change of the states and the start of its recovery. `held`: the
reading of the states stops after the first records, as long as the file `HOLD` exists.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from faust.tables.recovery import Recovery

from stream_app.cli import main
from stream_app.kafka.engine.consumer import BatchingConsumer
from stream_app.kafka.state import changelog_reader
from stream_app.kafka.state.changelog_reader import _Reading
from stream_app.kafka.state.state_table import StateTable


def slow_down() -> None:
    wait, seek = Recovery._wait, BatchingConsumer.seek_to_committed
    seeks: list[Any] = []

    async def impatient(self: Any, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109 - Faust's
        await wait(self, coro, timeout=None if timeout is None else 1.0)

    async def slow(self: Any) -> Any:
        seeks.append(None)
        if len(seeks) == 1:
            await asyncio.sleep(3)
        return await seek(self)

    Recovery._wait = impatient
    BatchingConsumer.seek_to_committed = slow  # type: ignore[method-assign]


def overtake() -> None:
    complete, on_rebalance = Recovery.on_recovery_completed, StateTable.on_rebalance
    let_go = asyncio.Event()
    held: list[Any] = []

    async def overtaken(self: Any, generation_id: int = 0) -> None:
        if not held:
            held.extend(self.tables.values())
            print("recovery_held", flush=True)
            await let_go.wait()
        await complete(self, generation_id)

    async def rebalanced(self: Any, *args: Any, **kwargs: Any) -> None:
        await on_rebalance(self, *args, **kwargs)
        if held and self is held[-1] and not let_go.is_set():
            let_go.set()
            await asyncio.sleep(1)
            if any(table.generation >= 0 for table in held):
                print("ready_unread", flush=True)
            print("gap_over", flush=True)

    Recovery.on_recovery_completed = overtaken
    StateTable.on_rebalance = rebalanced  # type: ignore[method-assign]


def hold() -> None:
    take, is_held = _Reading._take, Path(os.environ["HOLD"]).exists

    async def held(self: Any, tp: Any, found: Any) -> None:
        while self._progress.done and is_held():  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.1)
        await take(self, tp, found)

    changelog_reader.FETCH_RECORDS = 10
    _Reading._take = held  # type: ignore[method-assign]


if __name__ == "__main__":
    {"slow": slow_down, "overtaken": overtake, "held": hold}[os.environ["HINDER"]]()
    main()
