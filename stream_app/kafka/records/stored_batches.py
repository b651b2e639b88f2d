"""Record batches as the broker stores them: split, unpacked within bounds, and read tolerantly.

What lies on a topic is bytes from strangers. aiokafka's decoder is fast, and reads what it can; it
trusts lengths, gives up on a header's name that is not UTF-8, and unpacks without a bound. So the
frame of a batch is looked at here, and what the decoder gives up on is read by `tolerant_records`.
Message sets of the formats before Kafka 0.11 are always read here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import Any

from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecord, DefaultRecordBatch

from stream_app.kafka.records.codecs import CODEC_MASK, MAX_UNPACKED_BYTES, Packed, unpack

#: What all formats begin with: offset, length of what follows, and (behind four bytes) the format.
FRAME = struct.Struct(">qi")
_MAGIC_AT = 16
#: Format 2: offset, length, epoch, format, checksum, attributes, last offset's delta, first and
#: largest time, producer, its epoch, its sequence, number of records.
HEADER = struct.Struct(">qiibIhiqqqhii")
_ATTRIBUTES_AT = 21
_LOG_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x08, 0x10, 0x20
SPECIAL = _TRANSACTIONAL | _CONTROL
#: Formats 0 and 1: offset, length, checksum, format, attributes; then 1 has a time.
_LEGACY = struct.Struct(">qiIbb")
_LEGACY_CHECKED_FROM = 16
_LZ4 = 3
FORMAT_WITH_HEADER = 2
_VARINT_BITS = 70

#: Most bytes of a record that are all headers: tens of thousands, and an object for each.
MAX_HEADERS_BYTES = 256 * 1024
#: A smaller batch is not looked through for such records: it cannot hold enough of them.
_LOOKED_THROUGH_BYTES = 1024 * 1024


class StoredBatch:
    """One batch of a fetch; the offsets are as its header says.

    `unpack` comes before `records` where it has a `codec`.
    """

    __slots__ = (
        "_attributes", "_body", "_decoder", "after", "base_offset", "error", "format",
        "last_offset", "max_timestamp", "raw", "size",
    )  # fmt: skip

    def __init__(self, raw: memoryview, error: Exception | None = None) -> None:
        self.raw = self._body = raw
        #: Why it cannot be read; None: it can, as far as is known.
        self.error = error
        self.size = len(raw)
        #: Where in the fetch the next one begins; -1: nobody knows.
        self.after = -1
        self.format = raw[_MAGIC_AT] if len(raw) > _MAGIC_AT else -1
        self._decoder = None
        self.base_offset = self.last_offset = -1
        self._attributes = self.max_timestamp = 0
        if self.format == FORMAT_WITH_HEADER and len(raw) >= HEADER.size:
            self._decoder = header = DefaultRecordBatch(raw)
            self.base_offset = header.base_offset
            self.last_offset = self.base_offset + header.last_offset_delta
            self._attributes = header.attributes
            self.max_timestamp = header.max_timestamp
        elif self.format in (0, 1) and len(raw) >= _LEGACY.size:
            self.base_offset, _, _, _, self._attributes = _LEGACY.unpack_from(raw)
            self.last_offset = self.base_offset
        elif error is None:
            self.error = CorruptRecordException(
                f"a batch of format {self.format} and {len(raw)} bytes"
            )

    @property
    def count(self) -> int:
        """How many records its header says that it has."""
        if self._decoder is None:
            return 1
        return int.from_bytes(self.raw[HEADER.size - 4 : HEADER.size], "big", signed=True)

    @property
    def producer_id(self) -> int | None:
        """Who wrote it; None: the format does not say."""
        return None if self._decoder is None else self._decoder.producer_id

    @property
    def is_transactional(self) -> bool:
        """Tell whether it is part of a transaction."""
        return self._decoder is not None and bool(self._attributes & _TRANSACTIONAL)

    @property
    def is_control_batch(self) -> bool:
        """Tell whether it is a mark of the broker's, and no data."""
        return self._decoder is not None and bool(self._attributes & _CONTROL)

    @property
    def codec(self) -> int:
        """The compression by its number; 0: none."""
        return self._attributes & CODEC_MASK

    def has_valid_checksum(self) -> bool:
        """Tell whether the bytes are those that were written."""
        if self._decoder is not None:
            return bool(self._decoder.validate_crc())
        (found,) = struct.unpack_from(">I", self.raw, FRAME.size)
        return bool(zlib.crc32(self.raw[_LEGACY_CHECKED_FROM:]) == found)

    def unpack(self) -> None:
        """Unpack what is compressed; `error` says why it could not be.

        It takes up to half a second, in which other threads run.
        """
        if self.error is not None or not self.codec:
            return
        # What cannot be unpacked has been work, too.
        self.size = MAX_UNPACKED_BYTES
        try:
            if self._decoder is not None:
                body = unpack(self.codec, self.raw[HEADER.size :], head=plain_header(self.raw))
                self._body = memoryview(body)
                if len(body) > _LOOKED_THROUGH_BYTES:
                    _check_headers(body)
                self._decoder = DefaultRecordBatch(self._body)
            else:
                self._body = memoryview(_legacy_unpacked(self.raw))
            self.size = len(self._body)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - each codec has its own
            self.error = error

    def records(self) -> Iterator[Any]:
        """Return the records, as aiokafka's decoder reads them; it may give up at any of them."""
        if self._decoder is not None:
            # The decoder's own iterator may not be taken up a second time.
            return chain(self._decoder)
        return _legacy_records(self.raw, self._body)

    def tolerant_records(self) -> Iterator[Any]:
        """Return the records whatever their headers' names are; slowly.

        Raises:
            Exception: the bytes make no sense from here on.
        """
        if self._decoder is None:
            return _legacy_records(self.raw, self._body)
        return _tolerant_records(self._body, self.count)


