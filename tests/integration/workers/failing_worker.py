"""The worker's command; one flush fails in the middle, and half of it reaches the broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka.errors import KafkaTimeoutError

from stream_app.cli import main
from stream_app.kafka.engine import flush_loop
from stream_app.kafka.state.send import Send

FAILING_SEND = 12
#: Used when events only trickle, as on a slow machine, so that no step has two records to split.
FAILING_SEND_OF_ONE = 60


def fail_one_flush() -> None:
    send, calls = flush_loop.FlushLoop._send_step, 0

    async def failing(self: Any, step: Sequence[Send], written: Any) -> None:
        nonlocal calls
        calls += 1
        if calls >= (FAILING_SEND if len(step) > 1 else FAILING_SEND_OF_ONE):
            await send(self, step[: len(step) // 2], written)
            raise KafkaTimeoutError
        await send(self, step, written)

    flush_loop.FlushLoop._send_step = failing  # type: ignore[method-assign]


if __name__ == "__main__":
    fail_one_flush()
    main()
