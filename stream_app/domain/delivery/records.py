"""The records of `deliveries` and `delivery-results`.

A delivery is one rendered message for one integration.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from stream_app.domain.alerts.alert import AnyAlert
from stream_app.domain.alerts.threshold_text import Message, period_text
from stream_app.domain.bounds import IdText, Int64
from stream_app.domain.configuration.alert_options import NO_OPTIONS, AlertOptions
from stream_app.domain.delivery.reasons import OWN_REASONS, LocalReason, SkipReason
from stream_app.domain.delivery.status_checks import CheckOutcome
from stream_app.domain.episodes.open_alert import OpenAlert
from stream_app.domain.episodes.reference import EpisodeReference
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.pulse.note import PulseNote
from stream_app.domain.state.keys import NEVER

#: What the ids of notes and closes have between their alert's id or alias and the rest.
NOTE_SUFFIX = ":note"
CLOSE_INFIX = ":close:"
#: Header of a delivery: append time of its alert, Unix ms.
ALERTED_HEADER = "x-alerted-ms"


class ServiceAction(StrEnum):
    """What a delivery asks of the service."""

    CREATE = "create"
    NOTE = "note"
    CLOSE = "close"


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rendered message for one integration: a function of the alert and the integration.

    The texts are rendered once, and the integration's `options` are copied once, so that every
    resend has the same body. `epoch` is the integration's.

    A window that is told as a part of an episode has the `episode`. A note, whose text is `note`,
    is sent only after the delivery `after` has been accepted. A close leaves its `note`, too, and
    is for the deliveries that create its alert up to offset `closes` of their topic. A note and a
    close have no texts of an alert.
    """

    id: IdText
    alert_id: IdText
    client_id: Int64
    integration_id: Int64
    message: str
    description: str
    details: dict[str, str]
    epoch: Int64 = 0
    options: AlertOptions = NO_OPTIONS
    action: ServiceAction = ServiceAction.CREATE
    episode: EpisodeReference | None = None
    after: str = ""
    note: str = ""
    closes: Int64 = NEVER

    @property
    def alias(self) -> str:
        """The alias of the alert at the service."""
        return self.alert_id if self.episode is None else self.episode.alias

    @property
    def is_of_newer_format(self) -> bool:
        """Whether a version that knows no episodes would misread it."""
        return self.episode is not None or self.action is not ServiceAction.CREATE


class Result(msgspec.Struct, frozen=True, tag_field="type", tag="attempt"):
    """The result of one attempt. `finished_at_ms` is when it ended, in Unix ms.

    `status` is absent if no answer came. `retry_after_seconds` is what the service asked for.
    `epoch` is that of the integration at the time of the request; `redrives` is that of the
    delivery. `is_sent` is false if no request was made: the configuration allowed none, a proxy let
    none pass, this machine could not make one, or it was a dry run. After the second and the third
    the same attempt is made again. In a dry run `body` is what would have been posted, as JSON.

    `action` is absent if the delivery creates an alert. `alias` is that of an alert that is to be
    closed some day; it is absent for all others.
    """

    delivery_id: str
    client_id: Int64
    integration_id: Int64
    integration_type: str
    attempt: Int64
    accepted: bool
    reason: str
    message: str
    finished_at_ms: Int64
    duration_seconds: float
    status: Int64 | None = None
    request_id: str | None = None
    retry_after_seconds: float | None = None
    epoch: Int64 = 0
    redrives: Int64 = 0
    is_sent: bool = True
    body: str | msgspec.UnsetType = msgspec.UNSET
    action: ServiceAction | msgspec.UnsetType = msgspec.UNSET
    alias: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def is_own_fault(self) -> bool:
        """Whether our own side prevented the request."""
        return self.reason in OWN_REASONS

    @property
    def is_no_attempt(self) -> bool:
        """Whether it counts as no attempt: the same one is made again a little later."""
        return self.is_own_fault or self.reason == LocalReason.NOT_PROCESSED

    @property
    def is_dry_run(self) -> bool:
        """Whether the attempt was only recorded."""
        return self.reason == LocalReason.DRY_RUN


class Cancel(msgspec.Struct, frozen=True, tag_field="type", tag="cancel"):
    """A command: give up the pending deliveries of an integration, up to this epoch."""

    client_id: Int64
    integration_id: Int64
    reason: DeadLetterReason
    epoch: Int64


class Checked(msgspec.Struct, frozen=True, tag_field="type", tag="checked"):
    """What later became of an accepted request. It changes no delivery.

    `status` is the service's own text, or says why there is none. `checked_at_ms` is Unix ms.
    """

    delivery_id: str
    client_id: Int64
    integration_id: Int64
    integration_type: str
    request_id: str
    outcome: CheckOutcome
    status: str
    checked_at_ms: Int64
    epoch: Int64 = 0

    @property
    def alert_id(self) -> str:
        """The id of the alert that the delivery is of."""
        return self.delivery_id.removesuffix(f"/{self.integration_id}")


class Folded(msgspec.Struct, frozen=True, tag_field="type", tag="folded"):
    """A window that makes no request of its own: the next repeat of its episode counts it.

    `delivery_id` is the id that its delivery would have.
    """

    delivery_id: str
    alert_id: str
    client_id: Int64
    integration_id: Int64
    episode: EpisodeReference


class Skipped(msgspec.Struct, frozen=True, tag_field="type", tag="skipped"):
    """A note or a close that has ended without a request, since there is no use for it any more."""

    delivery_id: str
    client_id: Int64
    integration_id: Int64
    reason: SkipReason


#: A record of `delivery-results`.
ResultRecord = Result | Cancel | Checked | Folded | Skipped | PulseNote


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
    """Return the delivery of an alert to one of its integrations."""
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


def note_id(alert_id: str, integration_id: int) -> str:
    """Return the id of the note that follows the delivery of an alert to an integration."""
    return delivery_id(f"{alert_id}{NOTE_SUFFIX}", integration_id)


def close_id(alert: OpenAlert) -> str:
    """Return the id of the delivery that closes an open alert."""
    name = f"{alert.alias}{CLOSE_INFIX}{alert.last_window_end}:{alert.created_offset}"
    return delivery_id(name, alert.integration_id)


def close_of(alert: OpenAlert, options: AlertOptions = NO_OPTIONS) -> Delivery:
    """Return the delivery that closes an open alert; the same alert gives the same one.

    Nothing has come for the alert for as long as its integration says.
    """
    silence = period_text(alert.close_after_seconds)
    return Delivery(
        id=close_id(alert),
        alert_id=alert.alert_id,
        client_id=alert.client_id,
        integration_id=alert.integration_id,
        message="",
        description="",
        details={},
        epoch=alert.epoch,
        options=options,
        action=ServiceAction.CLOSE,
        episode=EpisodeReference(
            alert.alias,
            alert.trigger_id,
            alert.revision,
            alert.begin,
            alert.last_window_end,
            alert.close_after_seconds,
        ),
        note=f"Its trigger has not fired for {silence}.",
        closes=alert.created_offset,
    )


#: Equal deliveries give equal bytes.
encode_delivery = encode_result = msgspec.json.Encoder(order="deterministic").encode
decode_delivery = msgspec.json.Decoder(Delivery).decode
#: An unknown tag, which a newer version may have written, is an error.
decode_result = msgspec.json.Decoder(ResultRecord).decode
