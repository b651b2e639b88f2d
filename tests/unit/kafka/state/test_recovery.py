"""When the states of a worker are read again, and when a reading is given up."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from faust.tables.recovery import RebalanceAgain
from faust.types import TP

from stream_app.domain.errors import TopicGrownError, UnreadableStateError
from stream_app.kafka.state import recovery
from stream_app.kafka.state.changelog_reader import StaleRestoreError
from stream_app.kafka.state.recovery import BulkRecovery
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings

PLACE = TP("changelog", 0)


class Bench:
    """A recovery whose reads end with given outcomes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *outcomes: Exception | None) -> None:
        self.table: Any = SimpleNamespace(epoch=3, stateless=[], note_read=self._note_read)
        self.app: Any = SimpleNamespace(
            consumer_generation_id=7,
            settings=Settings(kafka=KafkaSettings(bootstrap_servers="localhost:9")),
            consumer=None,
            batched_topics=(),
            fail=self._fail,
            state_formats=None,
        )
        self.recovery: Any = SimpleNamespace(
            app=self.app,
            _generation_id=7,
            tp_to_table={PLACE: self.table},
            tables=SimpleNamespace(values=lambda: [_Hashable(self.table)]),
            _noted=set(),
        )
        for name in ("_read", "_note_progress"):
            setattr(self.recovery, name, partial(getattr(BulkRecovery, name), self.recovery))
        self.read: list[tuple[int, int]] = []
        self.failures: list[BaseException] = []
        self._outcomes = list(outcomes)
        monkeypatch.setattr(recovery, "restore", self._restore)
        monkeypatch.setattr(recovery, "RETRY_SECONDS", 0)

    async def run(self) -> None:
        await BulkRecovery._restore(self.recovery, frozenset([PLACE]))

    async def _restore(self, *_: object) -> None:
        outcome = self._outcomes.pop(0)
        if outcome is not None:
            raise outcome

    def _note_read(self, epoch: int, generation: int) -> None:
        self.read.append((epoch, generation))

    def _fail(self, error: BaseException) -> None:
        self.failures.append(error)


class _Hashable:
    """A table, as a key."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


@pytest.mark.parametrize("error", [KafkaConnectionError("away"), OSError("reset"), TimeoutError()])
async def test_a_broker_that_does_not_answer_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    bench = Bench(monkeypatch, error, error, None)
    await bench.run()
    assert (bench.read, bench.failures) == ([(3, 7)], [])


@pytest.mark.parametrize("error", [TopicAuthorizationFailedError("no"), UnreadableStateError("x")])
async def test_a_refusal_and_a_state_that_cannot_be_read_end_the_worker(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    bench = Bench(monkeypatch, error)
    await bench.run()
    assert (bench.read, bench.failures) == ([], [error])


async def test_a_partition_without_its_state_ends_the_worker_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recovery, "STATELESS_SECONDS", 0.01)
    bench = Bench(monkeypatch, None)
    bench.table.stateless, bench.table.changelog_topic_name = [TP("events.hits", 5)], "changelog"
    await bench.run()
    assert bench.read == []
    (error,) = bench.failures
    assert isinstance(error, TopicGrownError)
    assert "events.hits partition 5 is assigned without its state in changelog" in str(error)
    # Perhaps the next assignment is whole.
    monkeypatch.setattr(recovery, "STATELESS_SECONDS", 60)
    bench.app.consumer_generation_id = 8
    with pytest.raises(RebalanceAgain):
        await bench.run()
    assert bench.failures == [error]


async def test_a_reading_overtaken_by_a_rebalance_starts_again_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch, StaleRestoreError())
    with pytest.raises(RebalanceAgain):
        await bench.run()
    bench = Bench(monkeypatch, None)
    bench.app.consumer_generation_id = 8
    with pytest.raises(RebalanceAgain):
        await bench.run()
    assert bench.read == []
