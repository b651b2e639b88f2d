"""Which windows of a partition the `evaluate` stage fires."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from stream_app.detector.evaluate import MAX_LOGGED, STEP_ALERTS, EvaluateStage
from stream_app.domain.alerts.alert import Alert, decode_alert, encode_alert, fired_alert
from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID, PULSE_TRIGGERS
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.counting.partition_windows import ChangedWindows, PartitionWindows
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.engine.flush import Flush
from stream_app.kafka.state.send import Send
from stream_app.kafka.state.state_table import PartitionShare
from stream_app.metrics import Metrics
from tests.unit.domain.objects import parse_client, parse_trigger
from tests.unit.stages import take

START = 1_767_225_600
HOUR_MS = 3_600_000
CLIENT = parse_client({"client_id": 1, "name": "Acme", "cloud": "EU", "applications": {}})


def trigger(count: int = 2, **changes: Any) -> Trigger:
    obj = {
        "id": 61,
        "client_id": 1,
        "name": "counts",
        "enabled": True,
        "template_id": "hits_exceeded",
        "filters": [],
        "threshold": {"count": count, "period": 1},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [5]}}],
    }
    return parse_trigger(obj | changes, allowed_periods=(1,))


def flush_steps(shares: Sequence[PartitionShare]) -> Iterator[list[Send]]:
    yield [
        Send("changelog", b"%d" % share.cut.offset, rows, share.partition)
        for share in shares
        for rows in share.state.rows(share.cut)
    ]


class Partition:
    """One partition of `counts` and the stage that reads it, with what a broker would keep."""

    def __init__(self, found: Trigger) -> None:
        self.trigger = found
        self.state, self.metrics, self.is_known = PartitionWindows(), Metrics(), True
        table: Any = SimpleNamespace(
            state=lambda _: self.state,
            states={0: self.state},
            known_states=lambda: [self.state] if self.is_known else None,
            flush_steps=flush_steps,
        )
        configuration = SimpleNamespace(clients={1: CLIENT}, triggers={found.id: found})
        reader: Any = SimpleNamespace(configuration=configuration)
        self.stage = EvaluateStage(table, reader, TopicNames(), self.metrics)
        #: When the newest event of each source partition was appended.
        self.appended_ms: dict[int, int] = {}
        self._offset = 0

    def send(
        self, count: int, partition: int = 0, second: int = 0, at_ms: int = 0, **changes: Any
    ) -> None:
        part = {
            "client_id": 1,
            "trigger_id": self.trigger.id,
            "revision": self.trigger.revision,
            "period": 1,
            "windows": [[START + second, partition, count]],
        }
        value = {
            "triggers": [part | changes],
            "config_position": 0,
            "appended_ms": self.appended_ms,
        }
        record = SimpleNamespace(
            offset=self._offset,
            timestamp=START * 1000 + at_ms,
            value=json.dumps(value).encode(),
            headers=(),
        )
        self._offset += 1
        take(self.stage, "counts", 0, [record])

    def flush(self) -> list[int]:
        """Flush and confirm; return the seconds whose windows fire."""
        return self.confirmed(self.stage.cut())

    def confirmed(self, flush: Flush[ChangedWindows]) -> list[int]:
        *alerts, _ = flush.steps()
        flush.confirm()
        fired = [decode_alert(send.value or b"") for step in alerts for send in step]
        assert all(isinstance(alert, Alert) for alert in fired)
        return [alert.window_start - START for alert in fired if isinstance(alert, Alert)]


@pytest.fixture
def windows() -> Partition:
    return Partition(trigger(count=2))


def test_a_window_fires_when_its_sum_first_exceeds_the_threshold_and_never_again(
    windows: Partition,
) -> None:
    fired = []
    for count, partition in ((1, 0), (1, 1), (2, 1), (2, 0), (2, 0), (9, 1)):
        windows.send(count, partition)
        fired.append(windows.flush())
    assert fired == [[], [], [0], [], [], []]


@pytest.mark.parametrize("revision", ["a:b", "a|b"])
def test_a_record_that_is_no_partial_count_is_skipped(windows: Partition, revision: str) -> None:
    windows.send(9, revision=revision)
    windows.send(9, partition="0")  # type: ignore[arg-type]
    assert windows.flush() == []
    windows.send(9)
    assert windows.flush() == [0]


def test_count_zero_fires_on_the_first_event() -> None:
    windows = Partition(trigger(count=0))
    windows.send(1)
    assert windows.flush() == [0]


def test_the_alert_is_a_function_of_the_trigger_and_the_window_alone() -> None:
    found = []
    for counts in (((3, 0),), ((1, 4), (1, 2), (7, 2))):
        windows = Partition(trigger())
        for number, (count, partition) in enumerate(counts):
            windows.send(count, partition, at_ms=number * 1000)
        alerts, *_ = windows.stage.cut().steps()
        found += [send.value for send in alerts]
    assert found == [encode_alert(fired_alert(CLIENT, trigger(), START))] * 2


def test_a_window_fires_though_one_flush_spans_more_than_its_retention(windows: Partition) -> None:
    # The first batch after an outage: what exceeded at night must not be lost in the morning.
    windows.send(3, second=0, at_ms=0)
    windows.send(1, second=9000, at_ms=3 * HOUR_MS)
    assert windows.flush() == [0]
    windows.send(3, second=9000, at_ms=3 * HOUR_MS)
    assert windows.flush() == [9000]
    assert [key[1] - START for key in windows.state.windows] == [9000]


def test_a_flush_that_was_not_acknowledged_fires_again_with_the_same_bytes(
    windows: Partition,
) -> None:
    windows.send(3)
    first, *_ = windows.stage.cut().steps()
    windows.state.roll_back()
    windows.stage.reset()
    windows.send(3)
    flush = windows.stage.cut()
    second, _ = flush.steps()
    flush.confirm()
    assert [send.value for send in second] == [send.value for send in first]
    assert len(second) == 1
    windows.send(4)
    assert windows.flush() == []


def test_a_fired_window_is_written_as_fired_together_with_the_progress(windows: Partition) -> None:
    windows.send(3, partition=2)
    alerts, (written,) = windows.stage.cut().steps()
    assert len(alerts) == 1
    again = PartitionWindows()
    again.apply(int(written.key or b""), written.value or b"")
    again.restored()
    (window,) = again.windows.values()
    assert (window.counts, window.fired, window.seen_ms) == ({2: 3}, True, START * 1000)
    assert again.progress_offset == 0


@pytest.mark.parametrize("change", ["revision", "disabled", "deleted", "client"])
def test_counts_of_a_deleted_trigger_fire_nothing(windows: Partition, change: str) -> None:
    configuration = windows.stage._configuration
    if change == "revision":
        configuration.triggers[61] = trigger(count=1)
    elif change == "disabled":
        configuration.triggers[61] = trigger(enabled=False)
    elif change == "deleted":
        configuration.triggers.clear()
    else:
        configuration.clients.clear()
    windows.send(9)
    assert windows.flush() == []


def test_the_time_to_an_alert_starts_with_the_newest_record_of_the_count_that_fires(
    windows: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 100.0)
    for count, appended_ms in ((1, 90_000), (2, 95_000), (3, 98_500), (9, 99_999)):
        windows.appended_ms = {0: appended_ms}
        windows.send(count)
        windows.flush()
    sample = windows.metrics.registry.get_sample_value
    name = "stream_app_event_to_alert_seconds"
    assert sample(f"{name}_count", {"kind": "hits"}) == 1
    assert sample(f"{name}_sum", {"kind": "hits"}) == 1.5
    for partition, appended_ms in ((0, 99_000), (1, 40_000)):
        windows.appended_ms = {partition: appended_ms}
        windows.send(2, partition, second=2)
    assert windows.flush() == [2]
    assert sample(f"{name}_sum", {"kind": "hits"}) == 2.5, "the newest, not the last that is read"
    windows.appended_ms = {}
    windows.send(3, second=1)
    assert windows.flush() == [1], "a count without that time fires, too"
    assert sample(f"{name}_count", {"kind": "hits"}) == 2
    assert sample(f"{name}_sum", {"kind": "hits"}) == 2.5


def test_only_counts_that_may_fire_are_flushed_at_once(windows: Partition) -> None:
    assert windows.stage.hold_seconds > 0
    windows.send(2)
    assert windows.stage.hold_seconds > 0
    windows.send(1, partition=1)
    assert windows.stage.hold_seconds == 0
    assert windows.flush() == [0]
    windows.send(9, partition=1)
    assert windows.stage.hold_seconds > 0, "it has fired"
    windows.send(1, second=1, trigger_id=77)
    assert windows.stage.hold_seconds == 0, "this worker may have to read the configuration"


def test_the_log_lines_of_a_flush_that_fires_thousands_are_bounded(windows: Partition) -> None:
    more = 3
    for second in range(MAX_LOGGED + more):
        windows.send(9, second=second)
    with capture_logs() as lines:
        fired = windows.flush()
    assert len(fired) == MAX_LOGGED + more
    events = Counter(line["event"] for line in lines)
    assert events == {"alert_fired": MAX_LOGGED, "alerts_not_logged": 1}
    assert lines[-1]["number"] == more


def test_many_alerts_are_made_and_sent_in_parts(windows: Partition) -> None:
    for second in range(2 * STEP_ALERTS + 1):
        windows.send(3, second=second)
    *parts, changes = windows.stage.cut().steps()
    assert [len(part) for part in parts] == [STEP_ALERTS, STEP_ALERTS, 1]
    assert len(changes) == 1


async def test_a_window_of_the_pulse_fires_and_is_neither_counted_nor_logged() -> None:
    found = Partition(next(iter(PULSE_TRIGGERS.values())))
    found.stage._configuration.trigger_position = 0
    found.send(1, second=-7, client_id=PULSE_CLIENT_ID)
    # It waits for no configuration: a reader of this test has nothing to catch up with.
    await found.stage.prepare()
    with capture_logs() as logs:
        assert found.flush() == [-7]
    assert [row["log_level"] for row in logs] == ["debug"]
    assert found.metrics.alerts.labels("attacks")._value.get() == 0
