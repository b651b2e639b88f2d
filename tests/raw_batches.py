"""Makes record batches by hand, including some that no client would make, and sends them as is."""

from __future__ import annotations

import asyncio
import itertools
import random
import struct
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import cramjam
from aiokafka.client import AIOKafkaClient
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c, encode_varint
from aiokafka.structs import TopicPartition

ENCODERS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "none": (0, bytes),
    "gzip": (1, gzip_encode),
    "snappy": (2, snappy_encode),
    "lz4": (3, lz4_encode),
    "zstd": (4, zstd_encode),
}
CODECS = ("gzip", "snappy", "lz4", "zstd")
#: Where in a batch the checksum of everything after it stands.
CHECKSUM_AT = 17
#: Error codes for a topic that was just made: the broker does not know yet who leads it.
_LEADER_UNKNOWN = (3, 5, 6)


class Raw(NamedTuple):
    """A record before it is encoded; its headers' names are bytes."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[bytes, bytes | None]] = ()


def varint(number: int) -> bytes:
    out = bytearray()
    encode_varint(number, out.append)
    return bytes(out)


def _field(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def encode(record: Raw, delta: int) -> bytes:
    """Return the bytes of a record."""
    names = b"".join(varint(len(n)) + n + _field(value) for n, value in record.headers)
    rest = b"".join(
        (b"\0", varint(0), varint(delta), _field(record.key), _field(record.value),
         varint(len(record.headers)), names)
    )  # fmt: skip
    return varint(len(rest)) + rest


def batch(records: Sequence[Raw], codec: str = "none", base: int = 0) -> bytes:
    """Return a batch of records."""
    body = b"".join(encode(record, delta) for delta, record in enumerate(records))
    number, encoder = ENCODERS[codec]
    return framed(encoder(body), len(records), number, base)


def framed(body: bytes, count: int, attributes: int = 0, base: int = 0) -> bytes:
    """Return a batch with any bytes for its records, and a checksum that is right."""
    now_ms = time.time_ns() // 1_000_000
    checked = (
        struct.pack(">hiqqqhii", attributes, count - 1, now_ms, now_ms, -1, -1, -1, count) + body
    )
    crc = calc_crc32c(checked)
    return struct.pack(">qiibI", base, len(checked) + 9, 0, 2, crc) + checked


def _streamed(pieces: Iterable[bytes], codec: str) -> bytes:
    """Return the compressed pieces, which are never in memory together uncompressed."""
    if codec == "snappy":
        found = [b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)]
        for piece in pieces:
            block = bytes(cramjam.snappy.compress_raw(piece))
            found.append(struct.pack(">i", len(block)) + block)
        return b"".join(found)
    if codec == "gzip":
        stream = zlib.compressobj(9, wbits=31)
        return b"".join([*map(stream.compress, pieces), stream.flush()])
    if codec == "lz4":
        options: dict[str, Any] = {"content_checksum": False, "block_linked": False}
        compressor: Any = cramjam.lz4.Compressor(level=9, **options)
    else:
        compressor = cramjam.zstd.Compressor(level=3)
    for piece in pieces:
        compressor.compress(piece)
    return bytes(compressor.finish())


def bomb(mebibytes: int, codec: str, base: int = 0, key: bytes | None = None) -> bytes:
    """Return a sound batch of one record whose value is so many zeros."""
    size = mebibytes << 20
    head = b"\0" + varint(0) + varint(0) + _field(key) + varint(size)
    head = varint(len(head) + size + 1) + head
    pieces = itertools.chain([head], itertools.repeat(bytes(1 << 20), mebibytes), [b"\0"])
    return framed(_streamed(pieces, codec), 1, ENCODERS[codec][0], base)


@asynccontextmanager
async def raw_client(servers: str, topic: str) -> AsyncIterator[AIOKafkaClient]:
    """Connect a client that knows who leads the partitions of a topic."""
    client = AIOKafkaClient(bootstrap_servers=servers)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        await client.force_metadata_update()
        yield client
    finally:
        await client.close()


async def produce_raw(servers: str, topic: str, partition: int, raw: bytes) -> int:
    """Send the bytes of a batch; return the broker's error code, 0 for none."""
    async with raw_client(servers, topic) as client:
        return await send_raw(client, topic, partition, raw)


async def send_raw(client: AIOKafkaClient, topic: str, partition: int, raw: bytes) -> int:
    """Send the bytes of a batch; return the broker's error code, 0 for none."""
    node = client.cluster.leader_for_partition(TopicPartition(topic, partition))
    request = ProduceRequest(
        required_acks=-1,
        timeout=30_000,
        topics=[(topic, [(partition, raw)])],
        transactional_id=None,
    )
    for _ in range(50):
        response: Any = await client.send(node, request)
        code = int(response.topics[0][1][0][1])
        if code not in _LEADER_UNKNOWN:
            break
        await asyncio.sleep(0.2)
    return code


async def fetch_raw(servers: str, topic: str, partition: int, offset: int = 0) -> bytes:
    """Return the bytes of a partition's batches from an offset on, as the broker has them."""
    async with raw_client(servers, topic) as client:
        node = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        most = 16 << 20
        wanted = [(topic, [(partition, offset, most)])]
        response: Any = await client.send(node, FetchRequest(500, 1, most, 0, wanted, rack_id=""))
        return bytes(response.topics[0][1][0][-1] or b"")


def mutated(chance: random.Random, sound: bytes) -> bytes:
    """Return a batch with some bytes changed, mostly with a checksum that is right again."""
    data = bytearray(sound)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data))
        if (kind := chance.random()) < 0.7:
            data[place] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        elif kind < 0.85:
            del data[place : place + chance.randint(1, 20)]
        else:
            data[place:place] = chance.randbytes(chance.randint(1, 20))
    if chance.random() < 0.8 and len(data) > 61:
        if data[16] == 2:
            crc = calc_crc32c(bytes(data[21:]))
            struct.pack_into(">I", data, CHECKSUM_AT, crc)
        else:
            struct.pack_into(">I", data, 12, zlib.crc32(bytes(data[16:])))
    if chance.random() < 0.8 and len(data) > 12:
        struct.pack_into(">i", data, 8, len(data) - 12)
    return bytes(data)
