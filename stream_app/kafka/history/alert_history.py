"""The histories of alerts, read from the topics that tell them; no group, nothing is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stream_app.domain.alerts.alert import Alert, NoticeAlert, decode_alert
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID
from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.dead_letters.dead_letter_index import DeadLetterIndex, Selection
from stream_app.domain.dead_letters.redrive_rules import recipient_of
from stream_app.domain.delivery.records import (
    Checked,
    Folded,
    Result,
    Skipped,
    decode_delivery,
    decode_result,
)
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.reports.alert_history import AlertHistories
from stream_app.domain.reports.delivery_history import DeadLetterNote
from stream_app.domain.reports.next_steps import IntegrationNow
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.records import read_statuses, read_stored
from stream_app.kafka.dead_letters.reading import DeadLetterLog
from stream_app.kafka.dead_letters.writing import attempt_of
from stream_app.kafka.history.newest_records import Reach, read_newest

if TYPE_CHECKING:
    from stream_app.kafka.history.newest_records import ReportRead
    from stream_app.settings import Settings


@dataclass(frozen=True)
class Bounds:
    """How much is read; times are Unix ms."""

    most: int
    since_ms: int | None = None
    until_ms: int | None = None


async def read_alert_history(
    settings: Settings,
    bounds: Bounds,
    wanted: Callable[[Alert | NoticeAlert], bool],
    progress: ReportRead,
    *,
    holding: bytes = b"",
) -> tuple[AlertHistories, Reach]:
    """Return the alerts that are wanted, without their deliveries.

    Args:
        settings: those of the installation.
        bounds: how much is read.
        wanted: which alerts.
        progress: called with the progress of the read.
        holding: records without these bytes are skipped without decoding them.
    """
    histories = AlertHistories()

    def take(record: Any) -> None:
        value = record.value or b""
        is_later = bounds.until_ms is not None and record.timestamp >= bounds.until_ms
        if holding not in value or is_later:
            return
        with contextlib.suppress(*DECODE_ERRORS):
            alert = decode_alert(value)
            if alert.client_id != PULSE_CLIENT_ID and wanted(alert):
                histories.add_alert(alert, record.timestamp)

    topic = settings.names(Topic.ALERTS)
    reach = await read_newest(
        settings, [topic], take, most=bounds.most, since_ms=bounds.since_ms, progress=progress
    )
    return histories, reach


async def add_deliveries(
    settings: Settings, histories: AlertHistories, most: int, progress: ReportRead
) -> Reach:
    """Add to the alerts their deliveries, attempts, status checks and dead letters."""
    if not histories.by_id:
        return Reach(0)
    names = settings.names
    since_ms = min(history.fired_ms for history in histories.by_id.values())
    deliveries = names(Topic.DELIVERIES)
    # A single alert is found faster by its bytes than by decoding the records of others.
    needle = next(iter(histories.by_id)).encode() if len(histories.by_id) == 1 else b""

    async def read(wanted: Callable[[bytes], bool]) -> Reach:
        def take(record: Any) -> None:
            value = record.value or b""
            if not wanted(value):
                return
            with contextlib.suppress(*DECODE_ERRORS):
                if record.topic == deliveries:
                    redrives = attempt_of(record.headers) - 1
                    histories.add_delivery(decode_delivery(value), record.timestamp, redrives)
                    return
                result = decode_result(value)
                if isinstance(result, Result | Checked | Folded | Skipped):
                    histories.add_result(result)

        topics = [deliveries, names(Topic.RESULTS)]
        return await read_newest(
            settings, topics, take, most=most, since_ms=since_ms, progress=progress
        )

    reach = await read(lambda value: needle in value)
    aliases = [alias.encode() for one in histories.by_id.values() for alias in one.aliases]
    if needle and aliases:
        # What closes the alert of its episode, and the repeat that counts it, do not name it.
        await read(lambda value: needle not in value and any(alias in value for alias in aliases))
    await _add_dead_letters(settings, names, histories, since_ms)
    histories.link()
    return reach


async def _add_dead_letters(
    settings: Settings, names: TopicNames, histories: AlertHistories, since_ms: int
) -> None:
    alerts = names.dead_letters(Topic.ALERTS)
    index = DeadLetterIndex(Selection(since_ms=since_ms))
    async with DeadLetterLog(settings, [alerts, names.dead_letters(Topic.DELIVERIES)]) as log:
        await log.survey(index)
    index.drop_repeats()
    for where, entries in index.entries.items():
        for offset, entry in entries.items():
            place = Place(*where, offset)
            note = DeadLetterNote(
                place,
                entry.timestamp_ms,
                entry.reason,
                index.redriven_to(place),
                entry.integration_ids,
                index.is_dismissed(place),
            )
            histories.add_dead_letter(entry.delivery_ids, note, is_alert=where.topic == alerts)


async def read_integrations_now(settings: Settings) -> dict[int, IntegrationNow]:
    """Return the configured integrations, and why they take no alerts, if they do not."""
    stored = (await read_stored(settings))[Kind.INTEGRATION]
    statuses = await read_statuses(settings)
    return {
        number: IntegrationNow(
            str(record.get("name")),
            record.get("client_id"),
            recipient_of(record, statuses.get(number)).problem,
        )
        for number, record in stored.items()
    }
