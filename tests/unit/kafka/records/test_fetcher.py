"""What is read from a fetch of any bytes; nothing ends the reading."""

from __future__ import annotations

import gc
import os
import random
import struct
import time
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from stream_app.kafka.records import fetcher, partition_records, unreadable_batches
from stream_app.kafka.records.codecs import MAX_UNPACKED_BYTES, UnpackedTooLargeError, unpack
from stream_app.kafka.records.fetched_records import FetchedRecords, whole_records
from stream_app.kafka.records.fetcher import MAX_RECORDS, FetchedBatches, WholeFetchResult
from stream_app.kafka.records.partition_records import LeanPartitionRecords
from stream_app.kafka.records.stored_batches import StoredBatch
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from tests.examples import examples
from tests.raw_batches import (
    CHECKSUM_AT,
    CODECS,
    ENCODERS,
    Raw,
    batch,
    bomb,
    encode,
    framed,
    mutated,
    varint,
)

PARTITION = TopicPartition("events.hits", 0)


@pytest.fixture(autouse=True)
def _lean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LeanPartitionRecords, "batched", frozenset({PARTITION.topic}))
    monkeypatch.setattr(LeanPartitionRecords, "suspected", set())
    monkeypatch.setattr(
        unreadable_batches, "UNREADABLE_BATCHES", unreadable_batches.UnreadableRegistry()
    )


class Assignment:
    """aiokafka's, as far as a fetch result asks it."""

    active = True
    paused = False
    jump = None

    def __init__(self, position: int, highwater: int | None = None) -> None:
        self.position = position
        self.highwater = highwater

    def state_value(self, _: object) -> Assignment:
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


class Reading:
    """One fetch, read to its end as aiokafka's fetcher reads it."""

    def __init__(
        self,
        data: bytes,
        offset: int = 0,
        key_deserializer: Any = None,
        most: int = MAX_RECORDS,
        log_end: int | None = None,
    ) -> None:
        source = LeanPartitionRecords(
            PARTITION, FetchedBatches(data), [], offset, key_deserializer, None, True, 0
        )
        assignment = Assignment(offset, log_end)
        result = WholeFetchResult(
            PARTITION, partition_records=source, assignment=assignment, backoff=0
        )
        self.parts: list[Sequence[Any]] = []
        self.longest = 0.0
        while result.has_more():
            started = time.thread_time()
            self.parts.append(result.getall(most))
            self.longest = max(self.longest, time.thread_time() - started)
        self.position = assignment.position
        found = [record for part in self.parts for record in part]
        self.records = [r for r in found if not isinstance(r, UnreadableBatch)]
        self.unreadable = [r for r in found if isinstance(r, UnreadableBatch)]

    @property
    def values(self) -> list[Any]:
        return [record.value for record in self.records]

    @property
    def holes(self) -> list[tuple[int, int]]:
        return [(one.first_offset, one.offset) for one in self.unreadable]


def three(base: int, codec: str = "none") -> bytes:
    return batch([Raw(b"a"), Raw(b"b"), Raw(b"c")], codec, base)


@pytest.mark.parametrize("codec", ["none", *CODECS])
def test_every_codec_is_read(codec: str) -> None:
    records = [Raw(b"v%d" % n * 50, b"k", [(b"h", b"x"), (b"n", None)]) for n in range(900)]
    read = Reading(batch(records, codec) + three(900))
    assert read.values == [r.value for r in records] + [b"a", b"b", b"c"]
    assert read.records[0].headers == [("h", b"x"), ("n", None)]
    assert (read.position, read.unreadable) == (903, [])


