"""Small batches with nothing special about them: many are read in one go.

A producer that does not wait sends each record as a batch of its own. Checking each batch, and
making objects for it, is then most of the work.
"""

from __future__ import annotations

import struct
import time
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatch

from stream_app.kafka.records.batch_format import (
    FORMAT_WITH_HEADER,
    FRAME,
    HEADER,
    SPECIAL,
    plain_header,
)
from stream_app.kafka.records.codecs import CODEC_MASK, unpack
from stream_app.kafka.records.stored_batches import Batches

#: Most bytes of such a batch, unpacked as well.
SMALL_BYTES = 16 * 1024
#: Parts of a header: offset, length, format, attributes, last offset's delta, number of records.
_SHORT_HEADER = struct.Struct(">qi4xb4xhi30xi")
_read_header = _SHORT_HEADER.unpack_from
_HEADER_BYTES, _FRAME_BYTES = HEADER.size, FRAME.size
_LEAST_LENGTH = _HEADER_BYTES - _FRAME_BYTES
#: The clock is looked at after this many bytes, which take a few milliseconds at most.
_LOOK_BYTES = 64 * 1024


class SmallBatches:
    """Reads the batches of a fetch for as long as nothing is special about them."""

    def __init__(self, batches: Batches, *, check_crcs: bool) -> None:
        self._batches = batches
        self._check_crcs = check_crcs
        #: Where a batch begins that looks small, but must be read the slow way.
        self._refused_at = -1

    def is_next(self) -> bool:
        """Tell whether the next batch looks small and plain."""
        place, data = self._batches.place, self._batches.data
        if place == self._refused_at or len(data) - place < _HEADER_BYTES:
            return False
        _, length, form, attributes, _, _ = _read_header(data, place)
        return bool(
            length <= SMALL_BYTES and form == FORMAT_WITH_HEADER and not attributes & SPECIAL
        )

    def take(  # noqa: C901 - a call for each batch is what this saves
        self, most: int, offset: int, deadline: float
    ) -> tuple[list[Any], int]:
        """Return the records of the next batches, and the offset behind the last of these.

        It stops before a batch that is odd in any way or has too many records.

        Args:
            most: how many records at most.
            offset: of the first record that is wanted.
            deadline: no further batch is begun after this time.
        """
        records: list[Any] = []
        batches, data, check_crcs = self._batches, self._batches.data, self._check_crcs
        place, end, taken, work = batches.place, len(data), 0, 0
        try:
            while end - place >= _HEADER_BYTES and place != self._refused_at:
                base, length, form, attributes, delta, count = _read_header(data, place)
                after = place + _FRAME_BYTES + length
                if taken + count > most and taken:
                    break
                if (
                    form != FORMAT_WITH_HEADER
                    or attributes & SPECIAL
                    or not _LEAST_LENGTH <= length <= SMALL_BYTES
                    or after > end
                    or taken + count > most
                ):
                    raise _NotSmallError  # noqa: TRY301 - as whatever a decoder says of bytes
                raw = data[place:after]
                batch = DefaultRecordBatch(raw)
                if check_crcs and not batch.validate_crc():
                    raise _NotSmallError  # noqa: TRY301
                work += length
                if codec := attributes & CODEC_MASK:
                    packed = raw[_HEADER_BYTES:]
                    body = unpack(codec, packed, SMALL_BYTES, plain_header(raw))
                    work += len(body)
                    batch = DefaultRecordBatch(body)
                last = base + delta
                if count == 1:
                    (record,) = batch
                    records.append(record)
                    is_sound = offset <= record.offset <= last
                else:
                    records += batch
                    is_sound = offset <= records[taken].offset <= records[-1].offset <= last
                if not is_sound:
                    raise _NotSmallError  # noqa: TRY301
                offset, place, taken = last + 1, after, len(records)
                if work > _LOOK_BYTES:
                    work = 0
                    if time.monotonic() > deadline:
                        break
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - it is read once more, and tolerantly
            self._refused_at = place
            del records[taken:]
        batches.place = place
        return records, offset


class _NotSmallError(Exception):
    """A batch must be read the slow way."""
