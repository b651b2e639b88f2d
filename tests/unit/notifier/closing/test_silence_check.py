"""When a close is written: once, after a real silence, and by the owner of the partition alone."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from structlog.testing import capture_logs

from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.repeat_options import EACH_WINDOW
from stream_app.domain.delivery.records import ServiceAction
from stream_app.domain.errors import KafkaRefusedError, KafkaUnreachableError
from stream_app.notifier.closing import silence_check
from tests.unit.notifier.closing.bench import (
    CLOSE_AFTER,
    INTEGRATION,
    PARTITION,
    PERIOD,
    START,
    Bench,
)

#: When the first window's alert is over.
OVER = START + PERIOD + CLOSE_AFTER


async def test_an_alert_is_closed_after_its_silence() -> None:
    bench = Bench()
    bench.window()
    assert await bench.look_at(OVER - 0.001) == []
    (close,) = await bench.look_at(OVER)
    assert (close.action, close.alias, close.integration_id) == (ServiceAction.CLOSE, "alias", 521)
    (send,) = bench.sent
    assert (send.topic, send.partition, send.key) == ("deliveries", PARTITION, b"521")
    assert ("x-format", b"2") in send.headers


async def test_the_silence_counts_from_when_a_window_was_last_told() -> None:
    """After a backlog the windows' own times are long past."""
    bench = Bench()
    bench.window(seen=START + 5000)
    assert await bench.look_at(START + 5000 + CLOSE_AFTER - 0.001) == []
    assert len(await bench.look_at(START + 5000 + CLOSE_AFTER)) == 1


async def test_the_silence_counts_from_the_end_of_a_window_that_fired_before_it() -> None:
    bench = Bench()
    bench.window(seen=START + 1)
    assert await bench.look_at(START + 1 + CLOSE_AFTER) == []
    assert len(await bench.look_at(OVER)) == 1


async def test_nothing_is_asked_while_nothing_is_due() -> None:
    bench = Bench()
    await bench.look_at(START)
    bench.window()
    await bench.look_at(OVER - 1)
    assert (bench.cluster.asked, bench.waiting) == ([], 0)
    await bench.look_at(OVER)
    assert (bench.cluster.asked, bench.waiting) == (["events.hits", "counts"], 1)
    assert bench.cluster.is_connected
    await bench.look_at(OVER + 2)
    assert (len(bench.cluster.asked), bench.waiting) == (2, 0)
    assert not bench.cluster.is_connected


async def test_it_is_written_once_until_it_is_read_and_after_that() -> None:
    bench = Bench()
    bench.window()
    assert len(await bench.look_at(OVER)) == 1
    assert await bench.look_at(OVER + 2) == []
    bench.take_closes()
    assert await bench.look_at(OVER + 4) == []
    assert await bench.look_at(OVER + 10_000) == []


async def test_the_next_owner_writes_the_same_close() -> None:
    """A worker that is killed may have written it: the id tells that it is the same one."""
    ids = []
    for _ in range(2):
        bench = Bench()
        bench.window()
        ids += [close.id for close in await bench.look_at(OVER)]
    assert len(ids) == 2
    assert len(set(ids)) == 1


async def test_a_further_window_puts_the_close_off() -> None:
    bench = Bench()
    bench.window()
    bench.window(START + 200)
    assert await bench.look_at(OVER) == []
    assert len(await bench.look_at(OVER + 200)) == 1


async def test_a_detector_that_is_behind_lets_no_alert_be_closed() -> None:
    bench = Bench()
    bench.window()
    bench.cluster.done = 6
    assert await bench.look_at(OVER) == []
    assert await bench.look_at(OVER + 86_400) == []
    assert bench.waiting == 1
    bench.cluster.done = 7
    assert len(await bench.look_at(OVER + 86_402)) == 1


async def test_a_window_that_comes_while_the_detector_catches_up_puts_the_close_off() -> None:
    bench = Bench()
    bench.window()
    bench.cluster.done = 6
    assert await bench.look_at(OVER) == []
    bench.window(START + 200, seen=OVER + 1)
    bench.cluster.done = 7
    assert await bench.look_at(OVER + 2) == []
    assert await bench.look_at(OVER + CLOSE_AFTER) == []
    assert len(await bench.look_at(OVER + 1 + CLOSE_AFTER)) == 1


async def test_an_alert_that_becomes_due_meanwhile_waits_for_the_next_barrier() -> None:
    """Its silence is longer than what the barrier that has passed tells of."""
    bench = Bench()
    bench.window()
    bench.window(START, alias="other", seen=OVER - CLOSE_AFTER + 1, trigger_id=62)
    bench.cluster.done = 6
    assert await bench.look_at(OVER) == []
    bench.cluster.done = bench.cluster.end = 7
    assert [close.alias for close in await bench.look_at(OVER + 1)] == ["alias"]
    assert [close.alias for close in await bench.look_at(OVER + 3)] == ["other"]


