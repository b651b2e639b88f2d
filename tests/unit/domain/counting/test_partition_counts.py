"""Stage 1 against the oracle: any batches, any crashes, any replays give its totals."""

from __future__ import annotations

import json
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.domain.counting import partition_counts
from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.counting.windows import CellKey
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.events.model import EventKind
from tests import oracle
from tests.examples import examples
from tests.unit.domain.objects import parse_trigger
from tests.unit.domain.packed_partition import Changelog, Owner

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
        self.changelog = Changelog()
        self.owner = Owner(self.changelog)
        self.largest: dict[CellKey, int] = defaultdict(int)
        self.refused: dict[tuple[int, int | None], DeadLetterReason] = {}

    def recover(self) -> PartitionCounts:
        covered = self.owner.covered
        self.owner = Owner(self.changelog)
        self.owner.covered = covered
        found: PartitionCounts = self.changelog.restore(PartitionCounts(EventKind.HITS))
        return found

    def flush(
        self, counts: PartitionCounts, crash_after: int | None, owner: Owner | None = None
    ) -> bool:
        """Write a flush, and crash after a number of records; return whether it is complete."""
        owner = self.owner if owner is None else owner
        cut = counts.cut()
        writes: list[Callable[[], Any]] = [
            partial(self.send_partial_count, key, count) for key, count in cut.cells
        ]
        changes = owner.changes(cut.offset, counts.rows(cut))
        writes += [partial(self.changelog.append, record) for record in changes]
        done = [write() for write in writes[:crash_after]]
        if crash_after is not None and crash_after < len(writes):
            return False
        owner.wrote(*done[len(cut.cells) :])
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


def same(one: PartitionCounts, other: PartitionCounts) -> bool:
    return (one.cells, one.offset, one.watermark) == (other.cells, other.offset, other.watermark)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(values, max_size=60), st.data())
def test_any_batches_crashes_snapshots_and_replays_give_the_oracles_totals(
    found: list[bytes], data: st.DataObject
) -> None:
    records = [Record(offset, value) for offset, value in enumerate(found)]
    expected = oracle.Totals()
    oracle.count("hits", [(r.value, r.timestamp) for r in records], TRIGGERS, CLIENTS, expected)
    triggers, log = index(), Log()
    counts, position, crashes = log.recover(), 0, 0
    writing: Iterator[None] = iter(())
    while position < len(records) or counts.offset > counts.progress_offset:
        size = data.draw(st.integers(0, 8))
        batch = records[position : position + size]
        tally = counts.count(batch, triggers)
        for record, part in tally.rejected:
            log.refused[record.offset, part.index] = part.reason
        position += len(batch)
        # A snapshot is written a record at a time, between batches and flushes.
        if next(writing, "over") == "over" and data.draw(st.integers(0, 2)) == 0:
            writing = log.owner.snapshot(counts, data.draw(st.integers(1, 4)))
        if not data.draw(st.booleans()):
            continue
        crash = data.draw(st.none() | st.integers(0, 12)) if crashes < 5 else None
        is_whole = log.flush(counts, crash)
        if not is_whole or (crash is not None and data.draw(st.booleans())):
            crashes += 1
            writing = iter(())
            counts.roll_back()
            again = log.recover()
            if is_whole:
                counts.cut()  # gives up what has expired, as a restart does
                assert same(again, counts), "what is acknowledged comes back"
            whole = log.changelog.restore(PartitionCounts(EventKind.HITS), begin=0, snapshots=False)
            assert same(again, whole), "snapshots and what is behind them are the whole log"
            counts = again
            position = data.draw(st.integers(0, counts.progress_offset + 1))
    assert log.totals() == dict(expected.counts)
    assert sum(expected.refused.values()) == len(log.refused)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(values, min_size=4, max_size=40), st.data())
