"""The state of a delivery, as `deliver` keeps it while it has not ended."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from stream_app.domain.delivery.records import ServiceAction
from stream_app.domain.state.keys import NEVER


class DeliveryStatus(StrEnum):
    """Where a delivery stands.

    A `waiting` one is not due before others have ended, and a `skipped` one has ended without a
    request and without a dead letter.
    """

    WAITING = "waiting"
    PENDING = "pending"
    SENT = "sent"
    DRY_RUN = "dry_run"
    GIVEN_UP = "given_up"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


#: Statuses of deliveries that have not ended.
UNFINISHED = frozenset({DeliveryStatus.WAITING, DeliveryStatus.PENDING})


class DeliveryState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a delivery. All times are Unix ms.

    Of a pending delivery, `attempt` is the next attempt, `due_ms` is when it is due, and
    `failed_ms` is when the one before it failed (0: there was none); both times are of the broker's
    clock. `record` holds the untouched bytes of the delivery's record, `offset` and `since_ms` its
    offset and time.

    A waiting delivery has attempt 0. A note waits for the delivery `after`. Once it waits no more,
    `released_ms` is since when, and a close is sent only after request `request_id` is processed.
    `alias` is set if the delivery creates or closes an alert that is to be closed some day.

    Of a finished delivery, `attempt` is the last attempt, `finished_ms` the time of the record that
    ended it, and `reason` why it is a dead letter, or was skipped; `record` is empty.

    `redrives` is how often it came back from the dead letters, and `alerted_ms` when its alert was
    appended (0: not known).
    """

    id: str
    status: DeliveryStatus
    client_id: int
    integration_id: int
    attempt: int
    since_ms: int
    epoch: int = 0
    due_ms: int = 0
    failed_ms: int = 0
    finished_ms: int = 0
    redrives: int = 0
    alerted_ms: int = 0
    reason: str = ""
    offset: int = NEVER
    action: ServiceAction = ServiceAction.CREATE
    alias: str = ""
    after: str = ""
    released_ms: int = 0
    request_id: str = ""
    record: msgspec.Raw = msgspec.Raw()

    @property
    def is_finished(self) -> bool:
        """Whether no further attempt is made."""
        return self.status not in UNFINISHED

    @property
    def is_waiting(self) -> bool:
        """Whether it is not due before others have ended."""
        return self.status is DeliveryStatus.WAITING

    @property
    def pending_since_ms(self) -> int:
        """Since when it could be sent."""
        return self.released_ms or self.since_ms

    @property
    def order(self) -> tuple[int, bool, int]:
        """What orders the states of one delivery; it never decreases."""
        return self.redrives, self.is_finished, self.attempt


#: The changelog value of an unfinished delivery.
encode_state = msgspec.json.Encoder(order="deterministic").encode
decode_state = msgspec.json.Decoder(DeliveryState).decode
