"""The integrations of an overview: their state, their requests, and what waits for them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import msgspec

from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.delivery.auto_disable import WINDOW_HOURS
from stream_app.domain.delivery.partition_deliveries import DeliveryRules, PartitionDeliveries
from stream_app.domain.delivery.state import DeliveryState
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.notices.subscriptions import SYSTEM
from stream_app.domain.reports.failed_runs import FailedRuns, RequestOutcome
from stream_app.domain.reports.integration_state import integration_row
from stream_app.domain.reports.overview_rows import IntegrationRow
from stream_app.domain.reports.pulse import PulseNotes
from stream_app.domain.times import HOUR_MS
from stream_app.kafka.cluster.topics import Topic, equal_pair
from stream_app.kafka.configuration.records import UnusableRecords, read_statuses
from stream_app.kafka.history.newest_records import Reach, ReportRead, read_newest

if TYPE_CHECKING:
    from stream_app.settings import Settings

#: Most records of `alerts`, of `delivery-results` and of the notifier's state that are read: some
#: seconds each.
MOST = 200_000
#: Returns what shows the progress of a read, by the name of what is read.
Watched = Callable[[str], AbstractContextManager[ReportRead]]

_decode_outcome = msgspec.json.Decoder(RequestOutcome).decode


@contextlib.contextmanager
def unwatched(_what: str) -> Iterator[ReportRead]:
    """Show no progress."""
    yield lambda _read, _all: None


async def read_integrations(
    settings: Settings,
    counts: Mapping[str, int],
    stored: Mapping[int, dict[str, object]],
    unusable: UnusableRecords,
    notes: PulseNotes,
    watched: Watched,
    now_ms: int,
) -> tuple[list[IntegrationRow], Reach]:
    """Return the integrations, and how far back the notifier's state was read.

    Args:
        settings: those of the installation.
        counts: the partition counts of its topics.
        stored: the integrations' records.
        unusable: gets the statuses that cannot be used.
        notes: gets the notes about the pulse.
        watched: shows the progress of a long read while it runs.
        now_ms: the end of the hours in which requests count.
    """
    has_statuses = counts.get(settings.names(Topic.STATUS)) == 1
    statuses = await read_statuses(settings, unusable) if has_statuses else {}
    partitions, reach = await _deliveries(settings, counts, watched)
    since_ms = now_ms - WINDOW_HOURS * HOUR_MS
    runs = await _failed_runs(settings, counts, notes, watched, since_ms)
    pending: dict[int, list[DeliveryState]] = {}
    for partition in partitions:
        for state in partition.pending.values():
            if not state.is_waiting:
                pending.setdefault(state.integration_id, []).append(state)
    due = _due_closes(partitions, now_ms, settings.delivery.retry_scale)
    rows = []
    for number, record in sorted(stored.items()):
        shown = integration_row(number, record, statuses.get(number))
        epoch = int(str(shown["epoch"]))
        shares = [partition.judge.totals(number, now_ms, epoch) for partition in partitions]
        waiting = pending.get(number, [])
        is_active = shown["state"] == "active"
        integration, _ = read_integration(record)
        closes_after = integration.repeats.close_after_seconds if is_active else 0
        closes = due.get(number, ()) if closes_after else ()
        rows.append(
            IntegrationRow(
                id=number,
                client_id=shown["client_id"],
                name=shown["name"],
                state=str(shown["state"]),
                detail=None if shown["detail"] is None else str(shown["detail"]),
                requests=sum(requests for requests, _ in shares),
                failed=sum(failed for _, failed in shares),
                pending=len(waiting),
                oldest_ms=min((state.pending_since_ms for state in waiting), default=None),
                failing=runs.of(number, epoch) if is_active else None,
                gets_system=SYSTEM in integration.events,
                closes_waiting=len(closes),
                closes_due_ms=min(closes, default=None),
            )
        )
    return rows, reach


def _due_closes(
    partitions: Sequence[PartitionDeliveries], now_ms: int, scale: float
) -> dict[int, list[int]]:
    """Return by integration when alerts that no close is on its way for were to be closed."""
    due: dict[int, list[int]] = {}
    for partition in partitions:
        for alert in partition.opened.unclosed:
            due_ms = alert.silent_since_ms + round(alert.close_after_seconds * 1000 * scale)
            number = alert.integration_id
            is_due = due_ms <= now_ms and partition.takes_closes(number)
            if is_due and not partition.has_pending_close(alert):
                due.setdefault(number, []).append(due_ms)
    return due


async def _failed_runs(
    settings: Settings,
    counts: Mapping[str, int],
    notes: PulseNotes,
    watched: Watched,
    since_ms: int,
) -> FailedRuns:
    """Return the runs of failed requests since a time, Unix ms; the newest requests are enough."""
    topic, runs = settings.names(Topic.RESULTS), FailedRuns()

    def take(record: Any) -> None:
        with contextlib.suppress(*DECODE_ERRORS):
            notes.add_record(record.value or b"")
        with contextlib.suppress(*DECODE_ERRORS):  # commands and status checks, too
            runs.add(_decode_outcome(record.value or b""), record.timestamp)

    if topic in counts:
        with watched("results of requests") as progress:
            await read_newest(
                settings, [topic], take, most=MOST, since_ms=since_ms, progress=progress
            )
    return runs


def deliveries_changelog(settings: Settings) -> str:
    """Return the name of the topic that holds the notifier's state."""
    return f"{settings.names.group('notifier')}-deliveries-changelog"


async def _deliveries(
    settings: Settings, counts: Mapping[str, int], watched: Watched
) -> tuple[list[PartitionDeliveries], Reach]:
    """Return the notifier's state from its changelog: pending deliveries and counts of failures.

    `delivery-results` would not do: only the state says what is pending and which failures count.
    """
    topic = deliveries_changelog(settings)
    partitions: dict[int, PartitionDeliveries] = {}
    sources = equal_pair(settings)

    def take(record: Any) -> None:
        state = partitions.get(record.partition)
        if state is None:
            state = PartitionDeliveries(sources, DeliveryRules())
            partitions[record.partition] = state
        with contextlib.suppress(*DECODE_ERRORS, ValueError, TypeError):
            state.restore(record.key, record.value)

    if topic not in counts:
        return [], Reach(0)
    with watched("state of the deliveries") as progress:
        reach = await read_newest(settings, [topic], take, most=MOST, progress=progress)
    return list(partitions.values()), reach