async def test_one_barrier_serves_all_alerts_that_are_due_when_it_is_begun() -> None:
    bench = Bench()
    for number in range(20):
        bench.window(alias=f"alias {number}", trigger_id=number)
    assert len(await bench.look_at(OVER)) == 20
    assert len(bench.cluster.asked) == 2


async def test_many_closes_are_written_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence_check, "MAX_CLOSES", 8)
    bench = Bench()
    for number in range(20):
        bench.window(alias=f"alias {number}", trigger_id=number)
    found = [await bench.look_at(OVER + 2 * n) for n in range(4)]
    assert [len(closes) for closes in found] == [8, 8, 4, 0]
    assert len({close.alias for closes in found for close in closes}) == 20


async def test_an_integration_with_many_pending_deliveries_gets_no_more_of_them() -> None:
    bench = Bench()
    bench.window()
    for number in range(600):
        bench.window(START - 10_000 - number, alias="another", close_after_seconds=0)
    assert await bench.look_at(START + 10_000) == []
    assert bench.waiting == 0


@pytest.mark.parametrize(
    "integrations",
    [
        {},
        {521: msgspec.structs.replace(INTEGRATION, active=False)},
        {521: msgspec.structs.replace(INTEGRATION, repeats=EACH_WINDOW)},
    ],
    ids=["deleted", "off", "closes nothing any more"],
)
async def test_an_integration_that_wants_none_gets_none(
    integrations: dict[int, Integration],
) -> None:
    bench = Bench()
    bench.window()
    bench.configuration.integrations = integrations
    assert await bench.look_at(OVER) == []
    assert (bench.waiting, bench.cluster.asked) == (0, [])
    bench.configuration.integrations = {521: INTEGRATION}
    assert len(await bench.look_at(OVER + 2)) == 1


class TestOwner:
    async def test_a_worker_in_a_rebalance_asks_and_writes_nothing(self) -> None:
        bench = Bench()
        bench.window()
        bench.app.rebalancing = True
        assert await bench.look_at(OVER) == []
        assert (bench.waiting, bench.cluster.asked) == (None, [])

    async def test_a_worker_that_reads_its_states_asks_and_writes_nothing(self) -> None:
        bench = Bench()
        bench.window()
        bench.table.generation = -1
        assert await bench.look_at(OVER) == []
        assert bench.waiting is None

    async def test_a_worker_that_has_lost_its_partitions_writes_nothing(self) -> None:
        bench = Bench()
        bench.window()
        bench.app.consumer.group_generation = 2
        assert await bench.look_at(OVER) == []

    async def test_a_worker_whose_heartbeat_is_old_waits(self) -> None:
        """It may have been suspended: the group may have gone on without it."""
        bench = Bench()
        bench.window()
        bench.app.consumer.age_seconds = 9.0
        looking = asyncio.create_task(bench.look_at(OVER))
        await bench.app.consumer.looked_at()
        assert bench.sent == []
        bench.app.consumer_generation_id = bench.app.consumer.group_generation = 2
        assert await looking == []

    async def test_a_window_that_comes_while_it_waits_for_a_heartbeat_puts_the_close_off(
        self,
    ) -> None:
        bench = Bench()
        bench.window()
        bench.app.consumer.age_seconds = 9.0
        looking = asyncio.create_task(bench.look_at(OVER))
        await bench.app.consumer.looked_at()
        bench.window(START + 200, seen=OVER)
        bench.app.consumer.age_seconds = 0.0
        assert await looking == []


class TestClocks:
    async def test_a_clock_of_this_machine_that_is_ahead_closes_nothing_early(self) -> None:
        bench = Bench()
        bench.window()
        bench.wall_seconds = START + 10_000
        assert await bench.look_at(OVER - 1) == []
        assert len(await bench.look_at(OVER)) == 1

    async def test_nor_does_one_while_the_brokers_time_is_not_known(self) -> None:
        bench = Bench()
        bench.window()
        bench.clock.ahead_seconds = None
        bench.wall_seconds = START + 10_000
        await bench.look_at(START + PERIOD)
        assert await bench.look_at(OVER - 1) == []
        assert len(await bench.look_at(OVER)) == 1

    async def test_a_clock_that_is_behind_keeps_no_alert_open(self) -> None:
        bench = Bench()
        bench.window()
        bench.wall_seconds = 0.001
        await bench.look_at(START + PERIOD)
        assert len(await bench.look_at(OVER)) == 1

    async def test_a_broker_whose_clock_is_ahead_closes_nothing_early(self) -> None:
        """It has stamped a record of another partition, from which the brokers' time is known."""
        bench = Bench()
        bench.window()
        await bench.look_at(START + PERIOD)
        right = bench.clock.now_ms
        bench.clock.now_ms = lambda: right() + 7_200_000  # type: ignore[method-assign]
        assert await bench.look_at(OVER - 1) == []
        assert len(await bench.look_at(OVER)) == 1

    async def test_after_a_start_the_silence_before_it_counts(self) -> None:
        """The brokers' time and this machine's clock agree on it."""
        bench = Bench()
        bench.window()
        assert len(await bench.look_at(OVER + 5)) == 1


