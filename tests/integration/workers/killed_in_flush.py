"""The worker's command, killed as by `kill -9` between what a flush causes and the state after it.

The arguments before the command are a topic and a number: it dies when so many flushes have written
to the topic.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from itertools import count
from typing import Any

from stream_app.cli import main
from stream_app.kafka.engine import flush_loop
from stream_app.kafka.state.send import Send


def die_in_flush(topic: str, number: int) -> None:
    send, flushes = flush_loop.FlushLoop._send_step, count(1)

    async def dying(self: Any, step: Sequence[Send], written: Any) -> None:
        await send(self, step, written)
        if any(one.topic.endswith(topic) for one in step) and next(flushes) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    flush_loop.FlushLoop._send_step = dying  # type: ignore[method-assign]


if __name__ == "__main__":
    die_in_flush(sys.argv.pop(1), int(sys.argv.pop(1)))
    main()
