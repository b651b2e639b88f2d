"""Which open alerts are over, as far as their own windows and the time tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from stream_app.domain.delivery.partition_deliveries import PartitionDeliveries
from stream_app.domain.episodes.open_alert import OpenAlert
from stream_app.kafka.configuration.view import Configuration


class Clock(Protocol):
    """The brokers' time as a worker knows it: `BrokerClock`."""

    @property
    def ahead_seconds(self) -> float | None:
        """By how much this machine's clock is ahead of the brokers'; None if not known."""

    def now_ms(self) -> int:
        """Return the brokers' time, Unix ms, or this machine's until that is known."""

    @property
    def steady_ms(self) -> Callable[[], int]:
        """A clock that is never set, in ms from an arbitrary beginning."""


class SilenceClock:
    """A time that no single wrong clock puts ahead, for each partition.

    At least as much time has passed as this machine has measured since it read the partition's
    newest record, which a broker had stamped. After a start that alone would make every alert wait
    anew. So the time is later if both the brokers' time and this machine's clock say so.

    Args:
        clock: knows the brokers' time.
        wall_ms: this machine's clock, Unix ms.
    """

    def __init__(self, clock: Clock, wall_ms: Callable[[], int]) -> None:
        self._clock = clock
        self._wall_ms = wall_ms
        #: Partition -> the brokers' time minus the steady one, at least.
        self._least_ms: dict[int, int] = {}

    def now_ms(self, partition: int, newest_ms: int) -> int:
        """Return the time for the alerts of a partition, Unix ms.

        Args:
            partition: whose alerts are judged.
            newest_ms: the largest time of its records.
        """
        steady_ms = self._clock.steady_ms()
        least_ms = newest_ms - steady_ms
        least_ms = max(least_ms, self._least_ms.get(partition, least_ms))
        self._least_ms[partition] = least_ms
        measured_ms = steady_ms + least_ms
        if self._clock.ahead_seconds is None:
            return measured_ms
        return max(measured_ms, min(self._clock.now_ms(), self._wall_ms()))


#: A partition, and an alias in it.
AlertPlace = tuple[int, str]


class OverAlert(NamedTuple):
    """An alert that is over, and the partition that it is in."""

    partition: int
    alert: OpenAlert

    @property
    def place(self) -> AlertPlace:
        """Where it is."""
        return self.partition, self.alert.alias


class DueAlerts:
    """Finds the alerts to be closed that no close is on its way for.

    Args:
        scale: a factor on the silence, 1 except in tests.
    """

    def __init__(self, configuration: Configuration, scale: float) -> None:
        self._configuration = configuration
        self._scale_ms = 1000 * scale

    def find(
        self, states: Mapping[int, PartitionDeliveries], now_ms: Mapping[int, int]
    ) -> Iterator[OverAlert]:
        """Yield the alerts for which nothing has come for long enough, or that are followed.

        An alert is followed if the next episode of its series has begun: by the windows' own times
        it is over, even if they all came within a moment.

        Args:
            states: of this worker's partitions.
            now_ms: partition -> its time, Unix ms; those that are missing are passed over.
        """
        for partition, state in states.items():
            if (now := now_ms.get(partition)) is None:
                continue
            opened, scale_ms = state.opened, self._scale_ms
            over = [
                alert
                for alert in opened.unclosed
                if now - alert.silent_since_ms >= alert.close_after_seconds * scale_ms
            ]
            known = {alert.alias for alert in over}
            over += [alert for alert in opened.followed() if alert.alias not in known]
            takes = {
                number: self._takes_closes(state, number)
                for number in {alert.integration_id for alert in over}
            }
            for alert in over:
                if takes[alert.integration_id] and not state.has_pending_close(alert):
                    yield OverAlert(partition, alert)

    def _takes_closes(self, state: PartitionDeliveries, integration_id: int) -> bool:
        view = self._configuration
        integration = view.integrations.get(integration_id)
        return (
            integration is not None
            and integration.repeats.close_after_seconds > 0
            and view.is_usable(integration)
            and state.takes_closes(integration_id)
        )
