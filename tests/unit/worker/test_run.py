"""What a worker does about a broker that goes away while it prepares."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from structlog.testing import capture_logs

from stream_app.domain.errors import KafkaUnreachableError, TopicMismatchError
from stream_app.kafka.configuration.reader import ConfigurationReader
from stream_app.settings import Settings
from stream_app.worker import run
from stream_app.worker.run import PreparedWork, Worker


class Preparing(Worker):
    """A worker whose broker answers, and whose preparation ends with given outcomes."""

    def __init__(self, *ends: Exception | None) -> None:
        super().__init__("detector", Settings())
        self.ends = list(ends)
        self.readers: list[ConfigurationReader] = []

    async def _wait_for_broker(self) -> str:
        return "broker:9092"

    async def _create_app(self, _bootstrap: str, reader: ConfigurationReader) -> PreparedWork:
        self.readers.append(reader)
        end = self.ends.pop(0)
        if end is not None:
            raise end
        made: Any = "the app", "the watch of its topics"
        return PreparedWork(made[0], reader, made[1])


async def test_preparing_starts_over_when_the_broker_goes_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "BROKER_RETRY_SECONDS", 0.0)
    worker = Preparing(KafkaUnreachableError("gone"), KafkaUnreachableError("gone"), None)
    with capture_logs() as logs:
        prepared = await worker._prepare()
    found: Any = prepared.app
    assert found == "the app"
    assert prepared.reader is worker.readers[2]
    assert len({id(one) for one in worker.readers}) == 3, "none is started twice"
    assert [line["event"] for line in logs] == ["broker_unreachable"] * 2


async def test_another_error_ends_the_preparation() -> None:
    with pytest.raises(TopicMismatchError):
        await Preparing(TopicMismatchError("missing"))._prepare()


async def test_a_stop_ends_the_preparation() -> None:
    worker = Preparing(*[KafkaUnreachableError("gone")] * 9)
    asyncio.get_running_loop().call_later(0.05, worker._stop.set)
    async with asyncio.timeout(60):
        assert await worker._prepare_unless_stopped() is None


@pytest.mark.parametrize("end", [OSError("no space"), asyncio.CancelledError(), None])
async def test_a_stop_that_fails_does_not_leave_the_process_to_a_thread(
    monkeypatch: pytest.MonkeyPatch, end: BaseException | None
) -> None:
    """Threads that were not stopped would keep the process alive for as long as they run."""

    class App:
        async def stop(self) -> None:
            if end is not None:
                raise end

    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    app: Any = App()
    starting = asyncio.create_task(asyncio.sleep(0))
    with capture_logs() as logs:
        await Preparing()._end(app, starting, TopicMismatchError("missing"))
    forced = [line for line in logs if line["event"] == "worker_stop_forced"]
    assert codes == ([] if end is None else [TopicMismatchError.exit_code])
    assert [line["error"] for line in forced] == ["missing"] * len(codes)
