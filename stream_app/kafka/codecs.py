"""Unpacking a record batch's bytes, whatever its codec, up to a bound.

aiokafka unpacks as much as there is: a batch of a few hundred kilobytes can hold gigabytes.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cramjam
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

#: Most bytes that one batch is unpacked to: 16 records of the largest value that is taken (4 MiB),
#: and 64 times what a topic takes of a batch by default (1 MiB). Events compress to a tenth or a
#: twentieth; only what is made to be a burden goes beyond.
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
CODEC_MASK = 0x07
#: First guess of how much a batch grows: most take no second turn.
_GROWTH = 16
_LEAST = 4 * 1024
#: Above this, memory comes from the system: it costs nothing before it is written to.
_PAGED = 4 * 1024 * 1024
_PIECE = 1024 * 1024
#: A producer writes one; the bound keeps a batch of thousands of empty ones from taking minutes.
_MAX_GZIP_MEMBERS = 64
_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16
#: How cramjam says that the output is full.
_FULL = "failed to write whole buffer"

Packed = bytes | memoryview


class UnpackedTooLargeError(Exception):
    """A batch unpacks to more than it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"it unpacks to more than {most:,} bytes")


def unpack(codec: int, data: Packed, most: int = MAX_UNPACKED_BYTES) -> Packed:
    """Return the records of a batch that was compressed with `codec`, as its attributes say.

    Other threads run meanwhile.

    Raises:
        UnpackedTooLargeError: they take more than `most` bytes.
        UnsupportedCodecError: Kafka has no such codec.
        Exception: of the codec: these are no such bytes.
    """
    try:
        unpacker = _UNPACKERS[codec]
    except KeyError:
        raise UnsupportedCodecError(f"unknown compression codec {codec}") from None
    return unpacker(data, most)


def _gzip(data: Packed, most: int) -> bytes:
    pieces: list[bytes] = []
    size = members = 0
    stream = zlib.decompressobj(wbits=31)
    while True:
        piece = stream.decompress(data, _PIECE)
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


def _snappy(data: Packed, most: int) -> bytes:
    """Unpack the blocks of Java's stream format, or one raw block of other clients."""
    if data[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        if cramjam.snappy.decompress_raw_len(data) > most:
            raise UnpackedTooLargeError(most)
        return bytes(cramjam.snappy.decompress_raw(data))
    pieces: list[bytes] = []
    place, end, size = _XERIAL_HEADER_BYTES, len(data), 0
    while place < end:
        (length,) = struct.unpack_from("!i", data, place)
        place += 4
        if not 0 < length <= end - place:
            raise CorruptRecordException(f"a snappy block of {length} bytes")
        block = data[place : place + length]
        size += cramjam.snappy.decompress_raw_len(block)
        if size > most:
            raise UnpackedTooLargeError(most)
        pieces.append(bytes(cramjam.snappy.decompress_raw(block)))
        place += length
    return b"".join(pieces)


def _into(decompress_into: Callable[[Any, Any], int]) -> Callable[[Packed, int], Packed]:
    def unpacked(data: Packed, most: int) -> Packed:
        size = min(most, max(_LEAST, _GROWTH * len(data)))
        while True:
            out = bytearray(size) if size <= _PAGED else mmap.mmap(-1, size)
            try:
                return memoryview(out)[: decompress_into(data, out)]
            except cramjam.DecompressionError as error:
                if _FULL not in str(error):
                    raise
            if size == most:
                raise UnpackedTooLargeError(most)
            size = min(most, _GROWTH * size)

    return unpacked


_UNPACKERS: dict[int, Callable[[Packed, int], Packed]] = {
    1: _gzip,
    2: _snappy,
    3: _into(cramjam.lz4.decompress_into),
    4: _into(cramjam.zstd.decompress_into),
}
