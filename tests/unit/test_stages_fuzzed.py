"""Whatever bytes come: each record is counted, delivered or a dead letter; the sums are right."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from stream_app.domain.counting.partial_counts import decode_partial_counts
from stream_app.domain.delivery.partition_deliveries import DeliveryRules, PartitionDeliveries
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.notices.incoming import notice_decoder
from stream_app.kafka.state.send import Send
from tests.unit import valid_records as valid
from tests.unit.detector import test_evaluate, test_match
from tests.unit.mutations import mutated
from tests.unit.notifier import test_deliver, test_route
from tests.unit.stages import take

#: Why an alert is a dead letter for some of its integrations.
UNKNOWN = b"unknown_integration"


def batches(records: list[bytes]) -> st.SearchStrategy[list[bytes | None]]:
    """Return values of some records, spoiled ones beside valid ones and empty ones."""
    one = mutated(records) | st.sampled_from(records) | st.sampled_from([None, b""])
    return st.lists(one, min_size=1, max_size=12)


def of(sends: list[Send], topic: str) -> list[Send]:
    return [send for send in sends if send.topic == topic]


def parsed(value: bytes) -> Any:
    """Return the fields of a record; bytes in fields that nobody reads may be no text."""
    return json.loads(value.decode(errors="replace"))


def assert_written(sends: list[Send]) -> None:
    """Every record fits its topic, and every dead letter says why it is one."""
    for send in sends:
        assert send.key is not None or send.value is not None
        if send.topic.endswith(".dlq"):
            assert dict(send.headers)["x-error-reason"]


@given(batches(valid.NOTICE_RECORDS))
def test_each_notice_is_matched_skipped_or_a_dead_letter(values: list[bytes | None]) -> None:
    bench = test_match.Bench()
    with capture_logs():
        bench.add(*values)
        sends, (progress,) = asyncio.run(bench.flush())
    matched, unsubscribed, unknown, rejected = bench.results()
    parts = sum(len(list(notice_decoder.parts(value))) for value in values)
    assert matched + unsubscribed + unknown + rejected == parts
    assert len(of(sends, "p.alerts")) == matched
    assert len(of(sends, "p.events.account.dlq")) == rejected
    assert len(sends) == matched + rejected
    assert progress.value == f"[{len(values) - 1}]".encode()
    assert_written(sends)


@given(batches(valid.ALERTS))
def test_each_alert_is_delivered_counted_or_a_dead_letter(values: list[bytes | None]) -> None:
    known = [test_route.integration(521), test_route.integration(522, active=False)]
    bench = test_route.Bench(*known)
    with capture_logs():
        bench.add(*values)
        sends, (progress,) = asyncio.run(bench.flush())
    letters, deliveries = of(sends, "p.alerts.dlq"), of(sends, "p.deliveries")
    # One for unknown integrations is not for the others of its alert.
    dead = [send for send in letters if dict(send.headers)["x-error-reason"] != UNKNOWN]
    left = Counter(value or b"" for value in values) - Counter(send.value or b"" for send in dead)
    alerts = [parsed(value) for value in left.elements()]
    named = [set(alert["integration_ids"]) for alert in alerts]
    own = [alert["client_id"] == known[0].client_id for alert in alerts]
    assert left.total() + len(dead) == len(values)
    routed = bench.routed()
    assert sum(routed.values()) == sum(map(len, named))
    expected = sum(is_own and 521 in ids for is_own, ids in zip(own, named, strict=True))
    assert routed.get("sent", 0) == expected == len(deliveries)
    assert progress.value == f"[{len(values)}]".encode()
    assert_written(sends)


@given(batches(valid.DELIVERIES), batches(valid.RESULTS))
def test_each_delivery_is_pending_known_or_a_dead_letter_whatever_the_results_say(
    values: list[bytes | None], results: list[bytes | None]
) -> None:
    bench = test_deliver.Bench()
    deliveries, of_results = test_deliver.TOPICS
    with capture_logs():
        for value in values:
            bench.add(deliveries, value)
        (sends, *_) = bench.flush()
        dead = of(sends, "p.deliveries.dlq")
        left = Counter(v or b"" for v in values) - Counter(send.value or b"" for send in dead)
        assert left.total() + len(dead) == len(values)
        state = bench.state(2)
        assert {parsed(value)["id"] for value in left} == state.states.keys()
        for value in results:
            bench.add(of_results, value)
        steps = bench.flush()
    assert state.progress_of(deliveries) == len(values)
    assert state.progress_of(of_results) == len(results)
    for step in steps:
        assert_written(step)
    # What was given up or cancelled is a dead letter.
    ended = {name for name, one in state.states.items() if one.is_finished and one.reason}
    letters = [send for step in steps for send in of(step, "p.deliveries.dlq")]
    assert ended <= {parsed(send.value or b"")["id"] for send in letters}
    assert_restorable(state)


def assert_restorable(state: PartitionDeliveries) -> None:
    """All that is kept can be written, and read again as it was."""
    state.rewrite()
    again = PartitionDeliveries(test_deliver.TOPICS, DeliveryRules())
    for key, value in state.records(state.cut()):
        again.restore(key, value)
    assert again.states == state.states
    assert again.pauses.until_ms == state.pauses.until_ms


def counts_nothing(value: bytes | None) -> bool:
    """Tell whether it is a record of counts that has none."""
    try:
        return not decode_partial_counts(value).triggers
    except (*DECODE_ERRORS, TypeError):
        return False


@given(batches(valid.PARTIALS))
def test_each_partial_count_is_summed_or_logged_as_unreadable(values: list[bytes | None]) -> None:
    partition = test_evaluate.Partition(test_evaluate.trigger())
    with capture_logs() as logs:
        for offset, value in enumerate(values):
            record = SimpleNamespace(offset=offset, timestamp=1, value=value, headers=())
            take(partition.stage, "counts", 0, [record])
        flush = partition.stage.cut()
        steps = [list(step) for step in flush.steps()]
        flush.confirm()
    unreadable = sum(line["event"] == "partial_count_unreadable" for line in logs)
    windows = partition.state.windows
    empty = sum(map(counts_nothing, values))
    assert bool(windows) == (unreadable + empty < len(values))
    assert len(windows) <= len(values) - unreadable
    assert len(steps[1]) == 1, "one record for all of them"
    assert partition.state.progress_offset == len(values) - 1
    for step in steps:
        assert_written(step)