def plain_header(raw: Packed) -> bytearray:
    """Return the header of a compressed batch as it is of one that is not."""
    header = bytearray(raw[: HEADER.size])
    header[_ATTRIBUTES_AT + 1] &= ~CODEC_MASK
    return header


class Batches:
    """The batches of a fetch, one after the other; of what makes no sense one with an `error`.

    That is the last one. The broker cuts off what is more than was asked for, but never in the
    first batch.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._view = memoryview(data)
        #: Where the next one begins.
        self.place = 0

    def __iter__(self) -> Batches:
        """Return itself."""
        return self

    def __next__(self) -> StoredBatch:
        """Return the next batch."""
        view, place, end = self._view, self.place, len(self._view)
        self.place = end
        if end - place >= FRAME.size:
            _, length = FRAME.unpack_from(view, place)
            after = place + FRAME.size + length
            if length < _LEGACY.size - FRAME.size:
                error = CorruptRecordException(f"a batch of {length} bytes")
                return StoredBatch(view[place:], error)
            if after <= end:
                batch = StoredBatch(view[place:after])
                if batch.error is not None and length < HEADER.size:
                    # Too short for what it is: nobody knows where the next one begins.
                    return StoredBatch(view[place:], batch.error)
                self.place = batch.after = after
                return batch
        if place == 0 and end:
            return StoredBatch(view, CorruptRecordException("the batch is cut short"))
        raise StopIteration

    def offset_behind(self, batch: StoredBatch) -> int | None:
        """Return the first offset of what comes behind a batch, cut off as well; None: unknown.

        A message set of an older format begins with the offset of its last message.
        """
        place = batch.after
        if place < 0 or len(self.data) <= place + _MAGIC_AT:
            return None
        offset, _ = FRAME.unpack_from(self._view, place)
        return offset if self.data[place + _MAGIC_AT] == FORMAT_WITH_HEADER else None


class Cursor:
    """Reads numbers and fields from bytes, one after the other."""

    def __init__(self, data: Packed, place: int = 0) -> None:
        self.data = data
        self.place = place

    def number(self) -> int:
        """Return the next variable-length number.

        Raises:
            IndexError: there is none.
            CorruptRecordException: it has too many digits.
        """
        data, place = self.data, self.place
        found = shift = 0
        while True:
            byte = data[place]
            place += 1
            found |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
                break
            shift += 7
            if shift >= _VARINT_BITS:
                raise CorruptRecordException("a number of more than ten bytes")
        self.place = place
        return (found >> 1) ^ -(found & 1)

    def field(self, length: int) -> bytes | None:
        """Return the next bytes; of a negative length: None.

        Raises:
            CorruptRecordException: there are fewer.
        """
        if length < 0:
            return None
        start, self.place = self.place, self.place + length
        if self.place > len(self.data):
            raise CorruptRecordException(f"a field of {length} bytes, beyond the batch's end")
        return bytes(self.data[start : self.place])


def _tolerant_records(body: Packed, count: int) -> Iterator[Any]:
    base, _, _, _, _, attributes, _, first_ms, largest_ms, *_ = HEADER.unpack_from(body)
    is_appended = bool(attributes & _LOG_APPEND_TIME)
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


def _check_headers(body: Packed) -> None:
    """Look through an unpacked batch for a record that is a burden by its number of headers.

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
    """Look whether too much of a record is its headers; the cursor stands behind its length."""
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


def _legacy_unpacked(raw: Packed) -> bytes:
    """Return the messages inside a compressed one."""
    _, form, attributes, _, _, value = _legacy_message(raw, 0)
    if attributes & CODEC_MASK == _LZ4 and form == 0:
        raise UnsupportedCodecError("lz4 of Kafka 0.8 and 0.9")
    return unpack(attributes & CODEC_MASK, value or b"")


def _legacy_records(raw: Packed, inner: Packed) -> Iterator[Any]:
    """Yield the record that a message is, or those that are packed `inner` it."""
    offset, form, attributes, timestamp, key, value = _legacy_message(raw, 0)
    is_appended = int(bool(attributes & _LOG_APPEND_TIME))
    if not attributes & CODEC_MASK:
        yield DefaultRecord(offset, timestamp, is_appended, key, value, [])
        return
    places = list(_legacy_places(inner))
    if not places:
        raise CorruptRecordException("a compressed message holds none")
    # Of format 1 the offsets are relative, and the outer one is the last's.
    base = offset - FRAME.unpack_from(inner, places[-1])[0] if form else 0
    for place in places:
        delta, _, nested, own_ms, key, value = _legacy_message(inner, place)
        if nested & CODEC_MASK:
            raise CorruptRecordException("a compressed message inside a compressed message")
        ms = timestamp if is_appended else own_ms
        yield DefaultRecord(base + delta, ms, is_appended, key, value, [])


def _legacy_places(data: Packed) -> Iterator[int]:
    place = 0
    while place < len(data):
        yield place
        _, length = FRAME.unpack_from(data, place)
        if length < _LEGACY.size - FRAME.size:
            raise CorruptRecordException(f"a message of {length} bytes")
        place += FRAME.size + length
    if place > len(data):
        raise CorruptRecordException("the last message is cut short")


def _legacy_message(
    data: Packed, place: int
) -> tuple[int, int, int, int, bytes | None, bytes | None]:
    """Return offset, format, attributes, time (0: none), key and value of a message."""
    offset, _, _, form, attributes = _LEGACY.unpack_from(data, place)
    place += _LEGACY.size
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
