"""The records that an alert causes: for each of its integrations a delivery, or what stands for it.

The state of a series changes only when all records of the alert are made: an alert that becomes a
dead letter must not leave a window that counts as told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.alerts.notice_text import render_notice
from stream_app.domain.alerts.threshold_text import Message, render_alert
from stream_app.domain.delivery.reasons import RouteResult
from stream_app.domain.delivery.records import (
    ALERTED_HEADER,
    Delivery,
    Folded,
    delivery_of,
    encode_delivery,
    encode_result,
)
from stream_app.domain.episodes.episode import Series
from stream_app.domain.episodes.partition_episodes import PartitionEpisodes
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.formats import format_headers
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.dead_letters.writing import MAX_VALUE_BYTES
from stream_app.kafka.state.send import Send
from stream_app.notifier.routing.recipients import DELIVERED
from stream_app.notifier.routing.taken_alert import TakenAlert
from stream_app.notifier.routing.window_deliveries import WindowOutcome, take_alert

#: Returns the dead letter of an alert for one integration, whose delivery the topic refuses as too
#: large. The series, if any, is that of the alert's window, which then counts as not told.
Refuse = Callable[[int, Series | None], Send]

_OF_EPISODES = format_headers(Topic.DELIVERIES, is_newest=True)
_FOLDED = format_headers(Topic.RESULTS, is_newest=True)


class AlertRecords:
    """Makes the records of alerts."""

    def __init__(
        self,
        configuration: Configuration,
        names: TopicNames,
        console_hosts: Mapping[str, str] | None,
    ) -> None:
        self._configuration = configuration
        self._deliveries, self._results = names(Topic.DELIVERIES), names(Topic.RESULTS)
        self._console_hosts = console_hosts

    def outcome(
        self,
        taken: TakenAlert,
        found: Mapping[int, RouteResult],
        episodes: PartitionEpisodes,
        refuse: Refuse,
    ) -> tuple[list[Send], dict[int, RouteResult]]:
        """Return the records of an alert, and what becomes of it, by integration.

        Its window is taken into the series that it belongs to.

        Args:
            taken: the alert.
            found: how it is routed to each of its integrations.
            episodes: of the alert's partition.
            refuse: called when a topic refuses a record.

        Raises:
            RejectedEventError: the alert has no text, is too large, or is of no window. Nothing has
                changed then.
        """
        alert, message = taken.alert, self._message(taken.alert)
        known = self._configuration.integrations
        sends: list[Send] = []
        results: dict[int, RouteResult] = dict(found)
        windows: list[WindowOutcome] = []
        for integration_id, result in found.items():
            if result not in DELIVERED:
                continue
            integration = known.get(integration_id)
            if integration is None:
                delivery = delivery_of(alert, message, integration_id)
            elif integration.repeats.has_episodes and isinstance(alert, Alert):
                window = take_alert(alert, message, integration, episodes, taken)
                windows.append(window)
                sends.extend(self._window_sends(taken, window, refuse))
                if any(isinstance(record, Folded) for record in window.records):
                    results[integration_id] = RouteResult.FOLDED
                continue
            else:
                delivery = delivery_of(
                    alert, message, integration_id, integration.epoch, integration.alert
                )
            sends.append(self._send(taken, delivery, refuse))
        for window in windows:
            if window.records:
                episodes.change(window.series, window.state)
        return sends, results

    def _message(self, alert: Alert | NoticeAlert) -> Message:
        if isinstance(alert, NoticeAlert):
            return render_notice(alert)
        return render_alert(alert, console_hosts=self._console_hosts)

    def _window_sends(
        self, taken: TakenAlert, window: WindowOutcome, refuse: Refuse
    ) -> Iterator[Send]:
        for record in window.records:
            if isinstance(record, Folded):
                key = str(record.integration_id).encode()
                yield Send(self._results, key, encode_result(record), headers=_FOLDED)
            else:
                yield self._send(taken, record, refuse, window.series)

    def _send(
        self,
        taken: TakenAlert,
        delivery: Delivery,
        refuse: Refuse,
        series: Series | None = None,
    ) -> Send:
        alerted = (ALERTED_HEADER, str(taken.record.timestamp).encode())
        return Send(
            self._deliveries,
            str(delivery.integration_id).encode(),
            _fitting(encode_delivery(delivery)),
            headers=(alerted, *_OF_EPISODES) if delivery.is_of_newer_format else (alerted,),
            if_too_large=partial(refuse, delivery.integration_id, series),
        )


def _fitting(value: bytes) -> bytes:
    """Return a delivery's record if it fits into a topic.

    Raises:
        RejectedEventError: it does not: neither it nor what follows would ever be acknowledged.
    """
    if len(value) > MAX_VALUE_BYTES:
        raise RejectedEventError(
            DeadLetterReason.TOO_LARGE,
            f"its delivery has {len(value)} bytes, more than {MAX_VALUE_BYTES}",
        )
    return value
