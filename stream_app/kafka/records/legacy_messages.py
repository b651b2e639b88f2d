"""Messages of the formats before Kafka 0.11, all of which are read here."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecord

from stream_app.kafka.records.batch_format import FRAME, LEGACY, LOG_APPEND_TIME, Cursor
from stream_app.kafka.records.codecs import CODEC_MASK, PackedBytes, unpack

_LZ4 = 3


def unpack_legacy(raw: PackedBytes) -> bytes:
    """Return the messages inside a compressed one."""
    _, form, attributes, _, _, value = _message(raw, 0)
    if attributes & CODEC_MASK == _LZ4 and form == 0:
        raise UnsupportedCodecError("lz4 of Kafka 0.8 and 0.9")
    return unpack(attributes & CODEC_MASK, value or b"")


def legacy_records(raw: PackedBytes, inner: PackedBytes) -> Iterator[Any]:
    """Yield the record that a message is, or the ones packed inside it (`inner`)."""
    offset, form, attributes, timestamp, key, value = _message(raw, 0)
    is_appended = int(bool(attributes & LOG_APPEND_TIME))
    if not attributes & CODEC_MASK:
        yield DefaultRecord(offset, timestamp, is_appended, key, value, [])
        return
    places = list(_places(inner))
    if not places:
        raise CorruptRecordException("a compressed message holds none")
    # In format 1 the offsets inside are relative; the outer one is that of the last message.
    base = offset - FRAME.unpack_from(inner, places[-1])[0] if form else 0
    for place in places:
        delta, _, nested, own_ms, key, value = _message(inner, place)
        if nested & CODEC_MASK:
            raise CorruptRecordException("a compressed message inside a compressed message")
        ms = timestamp if is_appended else own_ms
        yield DefaultRecord(base + delta, ms, is_appended, key, value, [])


def _places(data: PackedBytes) -> Iterator[int]:
    place = 0
    while place < len(data):
        yield place
        _, length = FRAME.unpack_from(data, place)
        if length < LEGACY.size - FRAME.size:
            raise CorruptRecordException(f"a message of {length} bytes")
        place += FRAME.size + length
    if place > len(data):
        raise CorruptRecordException("the last message is cut short")


def _message(
    data: PackedBytes, place: int
) -> tuple[int, int, int, int, bytes | None, bytes | None]:
    """Return offset, format, attributes, time (0: none), key and value of a message."""
    offset, _, _, form, attributes = LEGACY.unpack_from(data, place)
    place += LEGACY.size
    timestamp = 0
    if form == 1:
        (timestamp,) = struct.unpack_from(">q", data, place)
        place += 8
    fields = []
    for _ in range(2):
        (length,) = struct.unpack_from(">i", data, place)
        cursor = Cursor(data, place + 4)
        fields.append(cursor.field(length))
        place = cursor.place
    return offset, form, attributes, timestamp, fields[0], fields[1]
