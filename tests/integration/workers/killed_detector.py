"""The worker's command, killed as by `kill -9` between an alert and the progress after it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

from stream_app.cli import main
from stream_app.kafka.engine import flush_loop
from stream_app.kafka.state.send import Send


def die_behind_an_alert() -> None:
    send = flush_loop.FlushLoop._send_step

    async def dying(self: Any, step: Sequence[Send], written: Any) -> None:
        await send(self, step, written)
        if any(one.topic.endswith("alerts") for one in step):
            os.kill(os.getpid(), signal.SIGKILL)

    flush_loop.FlushLoop._send_step = dying  # type: ignore[method-assign]


if __name__ == "__main__":
    die_behind_an_alert()
    main()
