"""The worker's command, killed as by `kill -9` at the place that the first argument names."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from stream_app.cli import main
from stream_app.kafka.engine.flush_loop import FlushLoop
from stream_app.kafka.state.send import Send, Written
from stream_app.notifier.deliver import DeliverStage
from stream_app.notifier.route import RouteStage
from stream_app.opsgenie.destination import Destination


def die(*_: object, **__: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def die_before_request() -> None:
    Destination.post = die  # type: ignore[method-assign]


def die_after_request() -> None:
    """Die when the service has answered, and the answer is written nowhere."""
    post = Destination.post

    async def dying(*args: Any) -> Any:
        await post(*args)
        die()

    Destination.post = dying  # type: ignore[assignment, method-assign]


def die_on_result() -> None:
    """Die when the result of the first attempt is on its topic, and not in the state."""
    steps = DeliverStage.steps

    def dying(
        self: DeliverStage, topic: str, partition: int, records: Sequence[Any]
    ) -> Iterator[None]:
        if topic.endswith("delivery-results"):
            die()
        return steps(self, topic, partition, records)

    DeliverStage.steps = dying  # type: ignore[method-assign]


def die_around_messages(*, is_told: bool) -> None:
    """Die when an integration is disabled: before anybody is told of it, or just after."""
    send = FlushLoop._send_step

    async def dying(self: Any, step: Sequence[Send], written: Written) -> None:
        tells = any(one.topic.endswith("events.account") for one in step)
        if tells and not is_told:
            die()
        await send(self, step, written)
        if tells:
            die()

    FlushLoop._send_step = dying  # type: ignore[method-assign]


def die_while_folding(*, is_state_written: bool) -> None:
    """Once SIGUSR1 has come, die in the flush of `route` that folds a window.

    The deliveries and the folded windows are on their topics then, and the progress is not. The
    state of the windows is written, or not.
    """
    send = FlushLoop._send_step
    is_armed = is_folded = False

    def arm(*_: object) -> None:
        nonlocal is_armed
        is_armed = True

    async def dying(self: Any, step: Sequence[Send], written: Written) -> None:
        nonlocal is_folded
        await send(self, step, written)
        if not is_armed or not isinstance(self._stage, RouteStage):
            return
        if is_folded:
            die()
        is_folded = any(one.topic.endswith("delivery-results") for one in step)
        if is_folded and not is_state_written:
            die()

    signal.signal(signal.SIGUSR1, arm)
    FlushLoop._send_step = dying  # type: ignore[method-assign]


PLACES: dict[str, Callable[[], None]] = {
    "request": die_before_request,
    "answer": die_after_request,
    "result": die_on_result,
    "disabled": partial(die_around_messages, is_told=False),
    "told": partial(die_around_messages, is_told=True),
    "folded": partial(die_while_folding, is_state_written=False),
    "series": partial(die_while_folding, is_state_written=True),
}

if __name__ == "__main__":
    PLACES[sys.argv.pop(1)]()
    main()
