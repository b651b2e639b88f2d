"""Stage 1 against the oracle: any batches, any crashes, any replays give its totals."""

from __future__ import annotations

import json
import tracemalloc
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.domain import counting
from stream_app.domain.counting import PartitionCounts
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.events import EventKind
from stream_app.domain.matching import TriggerIndex
from stream_app.domain.state_keys import PROGRESS_KEY, CellKey, cell_key_bytes
from stream_app.domain.triggers import parse_trigger
from tests import oracle

PERIODS = (1, 60, 3600)
BASE = 1_767_225_600
APPEND_MS = (BASE + 20_000) * 1000


def trigger(trigger_id: int, period: int = 60, **changes: Any) -> dict[str, Any]:
    return {
        "id": trigger_id,
        "client_id": 1,
        "name": f"trigger {trigger_id}",
        "comment": "",
        "enabled": True,
        "template_id": "hits_exceeded",
        "filters": [],
        "threshold": {"count": 1, "period": period, "operator": "gt"},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [5]}}],
    } | changes


TRIGGERS = [
    trigger(1, 1),
    trigger(2, 60, filters=[{"id": "attack_type", "operator": "eq", "values": ["sqli", "xss"]}]),
    trigger(3, 3600, client_id=2),
    trigger(4, 60, client_id=2, filters=[{"id": "pool", "operator": "ne", "values": [7]}]),
]
CLIENTS = {1, 2}


def index(triggers: list[dict[str, Any]] = TRIGGERS) -> TriggerIndex:
    parsed = [parse_trigger(t, allowed_periods=(1, 60, 3600, 86400)) for t in triggers]
    return TriggerIndex(EventKind.HITS, CLIENTS, parsed)


@dataclass
class Record:
    offset: int
    value: bytes | None
    timestamp: int = APPEND_MS


class Log:
    """The changelog and the partial counts as the broker keeps them, and a worker that crashes."""

    def __init__(self) -> None:
        self.changelog: list[tuple[bytes, bytes | None]] = []
        self.largest: dict[CellKey, int] = defaultdict(int)
        self.refused: dict[tuple[int, int | None], DeadLetterReason] = {}

    def recover(self) -> PartitionCounts:
        counts = PartitionCounts(EventKind.HITS)
        for key, value in self.changelog:
            counts.restore(key, value)
        counts.restored()
        return counts

    def flush(self, counts: PartitionCounts, crash_after: int | None) -> bool:
        """Write a flush; crash after so many records. Return whether it is complete."""
        cut = counts.cut()
        writes: list[Callable[[], object]] = []
        for key, count, offset in cut.cells:
            cell = (cell_key_bytes(key), json.dumps([count, offset]).encode())
            writes.append(partial(self.changelog.append, cell))
            writes.append(partial(self.send_partial_count, key, count))
        writes += [
            partial(self.changelog.append, (cell_key_bytes(key), None)) for key in cut.expired
        ]
        for number, write in enumerate(writes):
            if number == crash_after:
                return False
            write()
        if crash_after is not None:
            return False
        progress = json.dumps([cut.offset, cut.watermark]).encode()
        self.changelog.append((PROGRESS_KEY, progress))
        counts.confirm(cut)
        return True

    def send_partial_count(self, key: CellKey, count: int) -> None:
        self.largest[key] = max(self.largest[key], count)

    def totals(self) -> dict[oracle.Window, int]:
        return {(int(name.split(":")[1]), start): n for (name, start), n in self.largest.items()}


hits = st.fixed_dictionaries(
    {"client_id": st.sampled_from([1, 2])},
    optional={
        "request_time": st.integers(BASE, BASE + 20_000),
        "type": st.sampled_from(["sqli", "xss", "rce", "SQLi"]),
        "poolid": st.sampled_from([-1, 7, 8]),
        "experimental": st.booleans(),
        "sampled": st.booleans(),
        "state": st.sampled_from([None, "falsepositive"]),
    },
)
poison = st.sampled_from(
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"client_id":9}',
        b'{"client_id":"1"}',
        b'{"type":"x"}',
    ]
)
values = st.one_of(
    hits.map(lambda hit: json.dumps(hit).encode()),
    st.lists(hits, min_size=1, max_size=3).map(lambda found: json.dumps(found).encode()),
    st.lists(hits, min_size=2, max_size=3).map(
        lambda found: "\n".join(json.dumps(hit) for hit in found).encode()
    ),
    poison,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(values, max_size=60), st.data())
