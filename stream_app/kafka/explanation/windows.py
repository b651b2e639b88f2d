"""What the topics tell of windows: what they hold, what was counted, and their alerts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from stream_app.domain.alerts.alert import Alert, AnyAlert
from stream_app.domain.configuration.clients import Client
from stream_app.domain.counting.partial_counts import decode_partial_counts
from stream_app.domain.counting.windows import (
    MIN_RETENTION_SECONDS,
    CellKey,
    keep_seconds,
)
from stream_app.domain.events.model import EventKind
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.events.times import MAX_AHEAD_SECONDS
from stream_app.domain.explanation.left_out import LeftOutEvents
from stream_app.domain.explanation.spans import AlertedWindows
from stream_app.domain.explanation.windows import WindowFacts
from stream_app.domain.replay.counting_replay import CountingReplay
from stream_app.domain.replay.ranges import Bound, Range
from stream_app.domain.reports.alert_history import AlertHistories
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.groups import read_group
from stream_app.kafka.cluster.topics import TOPIC_OF_KIND, Topic
from stream_app.kafka.explanation.full_explanation import Watcher
from stream_app.kafka.history.alert_history import Bounds, add_deliveries, read_alert_history
from stream_app.kafka.history.event_log import EventLog
from stream_app.settings import Settings

#: Most records that are read of the events' topic, of `counts`, and of each of the alerts' topics.
MOST = 2_000_000
WindowFactsByKey = dict[CellKey, WindowFacts]


class TriggerWindow(NamedTuple):
    """A window of a trigger, of whatever revision; `start` is in Unix seconds."""

    client_id: int
    trigger_id: int
    start: int


async def read_windows(
    settings: Settings,
    clients: Mapping[int, Client],
    windows: Mapping[EventKind, Collection[WindowFacts]],
    now_ms: int,
    watcher: Watcher,
    left_out: Mapping[EventKind, LeftOutEvents] = MappingProxyType({}),
) -> None:
    """Fill in what the topics tell of windows, and of the events that were not counted.

    Raises:
        KafkaUnreachableError: no broker answers, or they stop answering.
        TopicMismatchError: a topic is missing.
    """
    every = [facts for found in windows.values() for facts in found]
    if every:
        await _read_alerts(settings, every, watcher)
        await _read_counts(settings, every, watcher)
    for kind in EventKind:
        found, others = windows.get(kind, ()), left_out.get(kind)
        if found or others is not None:
            await _recount(settings, kind, clients, found, now_ms, watcher, others)


def earliest_ms(windows: Iterable[WindowFacts]) -> int:
    """Return when the first event of the windows can have been appended, Unix ms."""
    return (min(one.start for one in windows) - MAX_AHEAD_SECONDS) * 1000


async def read_alerts_by_id(
    settings: Settings, ids: Collection[str], since_ms: int, watcher: Watcher
) -> AlertHistories:
    """Return the alerts with these ids, and what became of their deliveries."""
    return await _alerts(settings, lambda alert: alert.id in ids, since_ms, watcher)


async def _alerts(
    settings: Settings, wanted: Callable[[Any], bool], since_ms: int, watcher: Watcher
) -> AlertHistories:
    with watcher.progress("alerts") as report:
        bounds = Bounds(MOST, max(0, since_ms))
        histories, reach = await read_alert_history(settings, bounds, wanted, report)
    watcher.stopped_at("alerts", reach.cut_ms, MOST)
    with watcher.progress("deliveries") as report:
        reach = await add_deliveries(settings, histories, MOST, report)
    watcher.stopped_at("deliveries", reach.cut_ms, MOST)
    return histories


async def _read_alerts(
    settings: Settings, windows: Collection[WindowFacts], watcher: Watcher
) -> None:
    chosen = AlertedWindows(windows)

    def wanted(alert: AnyAlert) -> bool:
        return isinstance(alert, Alert) and chosen.of(alert) is not None

    found = await _alerts(settings, wanted, earliest_ms(windows), watcher)
    for history in found.by_id.values():
        if not isinstance(alert := history.alert, Alert):
            continue
        if (facts := chosen.of(alert)) is None:
            continue
        if alert.trigger.revision == facts.trigger.revision:
            facts.alert = history
        else:
            facts.other_alerts.append(history)


def _window_of(facts: WindowFacts) -> TriggerWindow:
    return TriggerWindow(facts.trigger.client_id, facts.trigger.id, facts.start)


async def _read_counts(
    settings: Settings, windows: Collection[WindowFacts], watcher: Watcher
) -> None:
    """Fill in what the workers have counted, if the topic of counts still tells all of it."""
    places = {_window_of(one): one for one in windows}
    owners = {place[:2] for place in places}
    since_ms = earliest_ms(windows)
    sums: dict[tuple[TriggerWindow, str], dict[int, int]] = {}
    async with EventLog(settings, [settings.names(Topic.COUNTS)]) as log:
        await log.select(Range(Bound(moment_ms=max(0, since_ms))), may_be_empty=True)
        # Nothing older than the windows is gone: each partition has older records, or all.
        is_kept = all(span.start > span.low or span.low == 0 for span in log.spans.values())
        is_kept &= not log.spans.cap(MOST)
        with watcher.progress("counts") as report:
            async for _, records, _ in log.batches(lambda done: report(done, log.spans.size)):
                for record in records:
                    _add_counts(record, places, owners, sums)
    for facts in windows:
        place, revision = _window_of(facts), facts.trigger.revision
        for (where, other), parts in sums.items():
            if where == place and other != revision:
                facts.other_revisions[other] = sum(parts.values())
        if is_kept:
            # Only a part of the counts would look like a smaller count.
            facts.recorded = sum(sums.get((place, revision), {}).values())


def _add_counts(
    record: Any,
    places: Mapping[TriggerWindow, WindowFacts],
    owners: Collection[tuple[int, int]],
    sums: dict[tuple[TriggerWindow, str], dict[int, int]],
) -> None:
    with contextlib.suppress(*DECODE_ERRORS, TypeError):
        for part in decode_partial_counts(record.value).triggers:
            if (part.client_id, part.trigger_id) not in owners:
                continue
            for start, partition, count in part.windows:
                place = TriggerWindow(part.client_id, part.trigger_id, start)
                if place in places:
                    parts = sums.setdefault((place, part.revision), {})
                    parts[partition] = max(count, parts.get(partition, 0))


async def _recount(
    settings: Settings,
    kind: EventKind,
    clients: Mapping[int, Client],
    windows: Collection[WindowFacts],
    now_ms: int,
    watcher: Watcher,
    left_out: LeftOutEvents | None,
) -> None:
    """Count the events on the topic once more, by the workers' own code."""
    topic = settings.names(TOPIC_OF_KIND[kind])
    # A disabled trigger is counted as if it were enabled, to say what it would have counted.
    rules = {
        facts.key[0]: msgspec.structs.replace(facts.trigger, enabled=True) for facts in windows
    }
    closed = max(
        [facts.start + keep_seconds(facts.threshold.period) for facts in windows]
        + ([] if left_out is None else [left_out.span.end + MIN_RETENTION_SECONDS])
    )
    earliest = min([facts.start for facts in windows] + ([left_out.span.start] if left_out else []))
    cut_ms: int | None = None
    async with EventLog(settings, [topic]) as log:
        start = Bound(moment_ms=max(0, (earliest - MAX_AHEAD_SECONDS) * 1000))
        await log.select(Range(start), may_be_empty=True)
        backlog, workers = await _backlog(settings, topic, log)
        is_cut = log.spans.cap(MOST)
        keys = {facts.key for facts in windows}
        replay = CountingReplay(
            kind, clients, rules.values(), log.spans.partitions(topic), keys, now_ms
        )
        with watcher.progress("events") as report:
            batches = log.batches(lambda done: report(done, log.spans.size))
            async with contextlib.aclosing(batches):
                async for tp, records, is_last in batches:
                    if records:
                        replay.replay(tp.partition, records)
                        if left_out is not None:
                            left_out.take(tp.partition, records)
                    if is_last and not is_cut:
                        replay.finish(tp.partition)
                    if replay.passed >= closed:
                        is_cut = False
                        break
        if is_cut:
            cut_ms = min((last for _, last in log.spans.times.values()), default=None)
    for facts in windows:
        facts.count, facts.late = replay.total(facts.key) or 0, replay.late[facts.key]
        facts.read_to_ms, facts.backlog, facts.workers = cut_ms, backlog, workers
        facts.now = now_ms // 1000


async def _backlog(settings: Settings, topic: str, log: EventLog) -> tuple[int, int]:
    """Return how many records of the topic no detector has read yet, and how many detectors run."""
    async with Admin(settings) as client:
        group = await read_group(client, settings.names.group("detector"))
    ends = {tp: span.high for tp, span in log.spans.items()}
    starts = {tp: span.low for tp, span in log.spans.items()}
    return group.lag(topic, ends, starts), len(group.members)
