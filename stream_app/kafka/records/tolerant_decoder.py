"""Reading what aiokafka's decoder gives up on, and refusing records that cost too much."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecord

from stream_app.kafka.records.batch_format import HEADER, LOG_APPEND_TIME, Cursor
from stream_app.kafka.records.codecs import PackedBytes

#: Most bytes of one record's headers: more would make an object for each of tens of thousands.
MAX_HEADERS_BYTES = 256 * 1024


def tolerant_records(body: PackedBytes, count: int) -> Iterator[Any]:
    """Yield the records of a batch, whatever their headers' names are."""
    base, _, _, _, _, attributes, _, first_ms, largest_ms, *_ = HEADER.unpack_from(body)
    is_appended = bool(attributes & LOG_APPEND_TIME)
    cursor = Cursor(body, HEADER.size)
    for _ in range(count):
        length = cursor.number()
        end = cursor.place + length
        cursor.number()  # attributes, which mean nothing
        delta_ms, delta = cursor.number(), cursor.number()
        key = cursor.field(cursor.number())
        value = cursor.field(cursor.number())
        headers = [
            ((cursor.field(cursor.number()) or b"").decode(errors="backslashreplace"),
             cursor.field(cursor.number()))
            for _ in range(cursor.number())
        ]  # fmt: skip
        if cursor.place != end:
            raise CorruptRecordException(f"a record of {length} bytes has other fields")
        timestamp = largest_ms if is_appended else first_ms + delta_ms
        yield DefaultRecord(base + delta, timestamp, int(is_appended), key, value, headers)


def check_headers(body: PackedBytes) -> None:
    """Search an unpacked batch for a record with too many headers.

    Raises:
        CorruptRecordException: there is one.
    """
    place, end = HEADER.size, len(body)
    while place < end - 1:
        length, after = body[place], place + 1
        if length >= 0x80:  # noqa: PLR2004 - there is more of this number
            length = (length & 0x7F) | (body[after] << 7)
            after += 1
        if length >= 0x4000:  # noqa: PLR2004 - of three bytes and more
            cursor = Cursor(body, place)
            length = 2 * cursor.number()
            after = cursor.place
            if length < 0:
                return  # the decoder says what is wrong with it
            _check_record(cursor, length // 2)
        place = after + (length >> 1)


def _check_record(cursor: Cursor, length: int) -> None:
    """Check the size of a record's headers; the cursor stands behind the record's length."""
    if length <= MAX_HEADERS_BYTES:
        return
    end = cursor.place + length
    for _ in range(3):
        cursor.number()
    for _ in range(2):
        size = cursor.number()
        cursor.place += max(0, size)
    if end - cursor.place > MAX_HEADERS_BYTES:
        raise CorruptRecordException(
            f"a record has {end - cursor.place:,} bytes of headers, and may have "
            f"{MAX_HEADERS_BYTES:,}"
        )
