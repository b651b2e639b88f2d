"""Stage 1 against records that nobody should send: no error escapes, and no event is lost."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.partition_counts import MATCH_CACHE_SIZE, PartitionCounts
from stream_app.domain.counting.stored_counts import CellChanges
from stream_app.domain.counting.tally import Tally
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.model import EventKind
from stream_app.domain.state.keys import NEVER
from tests.unit.domain.objects import parse_trigger

BASE = 1_767_225_600
PERIODS = (1, 60, 3600, 86400)
KINDS = tuple(EventKind)


@dataclass
class Record:
    offset: int
    value: bytes | None
    timestamp: int = BASE * 1000


def trigger(trigger_id: int, kind: EventKind, period: int, *filters: Any) -> dict[str, Any]:
    return {
        "id": trigger_id,
        "client_id": 1,
        "name": "counts",
        "enabled": True,
        "template_id": f"{kind}_exceeded",
        "filters": list(filters),
        "threshold": {"count": 1, "period": period},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [5]}}],
    }


def index(kind: EventKind, *triggers: dict[str, Any]) -> TriggerIndex:
    found = [parse_trigger(obj, allowed_periods=PERIODS) for obj in triggers]
    return TriggerIndex(kind, {1, 2}, found)


def standard(kind: EventKind) -> TriggerIndex:
    types = {"id": "attack_type", "operator": "eq", "values": ["sqli"]}
    ips = {"id": "ip_address", "operator": "ne", "values": ["192.0.2.1"]}
    return index(kind, trigger(1, kind, 1, types), trigger(2, kind, 60, ips))


def events_of(tally: Tally) -> int:
    """Return how many events a tally accounts for."""
    dropped = tally.experimental + tally.unsampled + tally.false_positive
    return tally.counted + tally.unmatched + dropped + tally.late + len(tally.rejected)


def refusals(tally: Tally) -> list[tuple[int | None, bytes, DeadLetterReason]]:
    return [(part.index, part.value, part.reason) for _, part in tally.rejected]


# -- single poisons

DEEP = 100_000
BOMBS = [b"[" * DEEP, b'{"client_id":1,"x":' + b'{"a":' * DEEP, b"[" * DEEP + b"]" * DEEP]


@pytest.mark.parametrize("bomb", BOMBS, ids=["open", "within an event", "closed"])
def test_a_nesting_bomb_is_a_dead_letter_and_its_neighbours_count(bomb: bytes) -> None:
    good = b'{"client_id":1,"request_time":%d,"type":"sqli"}' % BASE
    counts = PartitionCounts(EventKind.HITS)
    records = [Record(0, good), Record(1, bomb), Record(2, good)]
    tally = counts.count(records, standard(EventKind.HITS))
    assert tally.counted == 2
    assert refusals(tally) == [(None, bomb, DeadLetterReason.UNDECODABLE)]
    assert counts.offset == 2


@pytest.mark.parametrize("seconds", [-1, -0.5, -60, 0, -(10**30), -1e308])
def test_a_time_before_the_epoch_spoils_nothing(seconds: float) -> None:
    counts = PartitionCounts(EventKind.HITS)
    value = json.dumps({"client_id": 1, "type": "sqli", "request_time": seconds}).encode()
    tally = counts.count([Record(0, value)], standard(EventKind.HITS))
    assert (events_of(tally), tally.rejected) == (1, [])
    assert counts.watermark <= 0


@pytest.mark.parametrize("seconds", [b"1e308", b"9" * 30, b"9" * 4300, b"%d" % (BASE + 301)])
@pytest.mark.parametrize("timestamp", [BASE * 1000, -1])
def test_no_clock_moves_the_watermark_unchecked(seconds: bytes, timestamp: int) -> None:
    counts = PartitionCounts(EventKind.HITS)
    value = b'{"client_id":1,"type":"sqli","request_time":%s}' % seconds
    tally = counts.count([Record(0, value, timestamp)], standard(EventKind.HITS))
    ahead, unknown = DeadLetterReason.FUTURE_TIMESTAMP, DeadLetterReason.MISSING_TIME
    assert refusals(tally) == [(None, value, unknown if timestamp < 0 else ahead)]
    cut = counts.cut()
    assert (cut.cells, orjson.loads(orjson.dumps([cut.offset, cut.watermark]))) == ([], [0, -1])


def test_events_that_differ_only_in_ignored_fields_are_refused_each_with_its_own_bytes() -> None:
    found = [b'{"client_id":9,"id":"%d"}' % number for number in range(3)]
    found.insert(1, b'{"client_id":1,"type":"sqli"}')
    expected = [(n, found[n], DeadLetterReason.UNKNOWN_CLIENT) for n in (0, 2, 3)]
    for value in (b"[%s]" % b", ".join(found), b"\n".join(found)):
        tally = PartitionCounts(EventKind.HITS).count([Record(0, value)], standard(EventKind.HITS))
        assert refusals(tally) == expected


def test_refusing_a_large_array_decodes_each_of_its_events_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = 0
    decides = EventDecoder._is

    def count_calls(self: EventDecoder, text: bytes, event: Any) -> bool:
        nonlocal asked
        asked += 1
        return decides(self, text, event)

    monkeypatch.setattr(EventDecoder, "_is", count_calls)
    value = b"[%s]" % b",".join(b'{"client_id":9,"id":%d}' % number for number in range(500))
    tally = PartitionCounts(EventKind.HITS).count([Record(0, value)], standard(EventKind.HITS))
    assert (len(tally.rejected), asked) == (500, 500)


def test_refusals_of_several_reasons_in_one_record_keep_their_places() -> None:
    parts = [
        b'{"client_id":9,"request_time":%d}' % (BASE + 5000),
        b'{"client_id":1,"request_time":%d,"id":1}' % (BASE + 5000),
        b'{"client_id":"x"}',
        b'{"client_id":1,"request_time":%d}' % BASE,
        b'{"client_id":9,"request_time":%d}' % (BASE + 5000),
        b'{"client_id":1,"request_time":%d,"id":2}' % (BASE + 5000),
    ]
    counts = PartitionCounts(EventKind.HITS)
    tally = counts.count([Record(0, b"\n".join(parts))], standard(EventKind.HITS))
    unknown, future = DeadLetterReason.UNKNOWN_CLIENT, DeadLetterReason.FUTURE_TIMESTAMP
    reasons = {0: unknown, 1: future, 2: DeadLetterReason.WRONG_TYPE, 4: unknown, 5: future}
    assert sorted(refusals(tally)) == [(n, parts[n], reason) for n, reason in reasons.items()]
    assert tally.counted == 1


def test_nobody_is_known_before_there_is_configuration() -> None:
    counts = PartitionCounts(EventKind.HITS)
    tally = counts.count([Record(0, b'{"client_id":1}')], TriggerIndex(EventKind.HITS, (), ()))
    assert [part.reason for _, part in tally.rejected] == [DeadLetterReason.UNKNOWN_CLIENT]


# -- what else a partition must survive


def test_matching_stays_right_when_there_are_more_values_than_are_remembered() -> None:
    counts = PartitionCounts(EventKind.HITS)
    pools = {"id": "pool", "operator": "eq", "values": [3, MATCH_CACHE_SIZE + 3]}
    triggers = index(EventKind.HITS, trigger(1, EventKind.HITS, 60, pools))
    values = [
        b'{"client_id":1,"request_time":%d,"poolid":%d}' % (BASE, pool)
        for pool in [*range(MATCH_CACHE_SIZE + 10), 3, 4]
    ]
    tally = counts.count([Record(n, value) for n, value in enumerate(values)], triggers)
    assert (tally.counted, tally.unmatched) == (3, MATCH_CACHE_SIZE + 9)
    (client,) = counts._clients.values()
    assert len(client.matches) <= MATCH_CACHE_SIZE


def test_a_progress_older_than_what_is_known_changes_nothing() -> None:
    counts = PartitionCounts(EventKind.HITS)
    # The second one is from a worker that woke up too late.
    for offset, watermark in ((40, 1000), (12, 900)):
        (rows,) = counts.rows(CellChanges([], [], offset, watermark, NEVER))
        counts.apply(offset, rows)
    counts.restored()
    assert (counts.progress_of("events.hits"), counts.watermark) == (40, 1000)


def test_a_record_of_a_batch_that_overlaps_what_is_done_is_skipped() -> None:
    counts = PartitionCounts(EventKind.HITS)
    value = b'{"client_id":1,"request_time":%d}' % BASE
    triggers = standard(EventKind.HITS)
    counts.count([Record(0, value), Record(1, value)], triggers)
    tally = counts.count([Record(n, value) for n in range(4)], triggers)
    assert (tally.skipped, tally.counted) == (2, 2)


def test_a_restored_cell_of_an_expired_window_is_given_up() -> None:
    kind = EventKind.HITS
    counts, triggers = PartitionCounts(kind), index(kind, trigger(1, kind, 1))
    times = (BASE, BASE + 4000)
    records = [
        Record(n, b'{"client_id":1,"request_time":%d}' % seconds, (BASE + 5000) * 1000)
        for n, seconds in enumerate(times)
    ]
    counts.count(records, triggers)
    cut = counts.cut()
    counts.confirm(cut)
    assert [key[1] for key in counts.cut().expired] == [BASE]
    again = PartitionCounts(kind)
    for rows in counts.rows(cut):
        again.apply(cut.offset, rows)
    again.restored()
    assert [start for _, start in again.cells] == [BASE + 4000]


# -- any records

garbage: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
times = st.integers(BASE - 100_000, BASE + 400) | st.floats(BASE - 5000, BASE) | st.integers()
valid = st.fixed_dictionaries(
    {"client_id": st.sampled_from([1, 1, 2, 3])},
    optional={
        "request_time": times,
        "first_time": times,
        "create_time": times,
        "type": st.sampled_from(["sqli", "xss"]),
        "remote_addr4": st.sampled_from(["192.0.2.1", "203.0.113.1", "?"]),
        "remote_addrs": st.lists(st.sampled_from(["192.0.2.1", "?"]), max_size=2),
        "experimental": st.booleans(),
        "sampled": st.booleans(),
        "state": st.sampled_from(["falsepositive", "new"]),
        "payloads": garbage,
    },
)
FIELDS = ["client_id", "request_time", "first_time", "create_time", "type", "experimental", "state"]
spoiled = st.tuples(valid, st.sampled_from(FIELDS), garbage).map(
    lambda found: found[0] | {found[1]: found[2]}
)
elements = st.one_of(valid, spoiled, garbage)
timestamps = st.sampled_from([BASE * 1000, (BASE + 300) * 1000, 0, -1])


def text(element: Any) -> bytes:
    return json.dumps(element).encode()


@st.composite
def records_and_events(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return a record's value, and how many events somebody meant it to hold."""
    found = draw(st.lists(elements, min_size=2, max_size=5))
    form = draw(st.sampled_from(["one", "array", "lines", "windows lines", "pretty array"]))
    if form == "one":
        one = found[0]
        return text(one), len(one) if isinstance(one, list) else 1
    if form.endswith("lines"):
        return (b"\r\n" if "windows" in form else b"\n").join(map(text, found)), len(found)
    return json.dumps(found, indent=2 if "pretty" in form else None).encode(), len(found)


