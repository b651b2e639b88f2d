"""Forget a role's state, so that its workers start from the beginning of their topics.

Needed when an event topic was made anew (its offsets start again, so the state would skip its
first records), or to process a topic once more.

`events.account` goes on where it was: events are counted again to have their counts, but a notice
that has been matched would only be told again, also to those who subscribed after it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, for_code

from stream_app.domain.errors import StreamAppError
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.connection import connection_options
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.state.known_topics import ANEW, app_id_of, changed_topics
from stream_app.settings import Settings

#: Topics that a role does not read again after a reset.
NOT_REWOUND = (Topic.COUNTS, Topic.ACCOUNT)


async def reset_plan(settings: Settings, role: str) -> list[str]:
    """Return the changelog topics that a reset of a role would delete.

    One of them keeps which topics the state is of.
    """
    app_id = app_id_of(settings, role)
    async with Admin(settings) as client:
        topics = await client.list_topics()
    return sorted(
        name for name in topics if name.startswith(f"{app_id}-") and name.endswith("-changelog")
    )


async def reset_state(
    settings: Settings, role: str, changelogs: Sequence[str], sources: Mapping[Topic, int]
) -> None:
    """Delete the changelogs and put the group's offsets at the beginning of `sources`.

    Of `counts` at its end: its partial counts are of the state that is forgotten, and what they
    were made of is counted again. Of `events.account` they stay, unless the topic was made anew.

    Raises:
        StreamAppError: workers of the role are running; nothing is deleted then.
    """
    changed = await changed_topics(settings, role)
    anew = [topic for topic, what in changed.items() if what == ANEW]
    await _rewind(settings, app_id_of(settings, role), sources, anew)
    if changelogs:
        async with Admin(settings) as client:
            response = await client.delete_topics(list(changelogs))
        refused = [(row[0], for_code(row[1])) for row in response.topic_error_codes if row[1]]
        if refused:
            names = ", ".join(f"{name} ({error.__name__})" for name, error in refused)
            raise StreamAppError(f"the broker does not delete {names}: the state is still there")


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
    # It reads nothing, and asks for the ends of all that is there, committed or not: a count that
    # is still in an open transaction is of the state that is forgotten, too.
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
        offsets |= await _kept(consumer, [tp for tp in partitions if tp.topic in kept])
        await consumer.commit(offsets)
    except KafkaError as error:
        raise StreamAppError(
            f"the state of {app_id} cannot be reset: {type(error).__name__}: are its workers still "
            "running? Stop them first; one that was killed counts as running for "
            f"{settings.kafka.session_timeout_seconds:g} s more"
        ) from None
    finally:
        await consumer.stop()


async def _kept(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """Return the offsets that the group has, of the partitions that go as far as that."""
    if not partitions:
        return {}
    ends = await consumer.end_offsets(partitions)
    found = {tp: await consumer.committed(tp) for tp in partitions}
    return {tp: offset for tp, offset in found.items() if offset and offset <= ends[tp]}