@pytest.mark.parametrize("codec", ["none", *CODECS])
@pytest.mark.parametrize("name", [b"\xff\xfe", b"caf\xe9", b"\xed\xa0\x80", b"ok\xc3"])
def test_a_header_name_that_is_not_utf_8_costs_nobody_a_record(codec: str, name: bytes) -> None:
    records = [Raw(b"1"), Raw(b"2", None, [(name, b"x"), (b"good", b"y")]), Raw(b"3")]
    for key_deserializer in (None, whole_records):
        read = Reading(batch(records, codec) + three(3), 0, key_deserializer)
        assert read.values == [b"1", b"2", b"3", b"a", b"b", b"c"]
        assert read.unreadable == []
        (odd, good) = read.records[1].headers
        # It can be written to a dead letter, and shown.
        assert odd[0].encode().decode() == name.decode(errors="backslashreplace")
        assert good == ("good", b"y")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("cut", [0, 1, 7, -1])
def test_a_batch_that_cannot_be_unpacked_is_skipped(codec: str, cut: int) -> None:
    number, encoder = ENCODERS[codec]
    packed = encoder(os.urandom(300))
    broken = framed(packed[:cut] if cut else b"", 5, number, 3)
    read = Reading(three(0) + broken + three(8))
    assert read.values == [b"a", b"b", b"c"] * 2
    assert read.holes == [(3, 7)]
    (one,) = read.unreadable
    assert (one.value, one.topic, one.partition) == (broken, PARTITION.topic, 0)
    assert read.position == 11


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_a_batch_of_an_unknown_codec_is_skipped(codec: int) -> None:
    read = Reading(framed(b"??", 2, codec) + three(2))
    assert (read.values, read.holes) == ([b"a", b"b", b"c"], [(0, 1)])
    assert read.unreadable[0].error == f"unknown compression codec {codec}"


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_unpacks_beyond_the_bound_is_not_unpacked(codec: str) -> None:
    number, _ = ENCODERS[codec]
    large = bomb(MAX_UNPACKED_BYTES // (1 << 20) + 1, codec)
    with pytest.raises(UnpackedTooLargeError):
        unpack(number, memoryview(large)[61:])
    read = Reading(large + three(1))
    assert (read.values, read.holes) == ([b"a", b"b", b"c"], [(0, 0)])
    # Nobody should try again what is in it.
    assert read.unreadable[0].value is None
    assert "more than 67,108,864 bytes" in read.unreadable[0].error


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_unpacks_within_the_bound_is_read(codec: str) -> None:
    read = Reading(bomb(17, codec) + three(1))
    assert list(map(len, read.values)) == [17 << 20, 1, 1, 1]


def test_a_batch_with_a_wrong_checksum_is_fetched_again_before_it_is_given_up() -> None:
    broken = bytearray(three(3))
    broken[CHECKSUM_AT] ^= 1
    data = three(0) + broken + three(6)
    first = Reading(data)
    assert (first.values, first.position, first.holes) == ([b"a", b"b", b"c"], 3, [])
    second = Reading(data[len(three(0)) :], first.position)
    assert (second.values, second.position, second.holes) == ([b"a", b"b", b"c"], 9, [(3, 5)])
    # The fault happened on the way: the second fetch is sound.
    Reading(data)
    assert Reading(three(3), 3).values == [b"a", b"b", b"c"]


def test_a_damaged_record_leaves_the_records_before_it_readable() -> None:
    body = encode(Raw(b"1"), 0) + encode(Raw(b"2"), 1) + b"\x0e" + b"\xff" * 20
    read = Reading(framed(body, 4) + three(4))
    assert read.values == [b"1", b"2", b"a", b"b", b"c"]
    assert read.holes == [(2, 3)]


def lying(raw: bytes, delta: int) -> bytes:
    """Return a batch that is damaged, and whose header has another last offset."""
    damaged = bytearray(raw)
    struct.pack_into(">i", damaged, 23, delta)
    damaged[-1] ^= 1
    return bytes(damaged)


def read_twice(data: bytes, offset: int, log_end: int | None = None) -> Reading:
    """Return the second reading; the first one only notes a wrong checksum."""
    Reading(data, offset)
    return Reading(data, offset, log_end=log_end)


@pytest.mark.parametrize("delta", [3, 5, 100, 70_000, 2**31 - 1, 1, 0, -1, -(2**31)])
@pytest.mark.parametrize(
    "following", [three(6), three(6, "zstd"), three(6)[:20]], ids=["whole", "packed", "cut"]
)
def test_a_damaged_last_offset_loses_no_neighbouring_record(delta: int, following: bytes) -> None:
    read = read_twice(lying(three(3), delta) + following, 3)
    assert read.holes == [(3, 5)]
    is_whole = len(following) > 20
    assert read.values == ([b"a", b"b", b"c"] if is_whole else [])
    assert read.position == (9 if is_whole else 6), "what is cut off is fetched again"


def test_a_damaged_batch_that_the_broker_takes_for_a_later_one_is_skipped() -> None:
    """Its last offset is too large: the broker finds it instead of the batch behind it."""
    read = read_twice(lying(three(3), 100) + three(6), 7)
    assert (read.values, read.holes, read.position) == ([b"b", b"c"], [], 9)


@pytest.mark.parametrize(("delta", "holes"), [(2, [(3, 5)]), (3, [(3, 3)]), (10**9, [(3, 3)])])
def test_a_damaged_batch_at_the_end_is_not_taken_to_exceed_the_log(
    delta: int, holes: list[tuple[int, int]]
) -> None:
    assert read_twice(lying(three(3), delta), 3, log_end=6).holes == holes


def test_where_an_older_message_set_begins_is_not_known() -> None:
    """Its first offset is the one of its last message."""
    read = read_twice(lying(three(3), 50) + legacy(1, 1, 6), 3, log_end=9)
    assert read.holes == [(3, 3)]
    assert read.values == [b"x", b"y", b"z"]


@pytest.mark.parametrize("length", [0, 9, 13, -1, -12, -(2**31), 2**31 - 1])
def test_a_batch_of_a_senseless_length_is_skipped(length: int) -> None:
    broken = bytearray(three(3))
    struct.pack_into(">i", broken, 8, length)
    read = Reading(bytes(broken), 3)
    assert (read.values, read.holes, read.position) == ([], [(3, 5)], 6)


@pytest.mark.parametrize("size", [1, 11, 12, 16, 17, 30, 60])
def test_a_fetch_that_is_too_short_for_a_batch_is_skipped(size: int) -> None:
    read = Reading(three(4)[:size], 4)
    assert (read.values, read.position, len(read.unreadable)) == ([], 5, 1)


def test_a_batch_that_the_broker_has_cut_off_is_fetched_again() -> None:
    read = Reading(three(0) + three(3)[:-1])
    assert (read.values, read.position, read.unreadable) == ([b"a", b"b", b"c"], 3, [])


def test_a_batch_before_the_offset_that_was_asked_for_does_not_come_back_for_ever() -> None:
    read = Reading(three(0), 7)
    assert (read.values, read.position, read.holes) == ([], 8, [(7, 7)])


def test_records_before_the_offset_are_left_out() -> None:
    assert Reading(three(0, "gzip"), 2).values == [b"c"]


def small(count: int, base: int, codec: str = "none") -> bytes:
    """Return batches of one record each."""
    return b"".join(batch([Raw(b"%d" % n)], codec, base + n) for n in range(count))


@pytest.mark.parametrize("codec", ["none", *CODECS])
def test_small_batches_are_read_in_one_go(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_records, "STEP_SECONDS", 60)  # on a slow machine, too
    read = Reading(small(300, 5, codec), 5)
    assert (len(read.parts), read.position, read.unreadable) == (1, 305, [])
    assert read.values == [b"%d" % n for n in range(300)]


def emptied(count: int, base: int) -> bytes:
    """Return a batch whose records compaction has removed."""
    made = bytearray(framed(b"", count, 0, base))
    made[57:61] = bytes(4)
    struct.pack_into(">I", made, CHECKSUM_AT, calc_crc32c(bytes(made[21:])))
    return bytes(made)


@pytest.mark.parametrize("codec", ["none", *CODECS])
def test_an_odd_batch_among_small_ones_loses_no_neighbouring_record(codec: str) -> None:
    """A small batch with anything unusual in it is read like any other batch."""
    tiny = [Raw(None)] * 2_000
    odd = (
        emptied(2, 10),
        batch([Raw(b"", None, [(b"\xff", b"x")])], codec, 12),
        batch(tiny, codec, 13),
        framed(ENCODERS[codec][1](bytes(100)), 3, ENCODERS[codec][0], 2_013),
        bomb(65, "zstd", 2_016),
        batch([Raw(bytes(20_000))], codec, 2_017),
        framed(encode(Raw(b"beyond"), 7), 1, 0, 2_018),
    )
    places, data, first = [10, 12, 13, 2_013, 2_016, 2_017, 2_018], small(10, 0, codec), 0
    for place, one in zip(places, odd, strict=True):
        first = place
        data += one
    data += small(10, first + 1, codec)
    for most in (MAX_RECORDS, 7):
        read = Reading(data, 0, most=most)
        assert read.position == 2_029
        assert read.holes == [(2_013, 2_015), (2_016, 2_016)], read.unreadable
        values = [b"%d" % n for n in range(10)]
        assert read.values == [*values, b"", *[None] * 2_000, bytes(20_000), b"beyond", *values]


def test_records_before_the_offset_are_left_out_of_a_small_batch() -> None:
    assert Reading(three(0) + small(2, 3), 2).values == [b"c", b"0", b"1"]


def test_millions_of_tiny_records_are_handed_out_in_parts() -> None:
    tiny = encode(Raw(None), 0)
    count = 1_000_000
    gc.disable()  # what other tests have left in memory is not to be searched here
    try:
        read = Reading(framed(ENCODERS["zstd"][1](tiny * count), count, 4))
    finally:
        gc.enable()
    # All have the offset 0: what counts is that each step is short, and that it ends.
    assert all(len(part) <= MAX_RECORDS for part in read.parts)
    assert read.longest < 0.5
    assert read.position == count


@pytest.mark.parametrize("headers", [2_000_000, 150_000])
def test_a_record_with_too_many_headers_is_skipped(headers: int) -> None:
    head = b"\0" + varint(0) + varint(0) + varint(-1) + varint(-1) + varint(headers)
    rest = head + b"\0\x01" * headers
    body = varint(len(rest)) + rest + encode(Raw(bytes(1 << 20)), 1)
    read = Reading(framed(ENCODERS["gzip"][1](body), 2, 1) + three(2))
    assert (read.values, read.holes) == ([b"a", b"b", b"c"], [(0, 1)])
    assert "bytes of headers" in read.unreadable[0].error


def legacy(magic: Any, codec: int, base: int = 0) -> bytes:
    builder = LegacyRecordBatchBuilder(magic=magic, compression_type=codec, batch_size=1 << 20)
    for offset, value in enumerate((b"x", b"y", b"z")):
        builder.append(offset, timestamp=7, key=None, value=value)
    made = bytearray(builder.build())
    if codec:
        made[:8] = struct.pack(">q", base + 2)
    return bytes(made)


@pytest.mark.parametrize(
    ("magic", "codec"), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)]
)
def test_the_formats_before_kafka_0_11_are_read(magic: int, codec: int) -> None:
    read = Reading(legacy(magic, codec) + three(3))
    assert read.values == [b"x", b"y", b"z", b"a", b"b", b"c"]
    assert {record.timestamp for record in read.records[:3]} == {7 * magic}
    assert [record.offset for record in read.records] == list(range(6))


