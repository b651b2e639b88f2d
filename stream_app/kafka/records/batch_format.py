"""How Kafka lays out a record batch: its headers, its flags, and its numbers of variable length."""

from __future__ import annotations

import struct

from aiokafka.errors import CorruptRecordException

from stream_app.kafka.records.codecs import CODEC_MASK, PackedBytes

#: All formats begin with: offset, length of what follows.
FRAME = struct.Struct(">qi")
#: Where a batch says its format.
MAGIC_AT = 16
#: Format 2: offset, length, epoch, format, checksum, attributes, last offset's delta, first and
#: largest time, producer, its epoch, its sequence, number of records.
HEADER = struct.Struct(">qiibIhiqqqhii")
FORMAT_WITH_HEADER = 2
_ATTRIBUTES_AT = 21
LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20
SPECIAL = TRANSACTIONAL | CONTROL
#: Formats 0 and 1: offset, length, checksum, format, attributes; format 1 has a time behind them.
LEGACY = struct.Struct(">qiIbb")
_VARINT_BITS = 70


def plain_header(raw: PackedBytes) -> bytearray:
    """Return the header of a compressed batch as if the batch were not compressed."""
    header = bytearray(raw[: HEADER.size])
    header[_ATTRIBUTES_AT + 1] &= ~CODEC_MASK
    return header


class Cursor:
    """Reads numbers and fields from bytes, one after the other."""

    def __init__(self, data: PackedBytes, place: int = 0) -> None:
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
        """Return the next bytes, or None if the length is negative.

        Raises:
            CorruptRecordException: there are not so many.
        """
        if length < 0:
            return None
        start, self.place = self.place, self.place + length
        if self.place > len(self.data):
            raise CorruptRecordException(f"a field of {length} bytes, beyond the batch's end")
        return bytes(self.data[start : self.place])
