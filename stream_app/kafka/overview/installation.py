"""What `stream-app status` shows, read from the cluster: no group is joined, nothing is written."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from stream_app.domain.configuration.clients import read_client
from stream_app.domain.configuration.fields import note_id_mismatch
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.configuration.triggers import read_trigger
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.pulse.probe import is_probe
from stream_app.domain.reports.dead_letter_problems import DeadLetterRow, dead_letter_rows
from stream_app.domain.reports.overview import Overview
from stream_app.domain.reports.overview_rows import (
    IntegrationRow,
    LagRow,
    LostRecordsRow,
    TopicRow,
    TriggerRow,
    WorkerRow,
)
from stream_app.domain.reports.problems import Problem
from stream_app.domain.reports.pulse import PulseNotes
from stream_app.domain.reports.silent_integrations import silent_integrations, trigger_notes
from stream_app.domain.topics import ROLE_SOURCES
from stream_app.kafka.cluster.admin import Admin, visible_counts
from stream_app.kafka.cluster.consumers import offset_bounds
from stream_app.kafka.cluster.groups import read_role_groups
from stream_app.kafka.cluster.other_prefixes import other_prefixes
from stream_app.kafka.cluster.topic_check import partition_problems, producers_clocks
from stream_app.kafka.cluster.topic_copies import read_copies
from stream_app.kafka.cluster.topics import (
    CONFIG_TOPICS,
    Topic,
    topic_specs,
)
from stream_app.kafka.configuration.records import UnusableRecords, read_stored
from stream_app.kafka.dead_letters.reading import sources_of
from stream_app.kafka.history.newest_records import Reach, read_newest
from stream_app.kafka.history.open_transactions import long_open
from stream_app.kafka.history.standing_still import partitions_standing_still
from stream_app.kafka.overview.integration_rows import (
    MOST,
    Watched,
    deliveries_changelog,
    read_integrations,
    unwatched,
)
from stream_app.kafka.overview.open_dead_letters import read_open_dead_letters
from stream_app.kafka.records.unreadable_batches import UNREADABLE_BATCHES
from stream_app.kafka.state.state_problems import state_problems

if TYPE_CHECKING:
    from stream_app.domain.configuration.kinds import Stored
    from stream_app.settings import Settings

#: Offsets of a partition that are read if its newest ones hold no record.
_BEHIND_MARKERS = 100


class _Cause(msgspec.Struct):
    id: int


class _Fired(msgspec.Struct):
    """The part of an alert that says which trigger fired it."""

    trigger: _Cause | None = None


_decode_fired = msgspec.json.Decoder(_Fired).decode


async def read_overview(settings: Settings, watched: Watched = unwatched) -> Overview:
    """Return how the installation is doing.

    Args:
        settings: those of the installation.
        watched: shows the progress of a long read while it runs.

    Raises:
        KafkaUnreachableError: no broker answers, or they stop answering.
    """
    now_ms = time.time_ns() // 1_000_000
    async with Admin(settings) as client:
        counts = await visible_counts(client, settings, deliveries_changelog(settings))
        altered = partition_problems(settings, counts)
        altered += await producers_clocks(settings, client, counts)
        altered += (await read_copies(settings, client)).problems
    specs = topic_specs(settings)
    present = [spec.name for spec in specs if spec.name in counts]
    starts, ends = await offset_bounds(settings, present)
    held = {name for (name, number), end in ends.items() if end > starts[name, number]}
    newest = await _newest_times(settings, sorted(held), len(ends))
    names = settings.names
    sources = names.role_sources()
    groups = await read_role_groups(settings)
    open_transactions = await long_open(
        settings, [t for t in names.read_by_workers() if t in counts]
    )
    stuck = await partitions_standing_still(settings, groups, starts, ends)
    unusable = UnusableRecords()
    stored = await _stored(settings, counts, unusable)
    fired, alerts_reach = await _fired(settings, counts, watched)
    notes = PulseNotes()
    integrations, deliveries_reach = await read_integrations(
        settings, counts, stored[Kind.INTEGRATION], unusable, notes, watched, now_ms
    )
    letters, letters_reach = await _dead_letters(settings, counts, integrations, watched)
    has_topics = any(spec.name in counts for spec in specs)
    return Overview(
        now_ms=now_ms,
        topics=[
            TopicRow(
                spec.name,
                counts.get(spec.name, 0),
                sum(end - starts[at] for at, end in ends.items() if at[0] == spec.name),
                newest.get(spec.name),
            )
            for spec in specs
        ],
        workers=[
            WorkerRow(
                role,
                member.host,
                member.member_id,
                dict(member.partitions),
                member.restoring,
            )
            for role, group in groups.items()
            for member in sorted(group.members, key=lambda member: member.member_id)
        ],
        lags=[
            LagRow(groups[role].group, role, topic, groups[role].lag(topic, ends, starts))
            for role, topics in sources.items()
            for topic in topics
        ],
        integrations=integrations,
        triggers=[
            _trigger(settings, number, record, fired.get(number, ()), stored[Kind.INTEGRATION])
            for number, record in sorted(stored[Kind.TRIGGER].items())
        ],
        roles=tuple(ROLE_SOURCES),
        alerts_cut_ms=alerts_reach.cut_ms,
        deliveries_cut_ms=deliveries_reach.cut_ms,
        dead_letters=letters,
        dead_letters_cut_ms=letters_reach.cut_ms,
        dead_letters_cut=[sources_of(settings)[name] for name in letters_reach.cut_topics],
        prefixes=[] if has_topics else await other_prefixes(settings),
        stuck_partitions=stuck,
        open_transactions=open_transactions,
        lost_records=[
            LostRecordsRow(role, topic, records)
            for role, topics in sources.items()
            for topic in topics
            if (records := groups[role].lost(topic, starts))
        ],
        topic_problems=[
            *(Problem(one.problem, one.remedy) for one in (await state_problems(settings))[1]),
            *(Problem(f"{one.topic}: {one.problem}", one.remedy) for one in altered),
        ],
        unreadable=[
            str(batch)
            for batch in UNREADABLE_BATCHES.found.values()
            if batch.topic.startswith(settings.topic_prefix)
        ],
        refused=[*unusable, *_unusable_clients(stored)],
        operator_integration=settings.operator_integration,
        pulse=notes.newest(),
        has_heartbeat=settings.heartbeat.target is not None,
    )


async def _newest_times(
    settings: Settings, topics: Sequence[str], partitions: int
) -> dict[str, int]:
    """Return the time (Unix ms) of each topic's newest record.

    About one record of each partition is read, and more if a topic ends with transaction markers,
    or with events of the pulse.
    """
    newest: dict[str, int] = {}

    def take(record: Any) -> None:
        if is_probe(record):
            return  # no producer has sent it
        newest[record.topic] = max(newest.get(record.topic, 0), record.timestamp)

    for depth in (1, _BEHIND_MARKERS):
        if missing := [topic for topic in topics if topic not in newest]:
            await read_newest(settings, missing, take, most=partitions * depth)
    return newest


def _unusable_clients(stored: Stored) -> Iterator[str]:
    """Yield the clients that cannot be used, since clients have no rows of their own."""
    for number, record in sorted(stored[Kind.CLIENT].items()):
        client, problems = read_client(record)
        note_id_mismatch(number, client.client_id, problems)
        if problems:
            yield f"client {number}: {problems[0]}"


async def _stored(
    settings: Settings, counts: Mapping[str, int], unusable: UnusableRecords
) -> Stored:
    if any(counts.get(settings.names(topic)) != 1 for topic in CONFIG_TOPICS):
        return {kind: {} for kind in Kind}
    return await read_stored(settings, unusable)


async def _fired(
    settings: Settings, counts: Mapping[str, int], watched: Watched
) -> tuple[dict[int, list[int]], Reach]:
    """Return the times, Unix ms, at which each trigger fired."""
    topic = settings.names(Topic.ALERTS)
    fired: dict[int, list[int]] = {}

    def take(record: Any) -> None:
        with contextlib.suppress(*DECODE_ERRORS):
            cause = _decode_fired(record.value or b"").trigger
            if cause is not None:
                fired.setdefault(cause.id, []).append(record.timestamp)

    if topic not in counts:
        return fired, Reach(0)
    with watched("alerts") as progress:
        reach = await read_newest(settings, [topic], take, most=MOST, progress=progress)
    return fired, reach


async def _dead_letters(
    settings: Settings,
    counts: Mapping[str, int],
    integrations: Sequence[IntegrationRow],
    watched: Watched,
) -> tuple[list[DeadLetterRow], Reach]:
    sources = sources_of(settings)
    present = [topic for topic in sources if topic in counts]
    with watched("dead letters") as progress:
        index, reach = await read_open_dead_letters(settings, present, progress=progress)
    return dead_letter_rows(index, sources, {row.id: row.name for row in integrations}), reach


def _trigger(
    settings: Settings,
    number: int,
    record: Mapping[str, object],
    fired: Sequence[int],
    integrations: Mapping[int, Mapping[str, object]],
) -> TriggerRow:
    trigger, problems = read_trigger(record, allowed_periods=settings.detector.allowed_periods)
    note_id_mismatch(number, trigger.id, problems)
    silent = silent_integrations(trigger, integrations)
    return TriggerRow(
        id=number,
        client_id=record.get("client_id"),
        name=record.get("name"),
        enabled=record.get("enabled") is True,
        is_evaluated=trigger.is_evaluated,
        notes=trigger_notes(trigger, silent),
        problem=str(problems[0]) if problems else None,
        fired=len(fired),
        last_fired_ms=max(fired, default=None),
        silent_integrations=silent,
    )
