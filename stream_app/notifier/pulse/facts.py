"""What the cluster tells of the workers: who is there, and what stands still."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka.consumer.fetcher import OffsetResetStrategy
from aiokafka.errors import KafkaError

from stream_app.domain.errors import StreamAppError, error_text
from stream_app.domain.pulse.movement import Movement
from stream_app.domain.pulse.note import PulseReason, PulseStop
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.groups import GroupView, read_group
from stream_app.kafka.cluster.topic_metadata import ends_of, topic_metadata
from stream_app.kafka.cluster.topics import EVENT_TOPICS, Topic, TopicNames
from stream_app.kafka.engine.app import CLIENT_ID

if TYPE_CHECKING:
    from stream_app.kafka.brokers.admin_client import ClusterAdminClient
    from stream_app.settings import Settings

#: Topics whose records wait only if a worker does not take them. In a topic of events a producer's
#: transaction may also leave a marker that nobody commits; there the pulse's events are the proof.
OWN_TOPICS = (Topic.COUNTS, Topic.ALERTS, Topic.DELIVERIES, Topic.RESULTS)
#: With one of these an event could not come through, or an older worker would refuse it.
NO_EVENT = frozenset({PulseReason.NO_WORKER, PulseReason.OLDER_WORKER, PulseReason.NOT_READ})


@dataclass(frozen=True)
class PulseFacts:
    """What stops the pulse, and how many partitions the topics of events have, by full name."""

    stops: Sequence[PulseStop]
    partitions: Mapping[str, int]

    @property
    def may_send(self) -> bool:
        """Whether an event may be sent."""
        return not any(stop.reason in NO_EVENT for stop in self.stops)


class FactsReader:
    """Reads the facts. It needs no right to read a topic, but only to describe it.

    Args:
        still_ms: how long a partition may have records and not advance.
    """

    def __init__(self, settings: Settings, still_ms: int, steady_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._steady_ms = steady_ms
        self._names = TopicNames(settings.topic_prefix)
        self._movement = Movement(still_ms)

    async def read(self) -> PulseFacts:
        """Return the facts; one of them may be that they cannot be read."""
        try:
            async with Admin(self._settings) as client:
                return await self._read(client)
        except (StreamAppError, KafkaError, OSError) as error:
            why = f"the workers' groups and topics cannot be read: {error_text(error)}"
            return PulseFacts([PulseStop(PulseReason.NOT_READ, why)], {})

    async def _read(self, client: ClusterAdminClient) -> PulseFacts:
        names, sources = self._names, self._names.role_sources()
        groups = {
            role: await read_group(client, names.group(role), topics)
            for role, topics in sources.items()
        }
        cluster = client.kafka
        topics = list(dict.fromkeys(topic for found in sources.values() for topic in found))
        known = await topic_metadata(cluster, topics)
        counts = {topic: len(known[topic].leaders) for topic in topics if topic in known}
        own = [names(topic) for topic in OWN_TOPICS]
        places = [(topic, number) for topic in own for number in range(counts.get(topic, 0))]
        ends = await ends_of(cluster, places, known)
        starts = await ends_of(cluster, places, known, which=OffsetResetStrategy.EARLIEST)
        offsets = {
            place: (max(at, starts.get(place, 0)), ends[place])
            for group in groups.values()
            for place, at in group.committed.items()
            if place in ends
        }
        stuck = self._movement.stuck(offsets, self._steady_ms())
        return PulseFacts(
            [
                *(
                    stop
                    for role, group in groups.items()
                    for stop in group_stops(
                        role, group, {topic: counts.get(topic, 0) for topic in sources[role]}
                    )
                ),
                *(
                    PulseStop(
                        PulseReason.STANDS_STILL,
                        f"{topic} partition {number} stands still at offset {at}",
                    )
                    for (topic, number), at in stuck.items()
                ),
            ],
            {names(topic): counts.get(names(topic), 0) for topic in EVENT_TOPICS},
        )


def group_stops(role: str, group: GroupView, partitions: Mapping[str, int]) -> Iterator[PulseStop]:
    """Yield what stops the pulse in the group of a role; `partitions` are those of its topics."""
    if not group.members:
        yield PulseStop(PulseReason.NO_WORKER, f"no {role} is running")
        return
    older = [one.host for one in group.members if not one.client_id.startswith(CLIENT_ID)]
    if older:
        hosts = ", ".join(sorted(older))
        why = f"a {role} on {hosts} is of a version that does not know the pulse"
        yield PulseStop(PulseReason.OLDER_WORKER, why)
    assigned: Counter[str] = Counter()
    for member in group.members:
        assigned.update(member.partitions)
    lacking = [
        f"{topic} ({count - assigned[topic]} of {count})"
        for topic, count in partitions.items()
        if assigned[topic] < count
    ]
    if lacking:
        why = f"no {role} has partitions of {', '.join(lacking)}"
        yield PulseStop(PulseReason.UNASSIGNED, why)
