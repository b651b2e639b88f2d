"""Unpacking the bytes of a record batch, up to a bound.

aiokafka has no bound: a batch of a few hundred kilobytes can unpack to gigabytes.
"""

from __future__ import annotations

import mmap
import struct
import threading
import zlib
from collections.abc import Callable
from typing import Any

import cramjam
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

#: Most bytes that one batch is unpacked to: 16 records of the largest accepted value (4 MiB), or
#: 64 times the largest batch that a topic takes by default (1 MiB). Events compress to a tenth or a
#: twentieth, so only a batch that is made to do harm goes beyond.
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
CODEC_MASK = 0x07
#: Each thread has a buffer that most batches fit into. It is used again, because new memory costs
#: more time than unpacking a small batch.
_SCRATCH_BYTES = 1024 * 1024
#: A compressed batch of more than a fourth of the buffer is given more room from the beginning.
_SCRATCH_SHARE = 4
_PIECE = 1024 * 1024
#: A producer writes one. The bound keeps a batch of thousands of empty ones from taking minutes.
_MAX_GZIP_MEMBERS = 64
_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16
_XERIAL_LENGTH = struct.Struct(">i")
#: In cramjam's error when the output is full.
_FULL = "failed to write whole buffer"

PackedBytes = bytes | bytearray | memoryview


class UnpackedTooLargeError(Exception):
    """A batch unpacks to more bytes than allowed."""

    def __init__(self, most: int) -> None:
        super().__init__(f"it unpacks to more than {most:,} bytes")


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.room = memoryview(bytearray(_SCRATCH_BYTES))


_SCRATCH = _Scratch()


def unpack(
    codec: int, data: PackedBytes, most: int = MAX_UNPACKED_BYTES, head: PackedBytes = b""
) -> bytes:
    """Return `head` followed by the unpacked records of a batch. Other threads run meanwhile.

    Raises:
        UnpackedTooLargeError: they take more than `most` bytes.
        UnsupportedCodecError: Kafka has no such codec.
        Exception: the codec's own, if the bytes are not valid.
    """
    try:
        unpacker = _UNPACKERS[codec]
    except KeyError:
        raise UnsupportedCodecError(f"unknown compression codec {codec}") from None
    return unpacker(data, most, head)


def _gzip(data: PackedBytes, most: int, head: PackedBytes) -> bytes:
    pieces: list[PackedBytes] = [head]
    size = members = 0
    stream = zlib.decompressobj(wbits=31)
    while True:
        piece = stream.decompress(data, min(most + 1, _PIECE))
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise UnpackedTooLargeError(most)
        if stream.eof:
            data, members = stream.unused_data.lstrip(b"\0"), members + 1
            if not data:
                return b"".join(pieces)
            if members == _MAX_GZIP_MEMBERS:
                raise CorruptRecordException(f"more than {members} gzip streams")
            stream = zlib.decompressobj(wbits=31)
            continue
        data = stream.unconsumed_tail
        if not data and not piece:
            raise CorruptRecordException("the gzip stream is cut short")


def _snappy(data: PackedBytes, most: int, head: PackedBytes) -> bytes:
    """Unpack the blocks of Java's stream format, or one raw block of other clients."""
    if data[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        if cramjam.snappy.decompress_raw_len(data) > most:
            raise UnpackedTooLargeError(most)
        return b"".join((head, cramjam.snappy.decompress_raw(data)))
    pieces: list[Any] = [head]
    place, end, size = _XERIAL_HEADER_BYTES, len(data), 0
    while place < end:
        (length,) = _XERIAL_LENGTH.unpack_from(data, place)
        place += 4
        if not 0 < length <= end - place:
            raise CorruptRecordException(f"a snappy block of {length} bytes")
        block = data[place : place + length]
        size += cramjam.snappy.decompress_raw_len(block)
        if size > most:
            raise UnpackedTooLargeError(most)
        pieces.append(cramjam.snappy.decompress_raw(block))
        place += length
    return b"".join(pieces)


def _into(
    decompress_into: Callable[[Any, Any], int],
) -> Callable[[PackedBytes, int, PackedBytes], bytes]:
    def unpacked(data: PackedBytes, most: int, head: PackedBytes) -> bytes:
        if _SCRATCH_SHARE * len(data) <= _SCRATCH_BYTES:
            room = _SCRATCH.room
            try:
                size = decompress_into(data, room)
            except cramjam.DecompressionError as error:
                if _FULL not in str(error):
                    raise
            else:
                if size > most:
                    raise UnpackedTooLargeError(most)
                return b"".join((head, room[:size]))
            if most <= _SCRATCH_BYTES:
                raise UnpackedTooLargeError(most)
        # Pages of the system cost nothing until they are written to.
        with mmap.mmap(-1, most, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as paged:
            try:
                size = decompress_into(data, paged)
            except cramjam.DecompressionError as error:
                if _FULL not in str(error):
                    raise
                raise UnpackedTooLargeError(most) from None
            with memoryview(paged) as whole, whole[:size] as found:
                return b"".join((head, found))

    return unpacked


_UNPACKERS: dict[int, Callable[[PackedBytes, int, PackedBytes], bytes]] = {
    1: _gzip,
    2: _snappy,
    3: _into(cramjam.lz4.decompress_into),
    4: _into(cramjam.zstd.decompress_into),
}
