"""Deliveries: one rendered message for one integration, and what has become of it.

The records of `deliveries` and `delivery-results`, and the state that follows from them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from stream_app.domain.alerts.alert import AnyAlert
from stream_app.domain.alerts.threshold_text import Message
from stream_app.domain.configuration.alert_options import NO_OPTIONS, AlertOptions
from stream_app.domain.delivery.own_faults import OWN_REASONS
from stream_app.domain.delivery.reasons import LocalReason
from stream_app.domain.delivery.status_checks import CheckOutcome
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.state.keys import NEVER

#: Ids of this project have some 80 characters; a bound keeps a state below what a record may have.
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
#: What the records that follow from these can hold: a longer number would end the process there.
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

#: Header of a delivery: append time of its alert, Unix ms. It is for a metric only.
ALERTED_HEADER = "x-alerted-ms"


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rendered message for one integration: a function of the alert and the integration.

    `alert_id` is the alias at the service; the texts are rendered and the integration's `options`
    taken once, so that every resend has the same body. `epoch` is the integration's.
    """

    id: Text
    alert_id: Text
    client_id: Whole
    integration_id: Whole
    message: str
    description: str
    details: dict[str, str]
    epoch: Whole = 0
    options: AlertOptions = NO_OPTIONS


class Result(msgspec.Struct, frozen=True, tag_field="type", tag="attempt"):
    """What came of one attempt. `finished_at_ms` is when it ended, in Unix ms.

    `status` is absent when no answer came; `retry_after_seconds` is what the service asked for.
    `epoch` is the integration's at the time of the request, `redrives` the delivery's. `is_sent`
    is false when no request was made: the configuration allowed none, the proxy let none pass,
    this machine had no means for one (for both the same attempt is made again), or it is a dry
    run. Then `body` is what would have been posted, JSON.
    """

    delivery_id: str
    client_id: Whole
    integration_id: Whole
    integration_type: str
    attempt: Whole
    accepted: bool
    reason: str
    message: str
    finished_at_ms: Whole
    duration_seconds: float
    status: Whole | None = None
    request_id: str | None = None
    retry_after_seconds: float | None = None
    epoch: Whole = 0
    redrives: Whole = 0
    is_sent: bool = True
    body: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def is_own_fault(self) -> bool:
        """Tell whether our own side let no request be made: that is no attempt."""
        return self.reason in OWN_REASONS

    @property
    def is_dry_run(self) -> bool:
        """Tell whether the attempt was only recorded."""
        return self.reason == LocalReason.DRY_RUN


class Cancel(msgspec.Struct, frozen=True, tag_field="type", tag="cancel"):
    """A command: give up the pending deliveries of an integration up to this epoch of it."""

    client_id: Whole
    integration_id: Whole
    reason: DeadLetterReason
    epoch: Whole


class Checked(msgspec.Struct, frozen=True, tag_field="type", tag="checked"):
    """What became of an accepted request, asked later; it changes no delivery.

    `status` is the service's own text, or why there is none; `checked_at_ms` is Unix ms.
    """

    delivery_id: str
    client_id: Whole
    integration_id: Whole
    integration_type: str
    request_id: str
    outcome: CheckOutcome
    status: str
    checked_at_ms: Whole
    epoch: Whole = 0

    @property
    def alert_id(self) -> str:
        """The alias at the service: `delivery_of` makes a delivery's id of it."""
        return self.delivery_id.removesuffix(f"/{self.integration_id}")


#: What stands on `delivery-results`.
ResultRecord = Result | Cancel | Checked


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    SENT = "sent"
    DRY_RUN = "dry_run"
    GIVEN_UP = "given_up"
    CANCELLED = "cancelled"


class DeliveryState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a delivery. All times are Unix ms.

    Pending: `attempt` is the next one to be made, `due_ms` when, `failed_ms` when the one before
    it failed (0: none has); both are of the brokers' clocks. `record` holds the untouched
    bytes of the delivery's record, `offset` and `since_ms` its offset and time. Finished: no
    bytes, `attempt` is the last one made, `finished_ms` the record time of what ended it, and
    `reason` why it is a dead letter. `redrives` is how often it came back from there, and
    `alerted_ms` when its alert was appended; 0: not known.
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
    record: msgspec.Raw = msgspec.Raw()

    @property
    def is_finished(self) -> bool:
        """Tell whether no further attempt is made."""
        return self.status is not DeliveryStatus.PENDING

    @property
    def order(self) -> tuple[int, bool, int]:
        """Return what tells the newer of two states of one delivery: it never decreases."""
        return self.redrives, self.is_finished, self.attempt


def delivery_id(alert_id: str, integration_id: int) -> str:
    """Return the id of the delivery of an alert to an integration."""
    return f"{alert_id}/{integration_id}"


def delivery_of(
    alert: AnyAlert,
    message: Message,
    integration_id: int,
    epoch: int = 0,
    options: AlertOptions = NO_OPTIONS,
) -> Delivery:
    """Return the delivery of an alert to one of its integrations, with what is the latter's."""
    return Delivery(
        id=delivery_id(alert.id, integration_id),
        alert_id=alert.id,
        client_id=alert.client_id,
        integration_id=integration_id,
        message=message.title,
        description=message.description,
        details=message.details,
        epoch=epoch,
        options=options,
    )


_encode = msgspec.json.Encoder(order="deterministic").encode
decode_delivery = msgspec.json.Decoder(Delivery).decode
#: A record of `delivery-results`. A tag that is not known, from a newer version, is an error.
decode_result = msgspec.json.Decoder(ResultRecord).decode
decode_state = msgspec.json.Decoder(DeliveryState).decode


def encode_delivery(delivery: Delivery) -> bytes:
    """Return the delivery as it stands on the topic; equal deliveries give equal bytes."""
    return _encode(delivery)


def encode_result(result: ResultRecord) -> bytes:
    """Return the result, command or check as it stands on the topic."""
    return _encode(result)


def encode_state(state: DeliveryState) -> bytes:
    """Return the state as it stands in the changelog."""
    return _encode(state)