def test_a_worker_that_has_lost_its_partition_hides_nothing_whatever_it_writes(
    found: list[bytes], data: st.DataObject
) -> None:
    """It counts on from where it was, flushes, and writes snapshots behind the new owner's.

    Then it gets the partition back, and goes on from the state that it has.
    """
    records = [Record(offset, value) for offset, value in enumerate(found)]
    triggers, log = index(), Log()
    workers = [(log.recover(), log.owner)]
    lost = data.draw(st.integers(0, 10))
    snapshots: dict[int, Iterator[None]] = {}
    for step in range(40):
        if step == lost:
            again = log.recover()
            workers.append((again, log.owner))
        place = data.draw(st.integers(0, len(workers) - 1))
        counts, owner = workers[place]
        what = data.draw(st.sampled_from(["count", "work", "flush", "part", "whole", "take back"]))
        if what == "take back":
            snapshots.pop(place, None)
            if not owner.take_back(counts):
                workers[place] = (log.recover(), log.owner)
        elif what in {"count", "work", "flush"}:
            position = counts.offset + 1
            if what != "flush":
                counts.count(records[position : position + data.draw(st.integers(1, 6))], triggers)
            if what != "count":
                log.flush(counts, None, owner)
        elif what == "whole":
            list(owner.snapshot(counts, 100))
        elif next(snapshots.get(place, iter(())), "over") == "over":
            snapshots[place] = owner.snapshot(counts, data.draw(st.integers(1, 4)))
    counts = log.recover()
    assert counts.progress_offset >= max(one.progress_offset for one, _ in workers)
    counts.count(records[counts.offset + 1 :], triggers)
    log.flush(counts, None)
    expected = oracle.Totals()
    oracle.count("hits", [(r.value, r.timestamp) for r in records], TRIGGERS, CLIENTS, expected)
    assert log.totals() == dict(expected.counts)


def hit(seconds: int, **changes: Any) -> bytes:
    return json.dumps({"client_id": 1, "request_time": BASE + seconds} | changes).encode()


def add(counts: PartitionCounts, *found: bytes | None, start: int = 0, **more: Any) -> Any:
    records = [Record(start + number, value, **more) for number, value in enumerate(found)]
    return counts.count(records, index([trigger(1, 1), trigger(2, 60)]))


