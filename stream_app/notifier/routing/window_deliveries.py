"""What becomes of a fired window at an integration that has chosen episodes.

It is told by a delivery, which may be followed by a note, or it is folded. The records follow from
the alert, the integration and the earlier windows of the series alone.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from stream_app.domain.alerts.alert import Alert
from stream_app.domain.alerts.threshold_text import Message
from stream_app.domain.bounds import LAST_SECOND
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.delivery.records import (
    Delivery,
    Folded,
    ServiceAction,
    delivery_id,
    delivery_of,
    note_id,
)
from stream_app.domain.episodes.episode import (
    Decision,
    FiredWindow,
    Series,
    Told,
    alias_of,
    gap_seconds,
)
from stream_app.domain.episodes.episode_log import SeriesState, take_window
from stream_app.domain.episodes.partition_episodes import PartitionEpisodes
from stream_app.domain.episodes.reference import EpisodeReference
from stream_app.domain.episodes.repeat_text import note_text, repeat_message
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.notifier.routing.taken_alert import TakenAlert

_MOST_ID_CHARS = 1000
_INT64 = 2**63


class WindowOutcome(NamedTuple):
    """What becomes of a window: the state of its series with it, and the records to write.

    There are none if the window has come before. `Folded` is alone; a note follows its delivery.
    """

    series: Series
    state: SeriesState
    records: tuple[Delivery | Folded, ...] = ()


def take_alert(
    alert: Alert,
    message: Message,
    integration: Integration,
    episodes: PartitionEpisodes,
    taken: TakenAlert,
) -> WindowOutcome:
    """Return what becomes of the window of an alert that was taken; `episodes` do not change.

    Raises:
        RejectedEventError: no detector has written such an alert.
    """
    series, window = _series_of(alert, integration.id)
    state, decision = take_window(
        episodes.get(series),
        window,
        integration.repeats,
        integration.epoch,
        taken.record.offset,
        taken.record.timestamp // 1000,
        is_redriven=taken.is_redriven,
    )
    if decision is None:
        return WindowOutcome(series, state)
    episode = _reference(series, window, decision, integration)
    if decision.told is Told.FOLDED:
        its_id = delivery_id(alert.id, integration.id)
        folded = Folded(its_id, alert.id, alert.client_id, integration.id, episode)
        return WindowOutcome(series, state, (folded,))
    is_repeat = decision.told is Told.REPEAT
    text = repeat_message(message, decision) if is_repeat else message
    delivery = msgspec.structs.replace(
        delivery_of(alert, text, integration.id, integration.epoch, integration.alert),
        episode=episode,
    )
    if not is_repeat or not integration.repeats.repeat_notes:
        return WindowOutcome(series, state, (delivery,))
    note = _note_of(delivery, note_text(window, message, decision))
    return WindowOutcome(series, state, (delivery, note))


def _note_of(delivery: Delivery, text: str) -> Delivery:
    """Return the note that follows a repeated delivery."""
    return msgspec.structs.replace(
        delivery,
        id=note_id(delivery.alert_id, delivery.integration_id),
        message="",
        description="",
        details={},
        action=ServiceAction.NOTE,
        after=delivery.id,
        note=text,
    )


def _reference(
    series: Series, window: FiredWindow, decision: Decision, integration: Integration
) -> EpisodeReference:
    options = integration.repeats
    # Configuration that no command has checked could close an alert within its trigger's period.
    gap = gap_seconds(options, window.end - window.start) if options.close_after_seconds else 0
    return EpisodeReference(
        alias_of(series, decision.episode.first_start),
        series.trigger_id,
        series.revision,
        window.start,
        window.end,
        gap,
    )


def _series_of(alert: Alert, integration_id: int) -> tuple[Series, FiredWindow]:
    """Return the series of an alert at an integration, and its window.

    Raises:
        RejectedEventError: its numbers and texts are none of a detector, and could end the worker.
    """
    trigger, window = alert.trigger, FiredWindow(alert.window_start, alert.window_end)
    is_plausible = (
        0 <= window.start < window.end <= LAST_SECOND
        and max(len(alert.id), len(trigger.revision)) <= _MOST_ID_CHARS
        and max(abs(alert.client_id), abs(trigger.id)) < _INT64
    )
    if not is_plausible:
        raise RejectedEventError(
            DeadLetterReason.WRONG_TYPE,
            f"no detector writes such an id, revision or window (from {window.start} to "
            f"{window.end})",
        )
    return Series(alert.client_id, trigger.id, trigger.revision, integration_id), window
