"""Alerts: one fired trigger, with everything a reader needs.

An alert is a function of (client, trigger as configured, window): no observed count, no wall
time and no offset is in it. So a replay gives the same alerts, byte for byte.
"""

from __future__ import annotations

import hashlib

import msgspec
import orjson

from stream_app.domain.clients import Client
from stream_app.domain.triggers import Filter, Threshold, Trigger

PRODUCT = "stream-app"


class AlertTrigger(msgspec.Struct, frozen=True):
    """The trigger as it was configured when its window exceeded the threshold."""

    id: int
    name: str
    template_id: str
    revision: str
    filters: tuple[Filter, ...]
    threshold: Threshold


class Alert(msgspec.Struct, frozen=True):
    """One fired trigger. `window_start` and `window_end` are Unix seconds, the end exclusive."""

    id: str
    client_id: int
    client_name: str
    cloud: str
    trigger: AlertTrigger
    window_start: int
    window_end: int
    integration_ids: tuple[int, ...]
    #: Names of the applications that the trigger's filters mention, by id as text.
    applications: dict[str, str]


def alert_id(client_id: int, trigger: Trigger, window_start: int) -> str:
    """Return the id of the alert of a window; it is the alias at Opsgenie, too.

    Its form is `<product>:<tenant>:<event type>:<32 hex digits of a hash>`: equal for equal
    identity, never made of time of day, counts or text.
    """
    identity = ["trigger", client_id, trigger.id, trigger.revision, window_start]
    digest = hashlib.sha256(orjson.dumps(identity)).hexdigest()[:32]
    return f"{PRODUCT}:{client_id}:{trigger.template_id}:{digest}"


def fired_alert(client: Client, trigger: Trigger, window_start: int) -> Alert:
    """Return the alert of a trigger whose window has exceeded its threshold."""
    if trigger.threshold is None:
        raise ValueError(f"trigger {trigger.id} has no threshold")
    pools = [v for item in trigger.filters if item.id == "pool" for v in item.values]
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
        applications={
            str(pool): client.applications[int(pool)]
            for pool in pools
            if int(pool) in client.applications
        },
    )


_encode = msgspec.json.Encoder(order="deterministic").encode


def encode_alert(alert: Alert) -> bytes:
    """Return the alert as it stands on the topic; equal alerts give equal bytes."""
    return _encode(alert)


decode_alert = msgspec.json.Decoder(Alert).decode