def test_an_event_counts_in_the_window_of_its_own_second() -> None:
    counts = PartitionCounts(EventKind.HITS)
    add(counts, hit(0), hit(0), hit(1))
    by_start = {
        key[1] - BASE: count for key, count in counts.cells.items() if key[0].endswith(":1")
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
    tally = counts.count([Record(0, value)], TriggerIndex(EventKind.INCIDENTS, {1}, parsed))
    assert tally.counted == 1


def test_an_event_behind_the_retention_is_late_and_one_before_it_is_not() -> None:
    counts = PartitionCounts(EventKind.HITS)
    only_seconds = index([trigger(1, 1)])
    counts.count([Record(0, hit(3601))], only_seconds)
    # The window of second 0 ends at 1 and is kept for an hour: until the watermark is 3601.
    tally = counts.count([Record(1, hit(0)), Record(2, hit(1))], only_seconds)
    assert (tally.late, tally.counted) == (1, 1)


def test_each_trigger_of_a_client_counts_in_its_own_windows_however_the_times_alternate() -> None:
    counts = PartitionCounts(EventKind.HITS)
    both = index([trigger(1, 1), trigger(2, 60)])
    for offset, second in enumerate([59, 60, 59, 61, 0, 60, 59]):
        counts.count([Record(offset, hit(second))], both)
    found = {(key[0].split(":")[1], key[1]): count for key, count in counts.cells.items()}
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
    counts.count([Record(0, hit(0)), Record(1, hit(3601))], both)
    tally = counts.count([Record(2, hit(0))], both)
    assert (tally.counted, tally.late) == (1, 0)
    assert [key[0].split(":")[1] for key in tally.late_windows] == ["1"]
    found = {(key[0].split(":")[1], key[1]): count for key, count in counts.cells.items()}
    assert found[("2", BASE)] == 2
    assert found[("1", BASE)] == 1


def test_five_minutes_ahead_is_accepted_and_a_second_more_is_a_dead_letter() -> None:
    counts = PartitionCounts(EventKind.HITS)
    tally = add(counts, hit(300), hit(301), timestamp=BASE * 1000)
    assert tally.counted == 1
    assert [part.reason for _, part in tally.rejected] == [DeadLetterReason.FUTURE_TIMESTAMP]
    assert counts.watermark == BASE + 300


CREATED, APPENDED = 0, 1


@pytest.mark.parametrize(
    ("claimed", "seconds", "kind", "is_counted"),
    [
        (0, 300, CREATED, True),
        (0, 301, CREATED, False),
        (2 * 86400, 300, CREATED, True),
        (2 * 86400, 301, CREATED, False),
        (2 * 86400, 2 * 86400, CREATED, False),
        (2 * 86400, None, CREATED, False),
        (300, None, CREATED, True),
        (-2 * 86400, 0, CREATED, False),
        (-2 * 86400, None, CREATED, True),
        # The broker's clock counts: this worker's may be two days behind.
        (2 * 86400, 2 * 86400, APPENDED, True),
        (2 * 86400, None, APPENDED, True),
    ],
)
def test_what_a_producer_claims_is_bound_by_the_clock_of_the_reader(
    claimed: int, seconds: int | None, kind: int, *, is_counted: bool
) -> None:
    counts = PartitionCounts(EventKind.HITS)
    now_ms = BASE * 1000
    value = b'{"client_id":1}' if seconds is None else hit(seconds)
    record: Any = SimpleNamespace(
        offset=0, value=value, timestamp=now_ms + claimed * 1000, timestamp_type=kind
    )
    tally = counts.count([record], index(), now_ms)
    reasons = [part.reason for _, part in tally.rejected]
    assert reasons == ([] if is_counted else [DeadLetterReason.FUTURE_TIMESTAMP])
    assert tally.counted == is_counted
    if kind == CREATED:
        assert counts.watermark <= BASE + 300


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


def test_what_is_counted_stays_counted_when_the_configuration_changes() -> None:
    counts = PartitionCounts(EventKind.HITS)
    counts.count([Record(0, hit(0)), Record(1, hit(0))], index([trigger(1)]))
    counts.count([Record(2, hit(0))], index([trigger(1), trigger(2)]))
    found = {key[0].split(":")[1]: count for key, count in counts.cells.items()}
    assert found == {"1": 3, "2": 1}


def test_what_is_rolled_back_is_counted_anew_and_once() -> None:
    counts, triggers = PartitionCounts(EventKind.HITS), index([trigger(1)])
    counts.count([Record(0, hit(0))], triggers)
    counts.confirm(counts.cut())
    counts.count([Record(1, hit(0)), Record(2, hit(0))], triggers)
    counts.roll_back()
    assert list(counts.cells.values()) == [1]
    counts.count([Record(1, hit(0)), Record(2, hit(0))], triggers)
    assert [count for _, count in counts.cut().cells] == [3]


def test_a_cell_expires_only_behind_the_acknowledged_watermark() -> None:
    counts = PartitionCounts(EventKind.HITS)
    only_seconds = index([trigger(1, 1)])
    counts.count([Record(0, hit(0)), Record(1, hit(9000))], only_seconds)
    first = counts.cut()
    assert first.expired == []
    counts.confirm(first)
    second = counts.cut()
    assert [key[1] - BASE for key in second.expired] == [0]
    assert [key[1] - BASE for key in counts.cells] == [9000]


def test_an_open_cell_costs_less_than_120_bytes() -> None:
    triggers = [trigger(n, 1) for n in range(1, 21)]
    found = index(triggers)
    counts = PartitionCounts(EventKind.HITS)
    records = [Record(n, hit(n % 3000)) for n in range(3000)]
    counts.count(records[:1], found)
    counts.cut()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    counts.count(records, found)
    counts.confirm(counts.cut())
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / counts.open_cells < 120


def test_the_memory_of_matches_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_counts, "MATCH_CACHE_SIZE", 10)
    triggers = index(
        [
            trigger(n, 60, filters=[{"id": "pool", "operator": "eq", "values": [n]}])
            for n in range(1, 51)
        ]
    )
    counts = PartitionCounts(EventKind.HITS)
    for number in range(256):
        counts.count([Record(number, hit(0, poolid=number))], triggers)
        assert sum(len(client.matches) for client in counts._clients.values()) <= 10
    assert list(counts.cells.values()) == [1] * 50


def test_only_the_address_of_a_filter_is_remembered_out_of_a_thousand() -> None:
    by_address = [{"id": "ip_address", "operator": "eq", "values": ["203.0.113.7"]}]
    found = trigger(1, 60, template_id="attacks_exceeded", filters=by_address)
    parsed = [parse_trigger(found, allowed_periods=(60,))]
    many = [f"198.51.{a}.{b}" for a in range(4) for b in range(250)]
    values = [
        json.dumps({"client_id": 1, "first_time": BASE, "remote_addrs": addresses}).encode()
        for addresses in ([*many, "203.0.113.7"], ["203.0.113.7"], many)
    ]
    counts = PartitionCounts(EventKind.ATTACKS)
    tally = counts.count(
        [Record(n, value) for n, value in enumerate(values)],
        TriggerIndex(EventKind.ATTACKS, {1}, parsed),
    )
    assert (tally.counted, tally.unmatched) == (2, 1)
    assert [set(client.matches) for client in counts._clients.values()] == [{0, 1}]
