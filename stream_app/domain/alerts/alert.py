"""Alerts: one fired trigger or one matched notice, with everything a reader needs.

The alert of a counting trigger depends only on the client, the trigger as configured, and the
window: it has no observed count, wall time or offset. So a replay gives the same alerts, byte for
byte.

Only the alert of a notice has the field `notice`. No field names the kind of an alert, so the
records of counting triggers stay as they have always been written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec
import orjson

from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Filter, Threshold, Trigger

PRODUCT = "stream-app"
#: Stands in the place of a trigger's id in what the alert id of a subscription is made of.
SUBSCRIPTION = "subscription"


class NoticeTrigger(msgspec.Struct, frozen=True):
    """The trigger as it was configured when it matched a notice. It has no threshold."""

    id: int
    name: str
    template_id: str
    revision: str
    filters: tuple[Filter, ...]


class AlertTrigger(NoticeTrigger, frozen=True):
    """The trigger as it was configured when its window exceeded the threshold."""

    threshold: Threshold


class AnyAlert(msgspec.Struct, frozen=True):
    """The first fields of both kinds of alerts."""

    id: str
    client_id: int
    client_name: str
    cloud: str


class Alert(AnyAlert, frozen=True):
    """One fired trigger. `window_start` and `window_end` are Unix seconds, the end exclusive."""

    trigger: AlertTrigger
    window_start: int
    window_end: int
    integration_ids: tuple[int, ...]
    #: Names of the applications that the trigger's filters mention, by id as text.
    applications: dict[str, str]

    @property
    def happened_at_seconds(self) -> int:
        """When the window ended, in Unix seconds: the alert's age counts from it."""
        return self.window_end

    @property
    def cause(self) -> dict[str, object]:
        """What caused the alert, for log lines."""
        return {"trigger_id": self.trigger.id}


class AlertNotice(msgspec.Struct, frozen=True):
    """The notice as it came. `details` are flat, in the producer's order.

    `subscription` is the integrations' event that matched the notice; it is empty if a trigger did.
    `description` is empty if the producer sent none. `appended_ms` is the timestamp of the notice's
    record, Unix ms.
    """

    kind: str
    subscription: str
    summary: str
    description: str
    details: dict[str, str]
    appended_ms: int


class NoticeAlert(AnyAlert, frozen=True, omit_defaults=True):
    """One notice, for the integrations that subscribed to it or for those of a matching trigger.

    `integration_ids` are these integrations. Without a trigger the record has no `trigger` field,
    as before triggers could match notices.
    """

    notice: AlertNotice
    integration_ids: tuple[int, ...]
    trigger: NoticeTrigger | None = None
    #: Names of the applications that the trigger's filters and the notice mention, by id as text.
    applications: dict[str, str] = {}

    @property
    def happened_at_seconds(self) -> int:
        """When the notice was appended, in Unix seconds: the alert's age counts from it."""
        return self.notice.appended_ms // 1000

    @property
    def cause(self) -> dict[str, object]:
        """What caused the alert, for log lines."""
        found: dict[str, object] = {"notification_type": self.notice.kind}
        return found | {"trigger_id": self.trigger.id} if self.trigger else found


def alert_id(client_id: int, trigger: Trigger, window_start: int) -> str:
    """Return the id of a window's alert, which is also its alias at Opsgenie.

    Its form is `<product>:<tenant>:<event type>:<32 hex digits>`. The digits are a hash of what
    identifies the alert; they never depend on the time of day, on counts or on texts.
    """
    identity = ["trigger", client_id, trigger.id, trigger.revision, window_start]
    return _id(client_id, trigger.template_id, identity)


def notice_alert_id(
    client_id: int, kind: str, notice_id: Sequence[str | int], trigger_id: int | None = None
) -> str:
    """Return the id of a notice's alert, which is also its alias at Opsgenie.

    Args:
        client_id: the client that the notice belongs to.
        kind: the `notification_type`, a known one.
        notice_id: the producer's id alone, or else topic, partition, offset and index.
        trigger_id: the trigger that matches the notice; None if integrations subscribe to it.
    """
    cause = SUBSCRIPTION if trigger_id is None else trigger_id
    return _id(client_id, kind, ["notice", client_id, kind, *notice_id, cause])


def _id(client_id: int, kind: str, identity: Sequence[object]) -> str:
    digest = hashlib.sha256(orjson.dumps(identity)).hexdigest()[:32]
    return f"{PRODUCT}:{client_id}:{kind}:{digest}"


def fired_alert(client: Client, trigger: Trigger, window_start: int) -> Alert:
    """Return the alert of a trigger whose threshold a window has exceeded."""
    if trigger.threshold is None:
        raise ValueError(f"trigger {trigger.id} has no threshold")
    return Alert(
        id=alert_id(client.client_id, trigger, window_start),
        client_id=client.client_id,
        client_name=client.name,
        cloud=client.cloud,
        trigger=AlertTrigger(
            trigger.id,
            trigger.name,
            trigger.template_id,
            trigger.revision,
            trigger.filters,
            trigger.threshold,
        ),
        window_start=window_start,
        window_end=window_start + trigger.threshold.period,
        integration_ids=trigger.integration_ids,
        applications=application_names(client, filtered_applications(trigger)),
    )


def filtered_applications(trigger: Trigger) -> list[int]:
    """Return the ids of the applications that a trigger's filters mention."""
    return [int(v) for item in trigger.filters if item.id == "pool" for v in item.values]


def application_names(client: Client, ids: Iterable[int]) -> dict[str, str]:
    """Return the names of a client's applications that have one, by id as text."""
    return {
        str(number): client.applications[number] for number in ids if number in client.applications
    }


class _Form(msgspec.Struct):
    """The one field that tells the two kinds of alerts apart."""

    notice: msgspec.Raw = msgspec.Raw(b"null")


_encode = msgspec.json.Encoder(order="deterministic").encode
#: Keeps the order of details, of which the most useful come first.
_encode_in_order = msgspec.json.Encoder().encode
_decode_form = msgspec.json.Decoder(_Form).decode
_decode_fired = msgspec.json.Decoder(Alert).decode
_decode_notice = msgspec.json.Decoder(NoticeAlert).decode


def encode_alert(alert: Alert | NoticeAlert) -> bytes:
    """Return the record's value; equal alerts give equal bytes."""
    return _encode_in_order(alert) if isinstance(alert, NoticeAlert) else _encode(alert)


def decode_alert(value: bytes) -> Alert | NoticeAlert:
    """Return the alert that a record holds.

    Raises:
        msgspec.MsgspecError: it holds none. `UnicodeDecodeError` and `RecursionError` mean the
            same.
    """
    is_notice = bytes(_decode_form(value).notice) != b"null"
    return _decode_notice(value) if is_notice else _decode_fired(value)
