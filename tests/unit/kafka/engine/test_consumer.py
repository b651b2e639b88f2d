"""How far a worker's partitions are fetched, by aiokafka's own states of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import GroupAuthorizationFailedError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_app.kafka.engine.consumer import HOLD_SECONDS, BatchingConsumer
from stream_app.kafka.engine.consumer_thread import BatchingThread, Fetch
from stream_app.kafka.engine.record_batches import WaitingBatches
from stream_app.kafka.records.fetch_states import Fetched, WatchedPartitionState
from stream_app.kafka.records.fetched_records import FetchedRecords
from stream_app.kafka.records.partition_records import LeanPartitionRecords

HITS, COUNTS = TP("events.hits", 0), TP("counts", 3)


class Consumer:
    """A batching consumer as far as it is needed here; its partitions are aiokafka's own."""

    fetched = BatchingConsumer.fetched
    is_behind = BatchingConsumer.is_behind
    done_to = BatchingConsumer.done_to
    topic_partitions = BatchingConsumer.topic_partitions
    group_generation = BatchingConsumer.group_generation
    note_lost = BatchingConsumer.note_lost
    _partition_states = BatchingConsumer._partition_states
    _started_client = BatchingConsumer._started_client

    def __init__(self) -> None:
        self._acked: dict[TP, list[int]] = defaultdict(list)
        self._committed_offset: dict[TP, int | None] = defaultdict(lambda: None)
        self.start_positions: dict[TP, int] = {}
        self.subscriptions = SubscriptionState()
        self._thread: Any = driver.AIOKafkaConsumerThread.__new__(driver.AIOKafkaConsumerThread)
        coordinator = SimpleNamespace(generation=7, _metadata_snapshot={HITS.topic: 4})
        self._thread._consumer = SimpleNamespace(
            _subscription=self.subscriptions, _coordinator=coordinator
        )

    def assign(self) -> Any:
        self.subscriptions.assign_from_user({HITS, COUNTS})
        return self.subscriptions.subscription.assignment


@pytest.mark.parametrize("is_made", [False, True])
async def test_while_faust_starts_the_consumer_nothing_is_known(*, is_made: bool) -> None:
    consumer: Any = Consumer()
    assert (consumer.topic_partitions(HITS.topic), consumer.group_generation) == (4, 7)
    if is_made:
        consumer._thread._consumer._coordinator = None
    else:
        consumer._thread._consumer = None
    assert (consumer.topic_partitions(HITS.topic), consumer.group_generation) == (None, -1)
    assert consumer.fetched() is None
    assert not consumer.is_behind([HITS.topic])
    consumer.note_lost()


async def test_before_there_is_an_assignment_nothing_is_fetched_and_nothing_is_behind() -> None:
    consumer: Any = Consumer()
    assert consumer.fetched() is None
    assert not consumer.is_behind(["events.hits"])
    consumer.assign()
    assert consumer.fetched() == {HITS: Fetched(None, None), COUNTS: Fetched(None, None)}
    assert not consumer.is_behind(["events.hits"])


@pytest.mark.parametrize(
    ("position", "end", "is_behind"),
    [(0, None, False), (0, 0, False), (7, 8, True), (8, 8, False)],
)
async def test_a_topic_is_behind_where_its_last_fetch_ended_before_its_end(
    position: int, end: int | None, *, is_behind: bool
) -> None:
    consumer: Any = Consumer()
    state = consumer.assign().state_value(HITS)
    state.seek(position)
    # What is in an open transaction is not there yet.
    state.lso, state.highwater = end, 100
    assert consumer.fetched()[HITS] == Fetched(position, end, 100)
    assert consumer.is_behind(["events.attacks", "events.hits"]) is is_behind
    assert not consumer.is_behind(["counts"])


async def test_what_aiokafka_passes_over_in_silence_is_noticed() -> None:
    state = WatchedPartitionState(None)
    # The first place, a seek, and a topic that was made anew: nothing is passed over.
    state.await_reset(-2)
    state.reset_to(7)
    state.seek(100)
    state.await_reset(-2)
    state.reset_to(0)
    assert (state.lost, state.jump) == ([], None)
    state.seek(100)
    state.await_reset(-2)
    state.reset_to(200)
    # The log has gone on before the next fetch.
    state.await_reset(-2)
    state.reset_to(250)
    assert (state.lost, state.jump) == ([(100, 200), (200, 250)], (100, 250))
    state.seek(250)
    assert state.jump is None, "what is read from there has no part of before"
    assert len(state.lost) == 2


@pytest.mark.parametrize(
    ("start", "committed", "acked", "skipped", "done"),
    [
        (0, None, [], None, 0),
        (7, None, [], None, 7),
        (7, 12, [], None, 12),
        (7, 12, [14, 19], None, 20),
        # Only the end of a transaction is left, which nobody acknowledges.
        (7, 12, [14, 19], (20, 21), 21),
        (7, 12, [], (12, 15), 15),
        (0, None, [], (0, 6), 6),
        # There is a record before it that is not done.
        (7, 12, [14], (20, 21), 15),
        # It is of before the positions were set, and long done.
        (7, 30, [], (20, 21), 30),
    ],
)
async def test_what_is_no_record_is_done_when_everything_before_it_is(
    monkeypatch: pytest.MonkeyPatch,
    start: int,
    committed: int | None,
    acked: list[int],
    skipped: tuple[int, int] | None,
    done: int,
) -> None:
    consumer: Any = Consumer()
    monkeypatch.setattr(LeanPartitionRecords, "skipped", {HITS: skipped} if skipped else {})
    consumer.start_positions[HITS] = start
    consumer._committed_offset[HITS] = committed
    consumer._acked[HITS] = acked
    assert consumer.done_to(HITS) == done


