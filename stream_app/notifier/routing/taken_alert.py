"""An alert that `route` has read, and one that it refuses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.errors import DeadLetterReason
from stream_app.kafka.dead_letters.writing import attempt_of, integrations_of


@dataclass(frozen=True)
class TakenAlert:
    """An alert, with the record that it came in."""

    partition: int
    record: Any
    alert: Alert | NoticeAlert

    @property
    def integration_ids(self) -> Iterable[int]:
        """The integrations that the alert is for, each once: all, or those it is redriven for."""
        only = integrations_of(self.record.headers)
        return dict.fromkeys(n for n in self.alert.integration_ids if not only or n in only)

    @property
    def is_redriven(self) -> bool:
        """Whether a person has sent the alert again: it has been tried before."""
        return attempt_of(self.record.headers) > 1


@dataclass(frozen=True)
class RejectedAlert:
    """An alert that becomes a dead letter, for some of its integrations or (empty) for all."""

    partition: int
    record: Any
    reason: DeadLetterReason
    message: str
    integration_ids: Sequence[int] = ()