def test_any_batches_crashes_and_replays_give_the_oracles_totals(
    found: list[bytes], data: st.DataObject
) -> None:
    records = [Record(offset, value) for offset, value in enumerate(found)]
    expected = oracle.Totals()
    oracle.count("hits", [(r.value, r.timestamp) for r in records], TRIGGERS, CLIENTS, expected)
    triggers, log = index(), Log()
    counts, position, crashes = log.recover(), 0, 0
    while position < len(records) or counts.offset > counts.progress_offset:
        size = data.draw(st.integers(0, 8))
        batch = records[position : position + size]
        tally = counts.add(batch, triggers)
        for record, part in tally.rejected:
            log.refused[record.offset, part.index] = part.reason
        position += len(batch)
        if data.draw(st.integers(0, 5)) == 0:
            counts.rewrite()
        if not data.draw(st.booleans()):
            continue
        crash = data.draw(st.none() | st.integers(0, 12)) if crashes < 5 else None
        if not log.flush(counts, crash):
            crashes += 1
            if data.draw(st.booleans()):
                counts.roll_back()  # a rebalance: the partition stays, the changelog is read on
                for key, value in log.changelog:
                    counts.restore(key, value)
                counts.restored()
            else:
                counts = log.recover()
            position = data.draw(st.integers(0, counts.progress_offset + 1))
    assert log.totals() == dict(expected.counts)
    assert sum(expected.refused.values()) == len(log.refused)


def hit(seconds: int, **changes: Any) -> bytes:
    return json.dumps({"client_id": 1, "request_time": BASE + seconds} | changes).encode()


def add(counts: PartitionCounts, *found: bytes | None, start: int = 0, **more: Any) -> Any:
    records = [Record(start + number, value, **more) for number, value in enumerate(found)]
    return counts.add(records, index([trigger(1, 1), trigger(2, 60)]))


def test_an_event_counts_in_the_window_of_its_own_second() -> None:
    counts = PartitionCounts(EventKind.HITS)
    add(counts, hit(0), hit(0), hit(1))
    by_start = {
        key[1] - BASE: cell[0] for key, cell in counts.cells.items() if key[0].endswith(":1")
    }
    assert by_start == {0: 2, 1: 1}


@pytest.mark.parametrize(
    ("mark", "field"),
    [
        ({"experimental": True}, "experimental"),
        ({"sampled": False}, "unsampled"),
        ({"state": "falsepositive"}, "false_positive"),
    ],
)
def test_what_must_not_count_moves_time_but_no_count(mark: dict[str, Any], field: str) -> None:
    counts = PartitionCounts(EventKind.HITS)
    tally = add(counts, hit(5, **mark))
    assert (getattr(tally, field), tally.counted, counts.cells) == (1, 0, {})
    assert counts.watermark == BASE + 5


def test_sampling_is_not_looked_at_for_incidents() -> None:
    counts = PartitionCounts(EventKind.INCIDENTS)
    found = trigger(1, 1, template_id="incidents_exceeded")
    parsed = [parse_trigger(found, allowed_periods=(1,))]
    value = json.dumps({"client_id": 1, "first_time": BASE, "sampled": False}).encode()
    tally = counts.add([Record(0, value)], TriggerIndex(EventKind.INCIDENTS, {1}, parsed))
    assert tally.counted == 1


def test_an_event_behind_the_retention_is_late_and_one_before_it_is_not() -> None:
    counts = PartitionCounts(EventKind.HITS)
    only_seconds = index([trigger(1, 1)])
    counts.add([Record(0, hit(3601))], only_seconds)
    # The window of second 0 ends at 1 and is kept for an hour: until the watermark is 3601.
    tally = counts.add([Record(1, hit(0)), Record(2, hit(1))], only_seconds)
    assert (tally.late, tally.counted) == (1, 1)


