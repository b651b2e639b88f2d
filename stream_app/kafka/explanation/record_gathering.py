"""Gathers the explanation of a record, or of records that are on no topic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.events.model import EventKind
from stream_app.domain.explanation.answers import ExplainedEvent
from stream_app.domain.explanation.event_verdicts import (
    EventExplainer,
    EventVerdict,
    TriggerResult,
)
from stream_app.domain.explanation.notice_verdicts import NoticeExplainer, NoticeVerdict
from stream_app.domain.explanation.places import EventLetter, PlacedRecord, PlaceState
from stream_app.domain.explanation.rows import joined_rows, triggers_then
from stream_app.domain.explanation.windows import WindowFacts
from stream_app.domain.notices.signatures import NoticeSigner
from stream_app.kafka.cluster.topics import Topic
from stream_app.kafka.explanation.configuration_history import (
    ConfigurationHistory,
    read_configuration_history,
)
from stream_app.kafka.explanation.dead_letters import MOST as MOST_LETTERS
from stream_app.kafka.explanation.dead_letters import read_letters
from stream_app.kafka.explanation.full_explanation import (
    FullExplanation,
    Watcher,
    read_surroundings,
    require_trigger,
)
from stream_app.kafka.explanation.placed_record import read_place
from stream_app.kafka.explanation.watermark import (
    WatermarkBefore,
    newest_watermark,
    watermark_before,
)
from stream_app.kafka.explanation.windows import (
    WindowFactsByKey,
    read_alerts_by_id,
    read_windows,
)
from stream_app.settings import Settings


@dataclass(frozen=True)
class LooseRecord:
    """A record that is read from a file."""

    topic: Topic
    value: bytes | None
    timestamp: int
    partition: int = 0
    offset: int = 0
    timestamp_type: int = 1


class RecordGatherer:
    """Reads what an explanation of records needs.

    Args:
        settings: those of the installation.
        signer: of the installation's own notices.
        now_ms: this machine's clock, Unix ms.
        watcher: shows what is read.
    """

    def __init__(
        self, settings: Settings, signer: NoticeSigner, now_ms: int, watcher: Watcher
    ) -> None:
        self._settings = settings
        self._signer = signer
        self._now_ms = now_ms
        self._watcher = watcher

    async def of_place(self, topic: Topic, place: Place, trigger_id: int | None) -> FullExplanation:
        """Explain the events of a record.

        Raises:
            UsageError: there is no such partition.
            StreamAppError: the trigger is not known.
        """
        history = await read_configuration_history(self._settings)
        if trigger_id is not None:
            require_trigger(history, trigger_id)
        placed = await read_place(self._settings, place)
        around = await read_surroundings(self._settings, self._now_ms)
        found = FullExplanation(around, history.today.clients, placed)
        if placed.is_read and placed.state is not PlaceState.ABORTED:
            found.letters = await self._letters(placed)
        if placed.state is not PlaceState.RECORD:
            return found
        if topic is Topic.ACCOUNT:
            await self._explain_notices(found, history, placed.record, trigger_id)
        else:
            kind = _kind(topic)
            await self._explain_events(found, history, kind, placed.record, trigger_id)
            await self._fill_windows(kind, history, found.events)
        lag = 0 if placed.is_read else placed.lag
        for one in found.events:
            one.lag = lag
            since_ms = history.client_since_ms.get(one.verdict.client_id or 0, 0)
            if since_ms > placed.record.timestamp:
                one.client_since_ms = since_ms
            one.letters = [
                letter.note
                for letter in found.letters
                if letter.event_index in (None, one.verdict.index)
            ]
        return found

    async def of_records(
        self, records: Sequence[LooseRecord], trigger_id: int | None
    ) -> FullExplanation:
        """Explain what would become of records, were they written now.

        Raises:
            StreamAppError: the trigger is not known.
        """
        history = await read_configuration_history(self._settings)
        if trigger_id is not None:
            require_trigger(history, trigger_id)
        around = await read_surroundings(self._settings, self._now_ms)
        found = FullExplanation(around, history.today.clients)
        explainers: dict[EventKind, EventExplainer] = {}
        by_kind: dict[EventKind, list[ExplainedEvent]] = {}
        watermarks: dict[EventKind, WatermarkBefore] = {}
        for record in records:
            if record.topic is Topic.ACCOUNT:
                explained = self._notices_now(history, record, trigger_id)
            else:
                kind = _kind(record.topic)
                if kind not in explainers:
                    explainers[kind] = self._explainer(
                        history, kind, history.today.triggers.values()
                    )
                    with self._watcher.progress("newest events") as report:
                        watermarks[kind] = await newest_watermark(
                            self._settings, record.topic, explainers[kind], report
                        )
                verdicts = explainers[kind].verdicts(record, watermarks[kind].value)
                explained = self._rows_now(verdicts, history, trigger_id)
                by_kind.setdefault(kind, []).extend(explained)
            found.events += explained
        for kind, events in by_kind.items():
            await self._fill_windows(kind, history, events)
        return found

    def _explainer(
        self, history: ConfigurationHistory, kind: EventKind, triggers: Iterable[Trigger]
    ) -> EventExplainer:
        return EventExplainer(kind, history.today.clients, triggers, self._now_ms)

    async def _letters(self, placed: PlacedRecord) -> list[EventLetter]:
        origin, since_ms = placed.place, None
        if placed.record is not None:
            since_ms = min(placed.record.timestamp, self._now_ms)
        if placed.state is PlaceState.UNREADABLE:
            origin = origin._replace(offset=placed.record.first_offset)
        with self._watcher.progress("dead letters") as report:
            letters, cut_ms = await read_letters(self._settings, origin, since_ms, report)
        self._watcher.stopped_at("dead letters", cut_ms, MOST_LETTERS)
        return letters

    async def _explain_events(
        self,
        found: FullExplanation,
        history: ConfigurationHistory,
        kind: EventKind,
        record: Any,
        trigger_id: int | None,
    ) -> None:
        """Add what became of each event of a record."""
        versions, at_ms = history.versions, record.timestamp
        place = Place(record.topic, record.partition, record.offset)
        explainer = self._explainer(history, kind, history.today.triggers.values())
        with self._watcher.progress("earlier records") as report:
            watermark = await watermark_before(
                self._settings, place, record, explainer, self._now_ms, report
            )
        found.watermark = watermark
        now = list(explainer.verdicts(record, watermark.value))
        earlier = triggers_then(versions, history.today.triggers, at_ms)
        then = now
        if earlier is not None:
            explainer = self._explainer(history, kind, earlier)
            then = list(explainer.verdicts(record, watermark.value))
        for today, before in zip(now, then, strict=True):
            rows = joined_rows(today.triggers, before.triggers, versions, at_ms, trigger_id)
            found.events.append(ExplainedEvent(today, rows, trigger_id=trigger_id))

    def _rows_now(
        self,
        verdicts: Iterable[EventVerdict | NoticeVerdict],
        history: ConfigurationHistory,
        trigger_id: int | None,
    ) -> list[ExplainedEvent]:
        at_ms = max(self._now_ms, *history.versions.newest_ms)
        return [
            ExplainedEvent(
                one,
                joined_rows(one.triggers, (), history.versions, at_ms, trigger_id),
                trigger_id=trigger_id,
            )
            for one in verdicts
        ]

    def _notice_explainer(
        self, history: ConfigurationHistory, triggers: Iterable[Trigger]
    ) -> NoticeExplainer:
        today = history.today
        return NoticeExplainer(today.clients, triggers, today.integrations.values(), self._signer)

    def _notices_now(
        self, history: ConfigurationHistory, record: LooseRecord, trigger_id: int | None
    ) -> list[ExplainedEvent]:
        explainer = self._notice_explainer(history, history.today.triggers.values())
        return self._rows_now(explainer.verdicts(record), history, trigger_id)

    async def _explain_notices(
        self,
        found: FullExplanation,
        history: ConfigurationHistory,
        record: Any,
        trigger_id: int | None,
    ) -> None:
        """Add what became of each notice of a record."""
        versions, at_ms = history.versions, record.timestamp
        today = history.today.triggers
        now = list(self._notice_explainer(history, today.values()).verdicts(record))
        earlier = triggers_then(versions, today, at_ms)
        then = now
        if earlier is not None:
            then = list(self._notice_explainer(history, earlier).verdicts(record))
        ids = {name for one in (*now, *then) for name in one.alert_ids.values()}
        alerts = await read_alerts_by_id(
            self._settings, ids, min(at_ms, self._now_ms), self._watcher
        )
        for verdict, before in zip(now, then, strict=True):
            one = ExplainedEvent(
                verdict,
                joined_rows(verdict.triggers, before.triggers, versions, at_ms, trigger_id),
                trigger_id=trigger_id,
            )
            names = {**before.alert_ids, **verdict.alert_ids}
            for row in one.rows:
                row.alert = alerts.by_id.get(names.get(row.verdict.trigger.id, ""))
            subscribed = alerts.by_id.get(names.get(None, ""))
            one.alerts = [] if subscribed is None else [subscribed]
            found.events.append(one)

    async def _fill_windows(
        self, kind: EventKind, history: ConfigurationHistory, events: Iterable[ExplainedEvent]
    ) -> None:
        """Give each row that counts an event the facts of its window."""
        windows: WindowFactsByKey = {}
        for one in events:
            for row in one.having(TriggerResult.COUNTED):
                start = row.verdict.window_start
                if start is not None:
                    facts = WindowFacts(row.verdict.trigger, start, basis=row.basis)
                    row.window = windows.setdefault(facts.key, facts)
        found = {kind: list(windows.values())}
        await read_windows(
            self._settings, history.today.clients, found, self._now_ms, self._watcher
        )


def _kind(topic: Topic) -> EventKind:
    return EventKind(topic.value.rpartition(".")[2])
