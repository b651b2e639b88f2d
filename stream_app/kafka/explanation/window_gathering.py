"""Gathers the explanation of windows: of a trigger, or of all the triggers of a client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stream_app.domain.errors import UsageError
from stream_app.domain.events.model import KIND_OF_CONDITION, EventKind
from stream_app.domain.explanation.event_verdicts import EventExplainer
from stream_app.domain.explanation.left_out import EventSpan, LeftOutEvents, forms_of
from stream_app.domain.explanation.spans import AskedClient, form_at, windows_between
from stream_app.domain.explanation.windows import WindowFacts
from stream_app.kafka.cluster.topics import TOPIC_OF_KIND
from stream_app.kafka.explanation.configuration_history import read_configuration_history
from stream_app.kafka.explanation.full_explanation import (
    FullExplanation,
    Watcher,
    read_surroundings,
    require_trigger,
)
from stream_app.kafka.explanation.windows import read_windows
from stream_app.settings import Settings

#: Most windows that are explained at a time.
MAX_WINDOWS = 10_000


class WindowGatherer:
    """Reads what an explanation of windows needs.

    Args:
        settings: those of the installation.
        now_ms: this machine's clock, Unix ms.
        watcher: shows what is read.
    """

    def __init__(self, settings: Settings, now_ms: int, watcher: Watcher) -> None:
        self._settings = settings
        self._now_ms = now_ms
        self._watcher = watcher

    async def of_windows(self, trigger_id: int, from_ms: int, to_ms: int) -> FullExplanation:
        """Explain the windows of a trigger that touch a time.

        Raises:
            UsageError: the trigger counts nothing, or there are too many windows.
            StreamAppError: the trigger is not known.
        """
        history = await read_configuration_history(self._settings)
        require_trigger(history, trigger_id)
        versions = history.versions
        _, trigger = form_at(versions, trigger_id, to_ms)
        kind = KIND_OF_CONDITION.get(trigger.template_id)
        if kind is None or trigger.threshold is None:
            raise UsageError(
                f"trigger {trigger_id}: {trigger.template_id} counts no events, so it has no "
                "windows: give the place of a notice, TOPIC/PARTITION/OFFSET"
            )
        windows = windows_between(versions, trigger_id, from_ms, to_ms, MAX_WINDOWS)
        if len(windows) > MAX_WINDOWS:
            raise UsageError(
                f"more than {MAX_WINDOWS:,} windows of {trigger.threshold.period} s lie between "
                f"--from and --to, and at most {MAX_WINDOWS:,} are explained at a time: give a "
                "shorter time"
            )
        around = await read_surroundings(self._settings, self._now_ms)
        found = FullExplanation(
            around, history.today.clients, windows=windows, trigger=windows[-1].trigger
        )
        span = EventSpan(windows[0].start, windows[-1].end)
        await self._read(found, {kind: windows}, span, trigger.client_id, by_trigger=True)
        return found

    async def of_client(self, client_id: int, from_ms: int, to_ms: int) -> FullExplanation:
        """Explain the windows of all the triggers of a client that touch a time.

        Raises:
            UsageError: there are too many windows.
        """
        history = await read_configuration_history(self._settings)
        by_kind: dict[EventKind, list[WindowFacts]] = {kind: [] for kind in EventKind}
        windows: list[WindowFacts] = []
        for number in sorted(history.versions.of_client(client_id)):
            _, trigger = form_at(history.versions, number, to_ms)
            kind = KIND_OF_CONDITION.get(trigger.template_id)
            if trigger.client_id != client_id or kind is None:
                continue
            by_kind[kind] += windows_between(history.versions, number, from_ms, to_ms, MAX_WINDOWS)
            windows = [facts for found in by_kind.values() for facts in found]
            if len(windows) > MAX_WINDOWS:
                raise UsageError(
                    f"client {client_id} has more than {MAX_WINDOWS:,} windows between --from and "
                    f"--to, and at most {MAX_WINDOWS:,} are explained at a time: give a shorter "
                    "time, or --trigger"
                )
        span = EventSpan(from_ms // 1000, -(-to_ms // 1000))
        if to_ms - from_ms <= 1:
            # A moment: the shortest of the windows that hold it, or its minute.
            ends = [(facts.end - facts.start, facts) for facts in windows]
            minute = EventSpan(span.start // 60 * 60, span.start // 60 * 60 + 60)
            shortest = min(ends, key=lambda item: item[0])[1] if ends else None
            span = minute if shortest is None else EventSpan(shortest.start, shortest.end)
        around = await read_surroundings(self._settings, self._now_ms)
        asked = AskedClient(client_id, span.start, span.end)
        found = FullExplanation(around, history.today.clients, windows=windows, asked=asked)
        await self._read(found, by_kind, span, client_id, by_trigger=False)
        return found

    async def _read(
        self,
        found: FullExplanation,
        by_kind: Mapping[EventKind, Sequence[WindowFacts]],
        span: EventSpan,
        client_id: int,
        *,
        by_trigger: bool,
    ) -> None:
        """Fill in the windows of a question, and the events of its time that were not counted."""
        found.left_out = {
            kind: LeftOutEvents(
                self._settings.names(TOPIC_OF_KIND[kind]),
                span,
                client_id,
                found.clients,
                EventExplainer(
                    kind,
                    found.clients,
                    forms_of(windows, as_enabled=by_trigger),
                    self._now_ms,
                ),
                windows,
                by_trigger=by_trigger,
            )
            for kind, windows in by_kind.items()
        }
        await read_windows(
            self._settings, found.clients, by_kind, self._now_ms, self._watcher, found.left_out
        )