class TestFollowed:
    """Alerts that are over by the windows' own times, as in a replay."""

    async def test_an_alert_is_closed_as_soon_as_the_next_episode_has_begun(self) -> None:
        bench = Bench()
        seen = START + 5000
        bench.window(seen=seen)
        bench.window(OVER + 1, alias="next", seen=seen)
        assert [close.alias for close in await bench.look_at(seen + 1)] == ["alias"]

    async def test_the_detector_must_have_done_its_backlog_first(self) -> None:
        """Windows do not fire in order while it has one: more of the episode may come."""
        bench = Bench()
        seen = START + 5000
        bench.window(seen=seen)
        bench.window(OVER + 1, alias="next", seen=seen)
        bench.cluster.done = 6
        assert await bench.look_at(seen + 1) == []
        bench.cluster.done = 7
        assert [close.alias for close in await bench.look_at(seen + 3)] == ["alias"]

    async def test_an_episode_that_begins_meanwhile_is_no_reason_yet(self) -> None:
        bench = Bench()
        seen = START + 5000
        bench.window(seen=seen)
        bench.window(OVER + 1, alias="next", seen=seen)
        bench.cluster.done = 6
        assert await bench.look_at(seen + 1) == []
        bench.window(OVER + 1000, alias="third", seen=seen + 1)
        bench.cluster.done = 7
        assert [close.alias for close in await bench.look_at(seen + 2)] == ["alias"]
        assert [close.alias for close in await bench.look_at(seen + 4)] == ["next"]

    @pytest.mark.parametrize(
        "other", [{"trigger_id": 62}, {"revision": "changed"}], ids=["trigger", "revision"]
    )
    async def test_an_episode_of_another_series_is_no_reason(
        self, other: dict[str, object]
    ) -> None:
        bench = Bench()
        seen = START + 5000
        bench.window(seen=seen)
        bench.window(OVER + 1, alias="next", seen=seen, **other)
        assert await bench.look_at(seen + 1) == []


class TestWait:
    async def test_a_wait_is_told_once_after_a_minute_and_so_is_its_end(self) -> None:
        bench = Bench()
        bench.window()
        bench.cluster.done = 6
        with capture_logs() as logs:
            await bench.look_at(OVER)
            await bench.look_at(OVER + 59)
            assert logs == []
            await bench.look_at(OVER + 60)
            await bench.look_at(OVER + 5000)
            (line,) = logs
            assert line["event"] == "closes_wait"
            why = "group detector is at offset 6 of events.hits partition 0, behind 7"
            assert (line["alerts"], line["seconds"], line["why"]) == (1, 60, why)
            bench.cluster.done = 7
            await bench.look_at(OVER + 5002)
            await bench.look_at(OVER + 5004)
        assert [line["event"] for line in logs] == ["closes_wait", "closes_wait_no_more"]

    async def test_a_wait_that_a_window_ends_is_told_as_over(self) -> None:
        bench = Bench()
        bench.window()
        bench.cluster.done = 6
        with capture_logs() as logs:
            await bench.look_at(OVER)
            await bench.look_at(OVER + 100)
            bench.window(OVER + 100)
            await bench.look_at(OVER + 200)
        assert [line["event"] for line in logs] == ["closes_wait", "closes_wait_no_more"]

    async def test_brokers_that_do_not_answer_are_in_the_way(self) -> None:
        bench = Bench()
        bench.window()
        bench.cluster.error = KafkaUnreachableError("no Kafka answers")
        with capture_logs() as logs:
            assert await bench.look_at(OVER) == []
            assert logs == []
            assert await bench.look_at(OVER + 60) == []
        assert [line["why"] for line in logs] == ["no Kafka answers"]
        bench.cluster.error = None
        assert len(await bench.look_at(OVER + 62)) == 1

    async def test_a_right_that_is_missing_is_told_at_once(self) -> None:
        bench = Bench()
        bench.window()
        bench.cluster.error = KafkaRefusedError("the user lacks Describe on group detector")
        with capture_logs() as logs:
            assert await bench.look_at(OVER) == []
        assert [line["why"] for line in logs] == ["the user lacks Describe on group detector"]

    async def test_a_right_that_is_missing_is_told_at_the_start(self) -> None:
        bench = Bench()
        bench.cluster.error = KafkaRefusedError("the user lacks Describe on group detector")
        with capture_logs() as logs:
            await bench.check.start()
            async with asyncio.timeout(60):
                while not logs:  # noqa: ASYNC110 - of the task
                    await asyncio.sleep(0.001)
            await bench.check.stop()
        assert [line["event"] for line in logs] == ["closes_refused"]
        assert "Describe on group detector" in logs[0]["why"]
        assert not bench.cluster.is_connected


async def test_the_silence_is_shorter_in_tests_of_workers() -> None:
    bench = Bench(scale=0.01)
    bench.window()
    assert await bench.look_at(START + PERIOD + 2.9) == []
    assert len(await bench.look_at(START + PERIOD + 3)) == 1
