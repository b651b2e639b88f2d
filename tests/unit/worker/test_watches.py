"""What is watched while an app runs."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from stream_app.metrics import Metrics
from stream_app.settings import Settings
from stream_app.worker import watches
from stream_app.worker.watches import Watches


class Bench:
    """An app whose consumer answers nothing, with its watches."""

    def __init__(self) -> None:
        self.given_up: list[BaseException] = []
        app: Any = SimpleNamespace(
            role="detector",
            settings=Settings(),
            clock=SimpleNamespace(ahead_seconds=None),
            started=True,
            rebalancing=False,
            consumer=None,
            flush_loops=[],
            state_tables=[],
            tables=SimpleNamespace(recovery=SimpleNamespace(progress=None)),
            ownership=SimpleNamespace(give_up=self.given_up.append),
            fail=self.given_up.append,
        )
        topics: Any = SimpleNamespace(run=self.run_topics, ends={})
        reader: Any = SimpleNamespace(is_ready=True, last_error=None)
        self.watches = Watches(app, reader, topics, Metrics("detector"))

    async def run_topics(self) -> None:
        raise RuntimeError("a fault of the watch")


async def test_a_watch_that_fails_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "LOOK_SECONDS", 60)
    bench = Bench()
    watching = bench.watches.start()
    await asyncio.sleep(0.01)
    assert [str(error) for error in bench.given_up] == ["a fault of the watch"]
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    assert len(bench.given_up) == 1, "one that is cancelled has not failed"
