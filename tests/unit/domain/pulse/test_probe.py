"""The event of the pulse passes counting as any other, and leaves no trace there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stream_app.domain.alerts.alert import fired_alert
from stream_app.domain.configuration.clients import read_client
from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.reserved import (
    PULSE_CLIENT,
    PULSE_CLIENT_ID,
    PULSE_INTEGRATION_ID,
    PULSE_TRIGGERS,
)
from stream_app.domain.configuration.triggers import read_trigger
from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.counting.tally import Tally
from stream_app.domain.delivery.records import delivery_id
from stream_app.domain.events.model import KIND_OF_CONDITION, TIME_FIELDS, EventKind
from stream_app.domain.pulse.probe import PULSE_HEADER, is_probe, probe

NOW_MS = 1_795_982_526_323


def record(offset: int, value: bytes, **more: Any) -> Any:
    fields = {"timestamp": NOW_MS, "timestamp_type": 1, "headers": (), **more}
    return SimpleNamespace(offset=offset, value=value, key=None, **fields)


def index(kind: EventKind) -> TriggerIndex:
    return TriggerIndex(kind, {1}, PULSE_TRIGGERS.values())


@pytest.mark.parametrize("kind", EventKind)
def test_it_counts_once_and_its_alert_is_that_of_the_delivery_that_is_waited_for(
    kind: EventKind,
) -> None:
    state, found = PartitionCounts(kind), probe(kind, NOW_MS)
    tally = state.count([record(0, found.value)], index(kind), NOW_MS)
    assert (tally.counted, tally.pulses, tally.late, tally.rejected) == (1, 1, 0, [])
    (((name, start), count),) = state.cut().cells
    assert (start, count) == (-NOW_MS, 1)
    (trigger,) = [t for t in PULSE_TRIGGERS.values() if KIND_OF_CONDITION[t.template_id] is kind]
    assert name == f"{PULSE_CLIENT_ID}:{trigger.id}:{trigger.revision}:1"
    alert = fired_alert(PULSE_CLIENT, trigger, start)
    assert delivery_id(alert.id, PULSE_INTEGRATION_ID) == found.delivery_id
    assert alert.integration_ids == (PULSE_INTEGRATION_ID,)


@pytest.mark.parametrize("kind", EventKind)
def test_it_moves_no_watermark_and_is_never_late(kind: EventKind) -> None:
    hours_ago = NOW_MS // 1000 - 7 * 3600
    event = b'{"client_id":1,"%s":%d}' % (TIME_FIELDS[kind].encode(), hours_ago)
    state = PartitionCounts(kind)
    state.count([record(0, event), record(1, probe(kind, NOW_MS).value)], index(kind), NOW_MS)
    assert state.watermark == hours_ago
    state.confirm(state.cut())
    tally = state.count([record(2, probe(kind, NOW_MS + 1).value)], index(kind), NOW_MS)
    cut = state.cut()
    assert (tally.counted, tally.late, state.watermark) == (1, 0, hours_ago)
    # The lag of events is not that of the pulse.
    assert cut.newest == -1
    assert [count for _, count in cut.cells] == [1]


def test_its_cells_are_forgotten_with_the_flush_that_writes_them() -> None:
    state = PartitionCounts(EventKind.HITS)
    for offset in range(5):
        found = probe(EventKind.HITS, NOW_MS + offset)
        state.count([record(offset, found.value)], index(EventKind.HITS), NOW_MS)
        cut = state.cut()
        assert len(cut.cells) == 1
        state.confirm(cut)
    assert state.open_cells == 0


def test_a_lost_flush_of_it_is_counted_again() -> None:
    state, found = PartitionCounts(EventKind.HITS), probe(EventKind.HITS, NOW_MS)
    for _ in range(2):
        state.count([record(0, found.value)], index(EventKind.HITS), NOW_MS)
        assert [count for _, count in state.cut().cells] == [1]
        state.roll_back()
        assert state.open_cells == 0


def test_where_its_triggers_are_not_given_it_is_no_mistake_of_a_producer() -> None:
    without = TriggerIndex(EventKind.HITS, {1}, ())
    state = PartitionCounts(EventKind.HITS)
    tally = state.count([record(0, probe(EventKind.HITS, NOW_MS).value)], without, NOW_MS)
    assert tally == Tally(unmatched=1)


def test_nobody_can_configure_its_objects() -> None:
    for number in (PULSE_CLIENT_ID, *PULSE_TRIGGERS):
        _, problems = read_client({"client_id": number, "name": "x", "cloud": "EU"})
        assert [one.path for one in problems] == ["client_id"]
        obj = {"id": number, "client_id": number}
        for problems in (read_trigger(obj, allowed_periods=())[1], read_integration(obj)[1]):
            assert {"id", "client_id"} <= {one.path for one in problems}


def test_its_record_is_known_by_its_header() -> None:
    assert is_probe(record(0, b"{}", headers=(("a", b""), (PULSE_HEADER, b"1"))))
    assert not is_probe(record(0, b"{}"))
