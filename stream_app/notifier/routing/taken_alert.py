"""An alert that `route` has read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stream_app.domain.alerts.alert import Alert, NoticeAlert
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