def test_each_trigger_of_a_client_counts_in_its_own_windows_however_the_times_alternate() -> None:
    counts = PartitionCounts(EventKind.HITS)
    both = index([trigger(1, 1), trigger(2, 60)])
    for offset, second in enumerate([59, 60, 59, 61, 0, 60, 59]):
        counts.add([Record(offset, hit(second))], both)
    found = {(key[0].split(":")[1], key[1]): cell[0] for key, cell in counts.cells.items()}
    assert found == {
        ("1", BASE): 1,
        ("1", BASE + 59): 3,
        ("1", BASE + 60): 2,
        ("1", BASE + 61): 1,
        ("2", BASE): 4,
        ("2", BASE + 60): 3,
    }


def test_an_event_that_is_late_for_one_trigger_still_counts_for_another() -> None:
    counts = PartitionCounts(EventKind.HITS)
    both = index([trigger(1, 1), trigger(2, 3600)])
    counts.add([Record(0, hit(0)), Record(1, hit(3601))], both)
    tally = counts.add([Record(2, hit(0))], both)
    assert (tally.counted, tally.late) == (1, 0)
    assert [key[0].split(":")[1] for key in tally.late_windows] == ["1"]
    found = {(key[0].split(":")[1], key[1]): cell[0] for key, cell in counts.cells.items()}
    assert found[("2", BASE)] == 2
    assert found[("1", BASE)] == 1


def test_five_minutes_ahead_is_accepted_and_a_second_more_is_a_dead_letter() -> None:
    counts = PartitionCounts(EventKind.HITS)
    tally = add(counts, hit(300), hit(301), timestamp=BASE * 1000)
    assert tally.counted == 1
    assert [part.reason for _, part in tally.rejected] == [DeadLetterReason.FUTURE_TIMESTAMP]
    assert counts.watermark == BASE + 300


def test_a_record_without_any_time_is_a_dead_letter() -> None:
    counts = PartitionCounts(EventKind.HITS)
    tally = add(counts, b'{"client_id":1}', timestamp=-1)
    assert [part.reason for _, part in tally.rejected] == [DeadLetterReason.MISSING_TIME]


def test_the_bad_event_of_an_array_is_refused_alone_with_its_own_bytes() -> None:
    counts = PartitionCounts(EventKind.HITS)
    value = b'[{"client_id":1, "request_time":%d}, {"client_id": 77}, {"type":"x"}]' % BASE
    tally = add(counts, value)
    assert tally.counted == 1
    refused = {part.index: (part.reason, part.value) for _, part in tally.rejected}
    assert refused == {
        1: (DeadLetterReason.UNKNOWN_CLIENT, b'{"client_id": 77}'),
        2: (DeadLetterReason.MISSING_CLIENT, b'{"type":"x"}'),
    }


def test_an_older_cell_behind_a_newer_one_loses_and_is_written_again() -> None:
    counts = PartitionCounts(EventKind.HITS)
    key: CellKey = ("1:1:abc:60", BASE)
    counts.restore(cell_key_bytes(key), b"[9, 40]")
    counts.restore(cell_key_bytes(key), b"[3, 12]")  # from a worker that woke up too late
    assert counts.cells[key] == [9, 40]
    assert counts.cut().cells == [(key, 9, 40)]


def test_what_is_counted_stays_counted_when_the_configuration_changes() -> None:
    counts = PartitionCounts(EventKind.HITS)
    counts.add([Record(0, hit(0)), Record(1, hit(0))], index([trigger(1)]))
    counts.add([Record(2, hit(0))], index([trigger(1), trigger(2)]))
    found = {key[0].split(":")[1]: cell[0] for key, cell in counts.cells.items()}
    assert found == {"1": 3, "2": 1}


