"""The consumer groups of the workers: who is in them, and how far behind they are."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaConnectionError,
    NodeNotReadyError,
    NotCoordinatorForGroupError,
    for_code,
)
from aiokafka.protocol.commit import OffsetFetchRequest

from stream_app.kafka.cluster.admin import PROBE_SECONDS, Admin
from stream_app.kafka.cluster.topic_metadata import PartitionId

if TYPE_CHECKING:
    from stream_app.kafka.brokers.admin_client import ClusterAdminClient
    from stream_app.settings import Settings

#: Offset of a partition that a group has never committed.
NOT_COMMITTED = -1
#: A broker that has just started, or never had a group, needs a moment to create their topic. One
#: that has just gone still coordinates the group until the cluster has noticed.
NOT_YET = (
    KafkaConnectionError,
    NodeNotReadyError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)
_PAUSE_SECONDS = 0.2


class RestoringNote(msgspec.Struct, frozen=True):
    """Which member of the group restores its state, and how far it is.

    The member leaves it beside the offsets that it has committed.
    """

    restoring: str
    how_far: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RestoringNote).decode


@dataclass(frozen=True)
class Member:
    """A worker in a group; `partitions` is how many it has of each source topic.

    `restoring` says how far it has read the states of its partitions; it is None if it has them,
    or has only just begun.
    """

    member_id: str
    client_id: str
    host: str
    partitions: Mapping[str, int]
    restoring: str | None = None


@dataclass(frozen=True)
class GroupView:
    """A group as its coordinator knows it; `state` is Kafka's name for it, empty if unknown."""

    group: str
    state: str
    members: tuple[Member, ...]
    committed: Mapping[PartitionId, int]

    def lag(
        self, topic: str, ends: Mapping[PartitionId, int], starts: Mapping[PartitionId, int]
    ) -> int:
        """Return how many records of a topic are not acknowledged.

        A partition without a committed offset is read from its beginning. Removed records are no
        lag.
        """
        total = 0
        for (name, number), end in ends.items():
            if name == topic:
                start = starts[name, number]
                total += max(0, end - max(start, self.committed.get((name, number), start)))
        return total

    def lost(self, topic: str, starts: Mapping[PartitionId, int]) -> int:
        """Return how many records of a topic were removed before they were acknowledged.

        A partition without a committed offset counts as 0, since it may be a first start.
        """
        return sum(
            max(0, start - self.committed.get((name, number), start))
            for (name, number), start in starts.items()
            if name == topic
        )


async def read_role_groups(settings: Settings) -> dict[str, GroupView]:
    """Return the group of each role; one that nobody has joined yet is empty."""
    names = settings.names
    async with Admin(settings) as client:
        return {
            role: await read_group(client, names.group(role), topics)
            for role, topics in names.role_sources().items()
        }


async def read_group(
    client: ClusterAdminClient, name: str, topics: Collection[str] = ()
) -> GroupView:
    """Return one group; wait a while if the broker cannot tell yet.

    Raises:
        KafkaError: it still cannot after `PROBE_SECONDS`, or refuses.
    """
    deadline = time.monotonic() + PROBE_SECONDS
    while True:
        try:
            return await _read_group(client, name, topics)
        except NOT_YET:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)


async def _read_group(client: ClusterAdminClient, name: str, topics: Collection[str]) -> GroupView:
    (response,) = await client.describe_consumer_groups([name])
    (found,) = response.to_object()["groups"]
    if found["error_code"]:
        raise for_code(found["error_code"])(f"group {name}")
    offsets = await client.list_consumer_group_offsets(name)
    committed = {
        place: kept.offset for place, kept in offsets.items() if kept.offset > NOT_COMMITTED
    }
    notes = {place: note for place, kept in offsets.items() if (note := read_note(kept.metadata))}
    members = tuple(_member(row, topics, notes) for row in found["members"])
    return GroupView(name, found["state"], members, committed)


def _member(
    row: Mapping[str, Any],
    topics: Collection[str],
    notes: Mapping[PartitionId, RestoringNote],
) -> Member:
    held: set[PartitionId] = set()
    # While a group rebalances, its members have no assignment.
    with contextlib.suppress(ValueError):
        assignment = ConsumerProtocolMemberAssignment.decode(row["member_assignment"])
        for topic, numbers in assignment.assignment:
            if topic in topics:
                held.update((topic, number) for number in numbers)
    # A note of a member that has lost the partition since says nothing about this one.
    own = [notes[at] for at in held & notes.keys() if notes[at].restoring == row["member_id"]]
    return Member(
        row["member_id"],
        row["client_id"],
        row["client_host"].removeprefix("/"),
        dict(sorted(Counter(topic for topic, _ in held).items())),
        own[0].how_far if own else None,
    )


def note_of(how_far: str, member_id: str) -> str:
    """Return the note of a member as text."""
    return _encode(RestoringNote(member_id, how_far)).decode()


def read_note(metadata: str) -> RestoringNote | None:
    """Return the note beside an offset; None if there is none."""
    try:
        return _decode(metadata) if metadata else None
    except msgspec.MsgspecError:
        return None  # metadata that somebody else has written


async def committed_offsets(
    client: ClusterAdminClient, group: str, partitions: Iterable[PartitionId]
) -> dict[PartitionId, int]:
    """Return the offsets that a group has committed; partitions without one are left out.

    Raises:
        KafkaError: the group's coordinator does not answer, or refuses.
    """
    asked: dict[str, list[int]] = {}
    for topic, number in partitions:
        asked.setdefault(topic, []).append(number)
    coordinator = await client.find_coordinator(group)
    request = OffsetFetchRequest(group, list(asked.items()))
    answer: Any = await client._send_request(request, coordinator)  # noqa: SLF001 - aiokafka's own call takes an error for an answer
    if answer.error_code:
        raise for_code(answer.error_code)(f"group {group}")
    found = {}
    for topic, rows in answer.topics:
        for number, offset, _, code in rows:
            if code:
                raise for_code(code)(topic)
            if offset > NOT_COMMITTED:
                found[topic, number] = offset
    return found