class Fetching(BatchingConsumer):
    """A consumer whose next fetch is given by the test."""

    batched = frozenset({HITS.topic})
    should_stop = False

    def __init__(self, fetch: Fetch) -> None:
        self.app: Any = SimpleNamespace(rebalancing=False, buffer_bytes=1000)
        self.waiting = WaitingBatches()
        self._buffered_partitions: set[TP] = set()
        self._space = asyncio.Event()
        self._thread: Any = SimpleNamespace(seeks=0)
        self.epoch = 0
        self.flow_active = True
        self.fetch = fetch

    def _get_active_partitions(self) -> set[TP]:
        return {HITS}

    def set_positions(self) -> None:
        self._thread.seeks += 1
        self._begin_epoch()


@pytest.fixture
def fetching(monkeypatch: pytest.MonkeyPatch) -> Fetching:
    """Return a consumer with one record that was read from the newest positions, the first."""
    found = FetchedRecords([SimpleNamespace(value=b"{}", timestamp=0, timestamp_type=0)])
    found.start, found.end = 7, 8
    fetch = Fetch({HITS: found})
    fetch.seeks = 1

    async def next_records(self: Fetching, _timeout: float) -> tuple[Any, Any]:
        return self.fetch, {HITS}

    monkeypatch.setattr(driver.Consumer, "_wait_next_records", next_records)
    return Fetching(fetch)


async def taken(consumer: Fetching) -> asyncio.Task[Any]:
    task = asyncio.create_task(consumer._wait_next_records(1.0))
    await asyncio.sleep(3 * HOLD_SECONDS)
    return task


@pytest.mark.parametrize("moving", ["flow", "rebalancing", "not told yet"])
async def test_what_is_fetched_from_new_positions_is_held_until_all_know_of_them(
    fetching: Fetching, moving: str
) -> None:
    fetching.flow_active = moving != "flow"
    fetching.app.rebalancing = moving == "rebalancing"
    if moving != "not told yet":
        fetching.set_positions()
    task = await taken(fetching)
    assert not task.done()
    if moving == "not told yet":
        fetching.set_positions()
    fetching.flow_active, fetching.app.rebalancing = True, False
    records, active = await task
    value = records[HITS][0].value
    assert (value.start, value.end, value.epoch, active) == (7, 8, 1, {HITS})
    assert fetching.waiting.oldest([HITS.topic]) == (HITS, value)
    value.release()
    assert fetching.waiting.oldest([HITS.topic]) is None
    assert fetching.waiting.bytes[HITS.topic] == fetching.waiting.number[HITS.topic] == 0


async def test_what_was_fetched_before_the_positions_were_set_is_dropped_and_takes_no_room(
    fetching: Fetching,
) -> None:
    fetching.set_positions()
    fetching.set_positions()
    assert await fetching._wait_next_records(1.0) == ({}, {HITS})
    assert not +fetching.waiting.bytes


async def test_what_a_second_rebalance_meets_is_dropped(fetching: Fetching) -> None:
    fetching.set_positions()
    fetching.app.rebalancing = True
    task = await taken(fetching)
    fetching.set_positions()
    fetching.app.rebalancing = False
    assert await task == ({}, {HITS})
    assert fetching.waiting.oldest([HITS.topic]) is None
    assert not +fetching.waiting.bytes


def stopping_consumer(commit: Any) -> BatchingConsumer:
    consumer = BatchingConsumer.__new__(BatchingConsumer)
    fields: Any = consumer
    fields._crashed = asyncio.Event()
    fields.app = SimpleNamespace(conf=SimpleNamespace(stream_wait_empty=False))
    fields.transport = SimpleNamespace(_topic_waiters={})
    fields.commit_and_end_transactions = commit
    return consumer


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), RuntimeError("closed"), GroupAuthorizationFailedError("g")]
)
async def test_a_last_commit_that_fails_does_not_keep_the_thread_from_being_stopped(
    error: BaseException,
) -> None:
    tried = []

    async def commit() -> None:
        tried.append(1)
        raise error

    await stopping_consumer(commit).on_stop()
    assert tried == [1]


async def test_a_crashed_consumer_makes_no_last_commit_because_nobody_would_answer() -> None:
    async def commit() -> None:
        await asyncio.Event().wait()

    consumer = stopping_consumer(commit)
    cast("Any", consumer)._crashed.set()
    async with asyncio.timeout(60):
        await consumer.on_stop()


def test_a_thread_that_has_ended_of_itself_can_still_be_told_to_stop() -> None:
    thread: Any = BatchingThread.__new__(BatchingThread)
    thread.thread_loop, thread._stopped = asyncio.new_event_loop(), asyncio.Event()
    thread.thread_loop.close()
    thread._stopped_set()
    assert thread._stopped.is_set()
