"""What is known about a question of `alerts explain`, and what each question needs first."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.errors import StreamAppError
from stream_app.domain.events.model import EventKind
from stream_app.domain.explanation.answers import ExplainedEvent
from stream_app.domain.explanation.left_out import LeftOutEvents, Reason, UncountedEvents
from stream_app.domain.explanation.places import EventLetter, PlacedRecord
from stream_app.domain.explanation.spans import AskedClient
from stream_app.domain.explanation.windows import WindowFacts
from stream_app.domain.reports.next_steps import Surroundings
from stream_app.kafka.explanation.configuration_history import ConfigurationHistory
from stream_app.kafka.explanation.watermark import NOTHING_NEEDED, WatermarkBefore
from stream_app.kafka.history.alert_history import read_integrations_now
from stream_app.kafka.history.newest_records import ReportRead
from stream_app.settings import Settings


class Watcher(Protocol):
    """Shows a person what is read."""

    def progress(self, what: str) -> AbstractContextManager[ReportRead]:
        """Show a progress line for a read of `what`."""

    def stopped_at(self, what: str, cut_ms: int | None, most: int) -> None:
        """Say that records before a time (Unix ms) were left out; None: none were."""


@dataclass
class FullExplanation:
    """Everything that is known about a question, for a report.

    `watermark` is what the partition had seen before the record. `asked` is set where all the
    windows of a client are asked for.
    """

    around: Surroundings
    clients: Mapping[int, Client]
    placed: PlacedRecord | None = None
    events: list[ExplainedEvent] = field(default_factory=list)
    windows: list[WindowFacts] = field(default_factory=list)
    letters: list[EventLetter] = field(default_factory=list)
    watermark: WatermarkBefore = NOTHING_NEEDED
    trigger: Trigger | None = None
    asked: AskedClient | None = None
    left_out: Mapping[EventKind, LeftOutEvents] = field(default_factory=dict)

    @property
    def not_counted(self) -> list[tuple[Reason, UncountedEvents]]:
        """The events of the time that were not counted, the most frequent reason first."""
        found = [item for one in self.left_out.values() for item in one.found.items()]
        return sorted(found, key=lambda item: -item[1].count)


async def read_surroundings(settings: Settings, now_ms: int) -> Surroundings:
    """Return what decides about deliveries now; `now_ms` is this machine's clock, Unix ms."""
    return Surroundings(
        await read_integrations_now(settings),
        now_ms,
        settings.delivery.retry_scale,
        settings.max_alert_age * 1000,
    )


def require_trigger(history: ConfigurationHistory, trigger_id: int) -> None:
    """Check that a trigger is or was configured.

    Raises:
        StreamAppError: it is not known.
    """
    versions = history.versions.by_id.get(trigger_id, ())
    if not any(one.trigger is not None for one in versions):
        state = "cannot be used: `stream-app doctor` says why" if versions else "is not known"
        raise StreamAppError(
            f"trigger {trigger_id} {state}: `stream-app get triggers` shows which there are"
        )
