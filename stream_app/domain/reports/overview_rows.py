"""The rows of an installation's overview."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from stream_app.domain.reports.failed_runs import FailedRun


@dataclass(frozen=True)
class TopicRow:
    """A topic; one with 0 partitions is missing.

    `records` is the span of its offsets. A compacted topic holds at most that many. `newest_ms` is
    the time of its newest record, Unix ms.
    """

    topic: str
    partitions: int
    records: int = 0
    newest_ms: int | None = None


@dataclass(frozen=True)
class WorkerRow:
    """A member of a role's group; `restoring` tells its progress while it reads its state."""

    role: str
    host: str
    member_id: str
    partitions: dict[str, int]
    restoring: str | None = None


@dataclass(frozen=True)
class LagRow:
    """How many records of a topic a role's group has not processed yet."""

    group: str
    role: str
    topic: str
    lag: int


@dataclass(frozen=True)
class LostRecordsRow:
    """How many records of a topic were removed before a role read them, judging by offsets."""

    role: str
    topic: str
    records: int


@dataclass(frozen=True)
class StuckPartitionRow:
    """A partition that makes no progress; `since_ms` is when its next record was appended."""

    role: str
    topic: str
    partition: int
    offset: int
    since_ms: int


@dataclass(frozen=True)
class IntegrationRow:
    """An integration. `requests` and `failed` count the last 12 hours, as the judge does.

    Requests before it was last enabled do not count. `oldest_ms` is when the oldest of its pending
    deliveries was made, Unix ms. `failing` is set if its newest requests have all failed.
    `gets_system` says that its owner has selected the event `system`: it is told when another one
    of its client is disabled. `closes_waiting` alerts are over and still open, and `closes_due_ms`
    is when the first of them was to be closed.
    """

    id: int
    client_id: object
    name: object
    state: str
    detail: str | None
    requests: int
    failed: int
    pending: int
    oldest_ms: int | None
    failing: FailedRun | None = None
    gets_system: bool = False
    closes_waiting: int = 0
    closes_due_ms: int | None = None

    @property
    def share(self) -> int | None:
        """The percentage of its requests that failed; None: there were none."""
        return round(100 * self.failed / self.requests) if self.requests else None


class Silence(StrEnum):
    """Why an integration gets no alert of a trigger; a closed list."""

    OFF = "off"
    NOT_CONFIGURED = "not_configured"
    OTHER_CLIENT = "other_client"


_WORDS = {
    Silence.OFF: "is off",
    Silence.NOT_CONFIGURED: "is not configured",
    Silence.OTHER_CLIENT: "belongs to another client",
}


@dataclass(frozen=True)
class SilentIntegration:
    """An integration of a trigger that gets no alert of it."""

    integration_id: int
    reason: Silence

    def __str__(self) -> str:
        return f"integration {self.integration_id} {_WORDS[self.reason]}"


@dataclass(frozen=True)
class TriggerRow:
    """A trigger. `fired` is how often it fired in the alerts that were read.

    `last_fired_ms` is when it last fired, Unix ms. `silent_integrations` are its integrations if
    none of them takes its alerts.
    """

    id: int
    client_id: object
    name: object
    enabled: bool
    is_evaluated: bool
    notes: str
    problem: str | None
    fired: int
    last_fired_ms: int | None
    silent_integrations: Sequence[SilentIntegration] = ()
