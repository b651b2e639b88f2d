"""Changelogs as a longer run would have left them.

Two hours of events would take two hours. Instead the records of a shorter run are written again and
again: changes, and a snapshot as often as a worker writes one. Then all records before the last
snapshot but one are deleted, as a worker would have done. The state stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from stream_app.domain.state import packed_log
from stream_app.domain.state.keys import NEVER
from stream_app.domain.state.packed_log import HEAD, GroupKind, KeyValue, PackedPart
from stream_app.settings import Settings
from tests.integration.harness import read_all

_decode = msgspec.msgpack.Decoder(PackedPart).decode


async def lengthen(settings: Settings, times: int, snapshots: int) -> int:
    """Write until the changelogs have had `times` times their records, and trim them.

    Returns:
        How many have been written.

    Raises:
        RuntimeError: the run has left no changes, or no snapshot.
    """
    bootstrap = settings.kafka.bootstrap_servers or ""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    names = [name for name in await admin.list_topics() if name.startswith(settings.topic_prefix)]
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=256 * 1024
    )
    await producer.start()
    number = 0
    for topic in names:
        if topic.endswith(("-windows-changelog", "-cells-hits-changelog")):
            for partition, records in (await read_all(bootstrap, topic)).items():
                trim = RecordsToDelete(0)
                for covers, (key, value) in _again(records, times, snapshots):
                    await producer.send(topic, value, key, partition=partition)
                    number, trim = number + 1, RecordsToDelete(covers + 1)
                await producer.flush()
                await admin.delete_records({TopicPartition(topic, partition): trim})
    await producer.stop()
    await admin.close()
    return number


def _again(records: Sequence[Any], times: int, snapshots: int) -> Iterator[tuple[int, KeyValue]]:
    """Yield all changes of a log again and again, with its newest snapshot in between.

    With each record comes the offset up to which the last snapshot but one covers the log.
    """
    changes, snapshot, written = _parts(records)
    if not changes or not snapshot:
        raise RuntimeError("the run is too short: it has left no changes, or no snapshot")
    wanted, offset, place = written * times, written, 0
    previous = covers = NEVER
    for turn in range(snapshots):
        previous, covers, group = covers, offset - 1, f"again-{turn}"
        for n, part in enumerate(snapshot):
            last = msgspec.structs.replace(part, covers=covers) if part.parts else part
            yield previous, packed_log.record(GroupKind.SNAPSHOT, group, n, last)
        offset += len(snapshot)
        # All changes follow each snapshot at least once: the snapshot is older than they are.
        until = max(wanted * (turn + 1) // snapshots, offset + len(changes))
        while offset < until:
            part = changes[place % len(changes)]
            for record in packed_log.changes(f"again-{turn}-{place}", part.version, [part.rows]):
                yield previous, record
            place, offset = place + 1, offset + 1


def _parts(records: Sequence[Any]) -> tuple[list[PackedPart], list[PackedPart], int]:
    """Return the changes, the parts of the newest whole snapshot, and how long the log has been."""
    changes: list[PackedPart] = []
    groups: dict[bytes, list[PackedPart]] = {}
    written = 0
    for record in records:
        key, part = record.key, _decode(record.value[HEAD:])
        written = record.offset + 1
        if key.startswith(GroupKind.CHANGES.encode()):
            changes.append(part)
        elif key.startswith(GroupKind.SNAPSHOT.encode()):
            groups.setdefault(key.rsplit(b".", 1)[0], []).append(part)
    whole = [parts for parts in groups.values() if parts[-1].parts == len(parts)]
    return changes, whole[-1] if whole else [], written
