"""The order of what `deliver` writes, and what it hands to the sender and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from structlog.testing import capture_logs

from stream_app.domain.deliveries import (
    Delivery,
    DeliveryState,
    Result,
    encode_delivery,
    encode_result,
)
from stream_app.domain.delivery_partition import PartitionDeliveries
from stream_app.kafka.flushing import Send
from stream_app.kafka.state import StateTable
from stream_app.kafka.topics import TopicNames
from stream_app.metrics import Metrics
from stream_app.notifier.deliver import DeliverStage
from stream_app.notifier.gate import ResultsGate
from stream_app.notifier.sender import Sender

NOW_MS = 1_767_225_600_000
TOPICS = ("p.deliveries", "p.delivery-results")
DELIVERY = Delivery("a/521", "a", 1111, 521, "Title", "Text", {})
RECORD = encode_delivery(DELIVERY)


class RecordingSender:
    def __init__(self) -> None:
        self.waiting: dict[str, tuple[int, int]] = {}

    def clear(self) -> None:
        self.waiting.clear()

    def schedule(self, partition: int, state: DeliveryState) -> None:
        self.waiting[state.id] = (partition, state.attempt)

    def forget(self, delivery_id: str) -> None:
        self.waiting.pop(delivery_id, None)


class SwitchGate:
    def __init__(self) -> None:
        self.open = False
        self.closed_for: list[int] = []
        self.look: Callable[[], bool] = lambda: True

    def close(self, partitions: Iterable[int], look: Callable[[], bool]) -> None:
        self.closed_for, self.look = list(partitions), look

    def is_open(self, _partition: int, _progress: int) -> bool:
        return self.open


class Bench:
    def __init__(self) -> None:
        self.states: dict[int, PartitionDeliveries] = {}
        self.sender, self.gate, self.metrics = RecordingSender(), SwitchGate(), Metrics()
        self.offsets = dict.fromkeys(TOPICS, 0)
        table = SimpleNamespace(
            states=self.states,
            state=self.state,
            changelog_topic_name="changelog",
            on_restored=[],
        )
        self.stage = DeliverStage(
            cast("StateTable[PartitionDeliveries]", table),
            cast("Sender", self.sender),
            cast("ResultsGate", self.gate),
            TopicNames("p."),
            self.metrics,
            lambda: NOW_MS + 9000,
        )
        self.restored: Callable[[], None] = table.on_restored[0]

    def state(self, partition: int) -> PartitionDeliveries:
        return self.states.setdefault(partition, PartitionDeliveries(TOPICS, retry_scale=1))

    def add(self, topic: str, value: bytes | None, partition: int = 2) -> None:
        self.offsets[topic] += 1
        record = SimpleNamespace(
            offset=self.offsets[topic], timestamp=NOW_MS, key=b"521", value=value, headers=()
        )
        self.stage.add(topic, partition, [record])

    def result(self, attempt: int, *, accepted: bool = False) -> None:
        reason = "accepted" if accepted else "server_error"
        value = Result(
            "a/521", 1111, 521, "opsgenie", attempt, accepted, reason, "HTTP 500", NOW_MS, 0.1, 500
        )
        self.add(TOPICS[1], encode_result(value))

    def flush(self, *, confirm: bool = True) -> list[list[Send]]:
        flush = self.stage.cut()
        steps = [list(step) for step in flush.steps()]
        if confirm:
            flush.confirm()
        return steps

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"stream_app_{name}", labels)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_delivery_is_handed_over_when_its_state_is_acknowledged_not_before(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    dead_letters, states, progress = bench.flush(confirm=False)
    assert bench.sender.waiting == {}
    assert dead_letters == []
    assert [(send.key, send.partition) for send in states] == [(b"a/521", 2)]
    assert [(send.key, send.value) for send in progress] == [(b"progress", b"[1,-1]")]
    assert {send.topic for send in [*states, *progress]} == {"changelog"}
    bench = Bench()
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    assert bench.sender.waiting == {"a/521": (2, 1)}


def test_the_dead_letter_comes_before_the_state_that_gives_up(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    for attempt in range(1, 7):
        bench.result(attempt)
    with capture_logs() as logs:
        (dead,), (state,), progress = bench.flush()
    assert (dead.topic, dead.key, dead.value) == ("p.deliveries.dlq", b"521", RECORD)
    headers = dict(dead.headers)
    assert headers["x-error-reason"] == b"exhausted"
    assert headers["x-original-offset"] == b"1"
    assert headers["x-error-message"] == b"6 attempts failed, the last one: HTTP 500"
    assert orjson.loads(state.value or b"")["status"] == "given_up"
    assert progress[0].value == b"[1,6]"
    assert bench.sender.waiting == {}
    assert bench.sample(
        "deliveries_total", integration_type="opsgenie", outcome="given_up"
    ) == bench.sample("dead_letters_total", topic="deliveries", reason="exhausted")
    events = [line["event"] for line in logs]
    assert events == ["delivery_retry_scheduled"] * 5 + ["delivery_given_up"]


def test_a_result_hands_the_next_attempt_over_or_ends_the_waiting(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    bench.result(1)
    bench.flush()
    assert bench.sender.waiting == {"a/521": (2, 2)}
    assert bench.sample("pending_deliveries") == 1
    assert bench.sample("delivery_oldest_pending_seconds") == 9
    bench.result(2, accepted=True)
    bench.flush()
    assert bench.sender.waiting == {}
    assert bench.sample("deliveries_total", integration_type="opsgenie", outcome="sent") == 1
    assert bench.sample("pending_deliveries") == 0
    assert bench.sample("delivery_oldest_pending_seconds") == 0


def test_after_a_rebalance_nothing_is_sent_before_earlier_results_are_read(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    bench.restored()
    assert bench.sender.waiting == {}
    assert bench.gate.closed_for == [2]
    assert not bench.gate.look()
    bench.result(1)
    bench.flush()
    assert bench.sender.waiting == {}
    bench.gate.open = True
    assert bench.gate.look()
    assert bench.sender.waiting == {"a/521": (2, 2)}


def test_the_flush_that_reads_the_last_earlier_result_opens_its_partition(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    bench.restored()
    bench.result(1)
    bench.gate.open = True
    bench.flush()
    assert bench.sender.waiting == {"a/521": (2, 2)}


def test_partitions_without_pending_deliveries_are_not_held(bench: Bench) -> None:
    bench.state(2)
    bench.restored()
    assert bench.gate.closed_for == []
    bench.add(TOPICS[0], RECORD)
    bench.flush()
    assert bench.sender.waiting == {"a/521": (2, 1)}


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"{", b"undecodable"), (None, b"undecodable"), (b'{"id":1}', b"wrong_type")],
)
def test_a_bad_delivery_is_a_dead_letter(bench: Bench, value: bytes | None, reason: bytes) -> None:
    bench.add(TOPICS[0], value)
    bench.add(TOPICS[0], RECORD)
    (dead,), states, _ = bench.flush()
    assert (dead.value, dict(dead.headers)["x-error-reason"]) == (value, reason)
    assert len(states) == 1
    assert bench.sample("dead_letters_total", topic="deliveries", reason=reason.decode()) == 1


def test_a_bad_result_is_passed_over(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    for value in (None, b"{", b'{"type":"later"}'):
        bench.add(TOPICS[1], value)
    dead_letters, _, progress = bench.flush()
    assert dead_letters == []
    assert progress[0].value == b"[1,3]"


def test_no_log_line_of_a_delivery_holds_its_text(bench: Bench) -> None:
    bench.add(TOPICS[0], RECORD)
    bench.result(1)
    bench.result(2, accepted=True)
    with capture_logs() as logs:
        bench.flush()
    assert [line["event"] for line in logs] == ["delivery_retry_scheduled", "delivery_sent"]
    assert {line["delivery_id"] for line in logs} == {"a/521"}
    said: Any = repr(logs)
    assert "Title" not in said
    assert "Text" not in said
