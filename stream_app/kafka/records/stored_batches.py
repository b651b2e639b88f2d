"""Record batches as the broker stores them: split, unpacked within bounds, and read tolerantly.

The bytes on a topic may come from anybody. aiokafka's decoder is fast, but it trusts lengths,
gives up on a header's name that is not UTF-8, and unpacks without a bound. So a batch is checked
here before the decoder gets it, and `tolerant_records` reads what the decoder gives up on.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import Any

from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch

from stream_app.kafka.records.batch_format import (
    CONTROL,
    FORMAT_WITH_HEADER,
    FRAME,
    HEADER,
    LEGACY,
    MAGIC_AT,
    TRANSACTIONAL,
    plain_header,
)
from stream_app.kafka.records.codecs import CODEC_MASK, MAX_UNPACKED_BYTES, unpack
from stream_app.kafka.records.legacy_messages import legacy_records, unpack_legacy
from stream_app.kafka.records.tolerant_decoder import check_headers, tolerant_records

_LEGACY_CHECKED_FROM = 16
#: A smaller batch is not searched for records with too many headers: it cannot hold enough.
_LOOKED_THROUGH_BYTES = 1024 * 1024


def without_frames(error: Exception) -> Exception:
    """Return an error that is kept without the calls that it came through.

    They hold what was unpacked, and the one that keeps the error: a cycle that stays for hours.
    """
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


class StoredBatch:
    """One batch of a fetch, with the offsets that its header gives.

    If it has a `codec`, call `unpack` before `records`.
    """

    __slots__ = (
        "_attributes", "_body", "_decoder", "after", "base_offset", "error", "format",
        "last_offset", "max_timestamp", "raw", "size",
    )  # fmt: skip

    def __init__(self, raw: memoryview, error: Exception | None = None) -> None:
        self.raw = self._body = raw
        #: Why it cannot be read; None as long as nothing is known to be wrong.
        self.error = error
        self.size = len(raw)
        #: Where the next batch begins in the fetch; -1 if unknown.
        self.after = -1
        self.format = raw[MAGIC_AT] if len(raw) > MAGIC_AT else -1
        self._decoder = None
        self.base_offset = self.last_offset = -1
        self._attributes = self.max_timestamp = 0
        if self.format == FORMAT_WITH_HEADER and len(raw) >= HEADER.size:
            self._decoder = header = DefaultRecordBatch(raw)
            self.base_offset = header.base_offset
            self.last_offset = self.base_offset + header.last_offset_delta
            self._attributes = header.attributes
            self.max_timestamp = header.max_timestamp
        elif self.format in (0, 1) and len(raw) >= LEGACY.size:
            self.base_offset, _, _, _, self._attributes = LEGACY.unpack_from(raw)
            self.last_offset = self.base_offset
        elif error is None:
            self.error = CorruptRecordException(
                f"a batch of format {self.format} and {len(raw)} bytes"
            )

    @property
    def count(self) -> int:
        """The number of records, as the header gives it."""
        if self._decoder is None:
            return 1
        return int.from_bytes(self.raw[HEADER.size - 4 : HEADER.size], "big", signed=True)

    @property
    def producer_id(self) -> int | None:
        """The producer's id; None if the format has none."""
        return None if self._decoder is None else self._decoder.producer_id

    @property
    def is_transactional(self) -> bool:
        """Tell whether it is part of a transaction."""
        return self._decoder is not None and bool(self._attributes & TRANSACTIONAL)

    @property
    def is_control_batch(self) -> bool:
        """Tell whether it is a marker of the broker, not data."""
        return self._decoder is not None and bool(self._attributes & CONTROL)

    @property
    def codec(self) -> int:
        """The number of the compression codec; 0 for none."""
        return self._attributes & CODEC_MASK

    def has_valid_checksum(self) -> bool:
        """Tell whether the checksum fits the bytes."""
        if self._decoder is not None:
            return bool(self._decoder.validate_crc())
        (found,) = struct.unpack_from(">I", self.raw, FRAME.size)
        return bool(zlib.crc32(self.raw[_LEGACY_CHECKED_FROM:]) == found)

    def unpack(self) -> None:
        """Unpack the batch, or set `error` to the reason why that is not possible.

        It takes up to half a second, while other threads run.
        """
        if self.error is not None or not self.codec:
            return
        # A failed attempt counts as the most work.
        self.size = MAX_UNPACKED_BYTES
        try:
            if self._decoder is not None:
                body = unpack(self.codec, self.raw[HEADER.size :], head=plain_header(self.raw))
                self._body = memoryview(body)
                if len(body) > _LOOKED_THROUGH_BYTES:
                    check_headers(body)
                self._decoder = DefaultRecordBatch(self._body)
            else:
                self._body = memoryview(unpack_legacy(self.raw))
            self.size = len(self._body)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - each codec has errors of its own
            self.error = without_frames(error)

    def records(self) -> Iterator[Any]:
        """Return the records as aiokafka's decoder reads them; it may fail at any of them."""
        if self._decoder is not None:
            # The decoder itself cannot be iterated over a second time.
            return chain(self._decoder)
        return legacy_records(self.raw, self._body)

    def tolerant_records(self) -> Iterator[Any]:
        """Return the records slowly, whatever their headers' names are.

        Raises:
            Exception: the rest of the bytes makes no sense.
        """
        if self._decoder is None:
            return legacy_records(self.raw, self._body)
        return tolerant_records(self._body, self.count)


class Batches:
    """The batches of a fetch, one after the other.

    Bytes that make no sense become one last batch with an `error`. The broker cuts off what goes
    beyond the size of a fetch, but never within the first batch.
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
            if length < LEGACY.size - FRAME.size:
                error = CorruptRecordException(f"a batch of {length} bytes")
                return StoredBatch(view[place:], error)
            if after <= end:
                batch = StoredBatch(view[place:after])
                if batch.error is not None and length < HEADER.size:
                    # Too short for its format, so nobody knows where the next one begins.
                    return StoredBatch(view[place:], batch.error)
                self.place = batch.after = after
                return batch
        if place == 0 and end:
            return StoredBatch(view, CorruptRecordException("the batch is cut short"))
        raise StopIteration

    def offset_behind(self, batch: StoredBatch) -> int | None:
        """Return the first offset behind a batch, even if that part is cut off; None: unknown.

        It is unknown before an older format, which begins with the offset of its last message.
        """
        place = batch.after
        if place < 0 or len(self.data) <= place + MAGIC_AT:
            return None
        offset, _ = FRAME.unpack_from(self._view, place)
        return offset if self.data[place + MAGIC_AT] == FORMAT_WITH_HEADER else None