@pytest.mark.parametrize("length", [-12, -13, 0, 2**31 - 1])
def test_a_senseless_length_inside_an_older_batch_is_no_endless_loop(length: int) -> None:
    inner = struct.pack(">qi", 0, length) + bytes(30)
    packed = ENCODERS["gzip"][1](inner)
    message = struct.pack(">bbqii", 1, 1, 7, -1, len(packed)) + packed
    crc = struct.pack(">I", __import__("zlib").crc32(message))
    read = Reading(struct.pack(">qi", 0, len(message) + 4) + crc + message + three(1))
    assert (read.values, read.holes) == ([b"a", b"b", b"c"], [(0, 0)])


def test_an_unreadable_batch_is_noted_once_and_told_to_listeners() -> None:
    told: list[UnreadableBatch] = []
    unreadable_batches.UNREADABLE_BATCHES.listeners.append(told.append)
    for _ in range(2):
        Reading(framed(b"??", 2, 5), 0, whole_records)
    assert [str(one) for one in told] == [
        "events.hits partition 0, offset 0 to 1: UnsupportedCodecError: unknown compression codec 5"
    ]


def test_fuzzed_batches_never_end_the_reading() -> None:
    """Whatever bytes change, the reading ends without an error and reads the neighbours."""
    seed = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().getrandbits(32))
    print(f"FUZZ_SEED={seed}")
    chance = random.Random(seed)
    records = [Raw(b'{"n": %d}' % n, b"key", [(b"name", b"value")] * (n % 3)) for n in range(20)]
    sound = [batch(records, codec, 5) for codec in ENCODERS]
    sound += [legacy(magic, codec, 5) for magic in (0, 1) for codec in (1, 2)]
    ends, rounds = time.monotonic() + 5, 0
    while time.monotonic() < ends and rounds < examples(20_000):
        rounds += 1
        original = chance.choice(sound)
        data = mutated(chance, original)
        behind = three(25)
        mark = chance.choice([None, whole_records])
        read = Reading(data + behind, 5, mark)
        if read.position == 5:
            # Its checksum is wrong: it is fetched once more.
            read = Reading(data + behind, 5, mark)
        assert read.position > 5, (seed, rounds)
        frame = len(data) == len(original) and data[:12] == original[:12]
        if frame and data[16] == original[16] and (data[16] < 2 or data[23:27] == original[23:27]):
            # The header still says where the batch ends: all that lies behind it is read.
            assert read.values[-3:] == [b"a", b"b", b"c"], (seed, rounds)
    assert rounds > 100


