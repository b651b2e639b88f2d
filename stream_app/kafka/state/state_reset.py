"""Deletes a role's state, so that its workers start from the beginning of their topics.

This is needed to process a topic once more, or when an event topic was made anew: its offsets start
again, so with the old state its first records would be skipped.

`events.account` continues where it was. Events are counted again because their counts are needed,
but a notice that was matched before would only be sent again, even to those who subscribed later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream_app.domain.errors import StreamAppError
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.connection import connection_options
from stream_app.kafka.cluster.consumers import close
from stream_app.kafka.cluster.topic_creation import delete_topics
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.state.topic_ids import ANEW, app_id_of, changed_topics
from stream_app.settings import Settings

#: Topics that a reset does not rewind to their beginning.
NOT_REWOUND = (Topic.COUNTS, Topic.ACCOUNT)


async def reset_plan(settings: Settings, role: str) -> list[str]:
    """Return the changelogs that a reset of a role would delete, and the topic of the known ids."""
    app_id = app_id_of(settings, role)
    async with Admin(settings) as client:
        topics = await client.list_topics()
    return sorted(
        name for name in topics if name.startswith(f"{app_id}-") and name.endswith("-changelog")
    )


async def reset_state(
    settings: Settings, role: str, changelogs: Sequence[str], sources: Mapping[Topic, int]
) -> None:
    """Delete the changelogs and set the group's offsets to the beginning of `sources`.

    `counts` is set to its end, because its partial counts belong to the deleted state and their
    events are counted again. `events.account` keeps its offsets unless the topic was made anew.

    Raises:
        StreamAppError: workers of the role are running, and nothing is deleted; or the broker
            refuses to delete a changelog.
    """
    changed = await changed_topics(settings, role)
    anew = [topic for topic, what in changed.items() if what == ANEW]
    await _rewind(settings, app_id_of(settings, role), sources, anew)
    if changelogs:
        async with Admin(settings) as client:
            await delete_topics(client, changelogs)


async def _rewind(
    settings: Settings, app_id: str, sources: Mapping[Topic, int], anew: Collection[str]
) -> None:
    names = TopicNames(settings.topic_prefix)
    partitions = [
        TopicPartition(names(topic), number)
        for topic, count in sources.items()
        for number in range(count)
    ]
    kept = {names(Topic.ACCOUNT)}.difference(anew)
    # Not limited to committed records: a count in an open transaction belongs to the deleted state,
    # too, so the end must be behind it.
    consumer = AIOKafkaConsumer(
        **connection_options(settings), group_id=app_id, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        offsets = await consumer.beginning_offsets(partitions)
        derived = [tp for tp in partitions if tp.topic == names(Topic.COUNTS)]
        if derived:
            offsets |= await consumer.end_offsets(derived)
        offsets |= await _committed_offsets(consumer, [tp for tp in partitions if tp.topic in kept])
        await consumer.commit(offsets)
    except KafkaError as error:
        raise StreamAppError(
            f"the state of {app_id} cannot be reset: {type(error).__name__}: are its workers still "
            "running? Stop them first; one that was killed counts as running for "
            f"{settings.kafka.session_timeout_seconds:g} s more"
        ) from None
    finally:
        await close(consumer)


async def _committed_offsets(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """Return the group's committed offsets, except those beyond the end of their partition."""
    if not partitions:
        return {}
    ends = await consumer.end_offsets(partitions)
    found = {tp: await consumer.committed(tp) for tp in partitions}
    return {tp: offset for tp, offset in found.items() if offset and offset <= ends[tp]}
