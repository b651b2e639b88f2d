"""The pulse's event: it passes count, evaluate, route and deliver, and leaves no trace in counting.

Its event time is negative: it counts milliseconds and not seconds, and it lies before 1970. So
each event has a window of its own. It moves no watermark: a partition whose producers are hours
behind must not have their events called late because of a pulse. It is never in the future, and
whether it is late is not asked (`CountingTrigger.keep`).
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from stream_app.domain.alerts.alert import alert_id
from stream_app.domain.configuration.reserved import (
    PULSE_CLIENT_ID,
    PULSE_INTEGRATION_ID,
    PULSE_TRIGGERS,
)
from stream_app.domain.events.model import KIND_OF_CONDITION, TIME_FIELDS, EventKind

#: Header of the event's record. Commands that read events again leave such records out.
PULSE_HEADER = "x-stream-app-pulse"
_TRIGGER_OF_KIND = {KIND_OF_CONDITION[one.template_id]: one for one in PULSE_TRIGGERS.values()}


class Probe(msgspec.Struct, frozen=True):
    """An event of the pulse, as its record holds it, and the delivery that comes of it."""

    value: bytes
    delivery_id: str


def is_probe(record: Any) -> bool:
    """Tell whether a record of a topic of events is one of the pulse."""
    return any(name == PULSE_HEADER for name, _ in record.headers)


def probe(kind: EventKind, sent_ms: int) -> Probe:
    """Return the event of a kind that is sent at a time (Unix ms); each needs another time."""
    trigger = _TRIGGER_OF_KIND[kind]
    event = {"client_id": PULSE_CLIENT_ID, TIME_FIELDS[kind]: -sent_ms}
    alert = alert_id(PULSE_CLIENT_ID, trigger, -sent_ms)
    return Probe(orjson.dumps(event), f"{alert}/{PULSE_INTEGRATION_ID}")