def test_what_is_rolled_back_is_counted_anew_and_once() -> None:
    counts, triggers = PartitionCounts(EventKind.HITS), index([trigger(1)])
    counts.add([Record(0, hit(0))], triggers)
    counts.confirm(counts.cut())
    counts.add([Record(1, hit(0)), Record(2, hit(0))], triggers)
    counts.roll_back()
    assert [cell[0] for cell in counts.cells.values()] == [1]
    counts.add([Record(1, hit(0)), Record(2, hit(0))], triggers)
    assert [count for _, count, _ in counts.cut().cells] == [3]


def test_all_cells_are_written_once_more_when_somebody_may_have_spoiled_one() -> None:
    counts = PartitionCounts(EventKind.HITS)
    counts.add([Record(0, hit(0)), Record(1, hit(120))], index([trigger(1)]))
    first = counts.cut()
    counts.confirm(first)
    assert counts.cut().cells == []
    counts.rewrite()
    again = counts.cut()
    assert sorted(again.cells) == sorted(first.cells)
    counts.confirm(again)
    assert counts.cut().cells == []


def test_a_cell_that_expires_is_not_written_once_more() -> None:
    counts = PartitionCounts(EventKind.HITS)
    counts.add([Record(0, hit(0)), Record(1, hit(9000))], index([trigger(1, 1)]))
    counts.confirm(counts.cut())
    counts.rewrite()
    cut = counts.cut()
    assert [key[1] - BASE for key in cut.expired] == [0]
    assert [key[1] - BASE for key, _, _ in cut.cells] == [9000]


def test_a_cell_expires_only_behind_the_acknowledged_watermark() -> None:
    counts = PartitionCounts(EventKind.HITS)
    only_seconds = index([trigger(1, 1)])
    counts.add([Record(0, hit(0)), Record(1, hit(9000))], only_seconds)
    first = counts.cut()
    assert first.expired == []
    counts.confirm(first)
    second = counts.cut()
    assert [key[1] - BASE for key in second.expired] == [0]
    assert [key[1] - BASE for key in counts.cells] == [9000]


def test_an_open_cell_costs_less_than_500_bytes() -> None:
    triggers = [trigger(n, 1) for n in range(1, 21)]
    found = index(triggers)
    counts = PartitionCounts(EventKind.HITS)
    records = [Record(n, hit(n % 3000)) for n in range(3000)]
    counts.add(records[:1], found)
    counts.cut()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    counts.add(records, found)
    counts.confirm(counts.cut())
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(counts.cells) < 500


def test_the_memory_of_matches_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MATCH_CACHE_SIZE", 10)
    triggers = index(
        [
            trigger(n, 60, filters=[{"id": "pool", "operator": "eq", "values": [n]}])
            for n in range(1, 51)
        ]
    )
    counts = PartitionCounts(EventKind.HITS)
    for number in range(256):
        counts.add([Record(number, hit(0, poolid=number))], triggers)
        assert sum(len(client.matches) for client in counts._clients.values()) <= 10
    assert [cell[0] for cell in counts.cells.values()] == [1] * 50


def test_of_a_thousand_addresses_only_the_one_that_is_looked_for_is_remembered() -> None:
    by_address = [{"id": "ip_address", "operator": "eq", "values": ["203.0.113.7"]}]
    found = trigger(1, 60, template_id="attacks_exceeded", filters=by_address)
    parsed = [parse_trigger(found, allowed_periods=(60,))]
    many = [f"198.51.{a}.{b}" for a in range(4) for b in range(250)]
    values = [
        json.dumps({"client_id": 1, "first_time": BASE, "remote_addrs": addresses}).encode()
        for addresses in ([*many, "203.0.113.7"], ["203.0.113.7"], many)
    ]
    counts = PartitionCounts(EventKind.ATTACKS)
    tally = counts.add(
        [Record(n, value) for n, value in enumerate(values)],
        TriggerIndex(EventKind.ATTACKS, {1}, parsed),
    )
    assert (tally.counted, tally.unmatched) == (2, 1)
    assert [set(client.matches) for client in counts._clients.values()] == [{0, 1}]
