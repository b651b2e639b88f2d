"""The worker's command, whose consumer loses the first batch of incidents on its way."""

from __future__ import annotations

from typing import Any

from stream_app.cli import main
from stream_app.kafka.engine.consumer import BatchingConsumer


def lose_one_batch() -> None:
    wait, lost = BatchingConsumer._wait_next_records, 0

    async def losing(self: Any, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109 - Faust's
        nonlocal lost
        records, active = await wait(self, timeout)
        for partition in [tp for tp in records or () if tp.topic.endswith("events.incidents")]:
            if not lost and records[partition]:
                lost = 1
                del records[partition]
        return records, active

    BatchingConsumer._wait_next_records = losing  # type: ignore[method-assign]


if __name__ == "__main__":
    lose_one_batch()
    main()