ODD_BATCHES = {
    **{f"{codec}-bomb": bomb(65, codec) for codec in CODECS},
    **{
        f"{codec}-cut": framed(ENCODERS[codec][1](os.urandom(300))[:-7], 1, ENCODERS[codec][0])
        for codec in CODECS
    },
    "unknown codec": framed(b"??", 1, 5),
    "damaged record": framed(b"\x0e" + b"\xff" * 20, 1),
    "odd header": batch([Raw(b"1", None, [(b"\xff", b"x")])]),
}


@pytest.mark.parametrize("name", ODD_BATCHES)
def test_nothing_of_an_odd_batch_stays_in_memory(name: str) -> None:
    """A cycle would keep up to 64 MiB of each for hours: a worker seldom looks for cycles."""
    gc.collect()
    gc.disable()
    try:
        Reading(ODD_BATCHES[name] + three(1))
        kinds = (StoredBatch, LeanPartitionRecords)
        assert not [one for one in gc.get_objects() if isinstance(one, kinds)]
    finally:
        gc.enable()


def test_readable_leaves_unreadable_batches_out() -> None:
    records = FetchedRecords([1, 2])
    assert records.readable() is records
    assert Reading(framed(b"??", 2, 5) + three(2)).parts[0].readable() != []  # type: ignore[attr-defined]
    assert fetcher.MAX_RECORDS_OF_ALL > MAX_RECORDS