def add_all(
    kind: EventKind, batches: Iterable[list[Record]]
) -> tuple[PartitionCounts, list[Tally]]:
    counts, triggers = PartitionCounts(kind), standard(kind)
    return counts, [counts.count(batch, triggers) for batch in batches]


@settings(deadline=None)
@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(st.tuples(records_and_events(), timestamps), max_size=6))
def test_every_event_is_counted_unmatched_dropped_late_or_refused(
    kind: EventKind, found: list[tuple[tuple[bytes, int], int]]
) -> None:
    records = [Record(n, value, time) for n, ((value, _), time) in enumerate(found)]
    counts, (tally,) = add_all(kind, [records])
    assert events_of(tally) == sum(number for (_, number), _ in found)
    assert tally.skipped == 0
    assert sum(counts.cells.values()) >= tally.counted
    places = [(record.offset, part.index) for record, part in tally.rejected]
    assert len(places) == len(set(places))
    assert all(part.value in (record.value or b"") for record, part in tally.rejected)
    orjson.dumps([list(counts.cells.values()), counts.watermark])


FRAGMENTS = [b"[", b"]", b"{", b"}", b",", b'"', b"\n", b"1e400", b"-1", rb"\ud800", b"\xff"]
FRAGMENTS += [b"9" * 4300, b"[" * 5000]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    value, _ = draw(records_and_events())
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(value)))
        end = min(len(value), start + draw(st.integers(0, 10)))
        filling = draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=4))
        value = value[:start] + filling + value[end:]
    return value


@settings(deadline=None)
@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(st.tuples(st.none() | mutated(), timestamps), max_size=5))
def test_any_bytes_count_the_same_in_one_batch_and_record_by_record(
    kind: EventKind, found: list[tuple[bytes | None, int]]
) -> None:
    records = [Record(n, value, time) for n, (value, time) in enumerate(found)]
    together, (whole,) = add_all(kind, [records])
    apart, tallies = add_all(kind, [[record] for record in records])
    assert together.cells == apart.cells
    assert (together.watermark, together.offset) == (apart.watermark, apart.offset)
    assert events_of(whole) == sum(map(events_of, tallies))
    each = [(r.offset, part) for tally in tallies for r, part in tally.rejected]
    assert sorted(each, key=repr) == sorted(
        ((r.offset, part) for r, part in whole.rejected), key=repr
    )
