"""Refuses alerts about what is long over, and tells their clients so, at most once an hour."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.notices.outgoing import alerts_stale
from stream_app.domain.notices.signatures import NoticeSigner
from stream_app.domain.times import HOUR_MS
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.dead_letters.writing import attempt_of
from stream_app.kafka.state.send import Send


class StaleAlerts:
    """Refuses alerts that are too old, and makes the notices of them."""

    def __init__(
        self,
        max_age_seconds: int,
        configuration: Configuration,
        topic: str,
        signer: NoticeSigner,
        now_ms: Callable[[], int],
    ) -> None:
        self._max_age_seconds = max_age_seconds
        self._configuration = configuration
        self._topic = topic
        self._signer = signer
        self._now_ms = now_ms
        #: Clients with alerts that were refused since the last flush.
        self._client_ids: dict[int, None] = {}
        #: Client -> hour of its last notice.
        self._notice_hours: dict[int, int] = {}

    def check(self, alert: Alert | NoticeAlert, headers: Sequence[tuple[str, bytes]]) -> None:
        """Refuse an alert that is too old, unless a person has sent it again.

        Raises:
            RejectedEventError: the alert's window ended, or its notice was appended, too long ago.
        """
        age_seconds = self._now_ms() // 1000 - alert.happened_at_seconds
        if age_seconds <= self._max_age_seconds or attempt_of(headers) > 1:
            return
        if alert.client_id == PULSE_CLIENT_ID:
            return  # its times are not times of day, and it pages nobody
        self._client_ids[alert.client_id] = None
        raise RejectedEventError(
            DeadLetterReason.STALE,
            f"it happened {age_seconds} s ago, more than {self._max_age_seconds} s: send it with "
            "`stream-app dlq redrive` if it still matters",
        )

    def notices(self) -> list[Send]:
        """Return a notice for each client with refused alerts, unless it has had one this hour."""
        now_ms = self._now_ms()
        clients, hour = self._configuration.clients, now_ms // HOUR_MS
        notices = [
            alerts_stale(client_id, clients.get(client_id), self._max_age_seconds, now_ms)
            for client_id in self._client_ids
            if self._notice_hours.get(client_id) != hour
        ]
        self._notice_hours |= dict.fromkeys(self._client_ids, hour)
        return [Send(self._topic, notice.key, self._signer.encode(notice)) for notice in notices]

    def reset(self) -> None:
        """Forget the alerts since the last flush."""
        self._client_ids = {}
