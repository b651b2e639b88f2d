"""Valid records of every topic but the events', to be spoiled by tests."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from stream_app.domain.alerts.alert import Alert, AlertTrigger, encode_alert
from stream_app.domain.configuration.statuses import IntegrationStatus, encode_status
from stream_app.domain.configuration.triggers import Filter, Threshold
from stream_app.domain.counting.partial_counts import PartialCounts, TriggerCounts
from stream_app.domain.delivery.records import (
    Cancel,
    Checked,
    Delivery,
    Result,
    encode_delivery,
    encode_result,
)
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus, encode_state
from stream_app.domain.delivery.status_checks import CheckOutcome
from stream_app.domain.errors import DeadLetterReason
from tests.unit.domain.documented_notices import NOTICES

CLIENT = 1111
NOW_MS = 1_767_225_600_000

_CLAUSES = (Filter("pool", "eq", (7, -1)), Filter("response_status", "ne", ("5xx", 404)))
_TRIGGER = AlertTrigger(61, "Hits", "hits_exceeded", "r1", _CLAUSES, Threshold(1, 60))
FIRED = Alert("a:1", CLIENT, "Acme", "EU", _TRIGGER, 600, 660, (521, 522), {"7": "Shop"})
DELIVERY = Delivery("a/521", "a", CLIENT, 521, "Title", "Text", {"client_name": "Acme"}, 7)
_ATTEMPT = Result(
    *("a/521", CLIENT, 521, "opsgenie", 1, False, "rate_limited", "HTTP 429", NOW_MS, 0.1),
    status=429,
    request_id="r",
    retry_after_seconds=3.0,
    epoch=7,
)
_CHECKED = Checked("a/521", CLIENT, 521, "opsgenie", "r", next(iter(CheckOutcome)), "ok", NOW_MS)
_CANCEL = Cancel(CLIENT, 521, DeadLetterReason.INTEGRATION_DISABLED, 7)
_STATE = DeliveryState(
    *("a/521", DeliveryStatus.PENDING, CLIENT, 521, 1, NOW_MS),
    record=msgspec.Raw(encode_delivery(DELIVERY)),
)
STATUS = IntegrationStatus(521, CLIENT, True, "failed_share", 7, 18, 27, 12, NOW_MS)

_NOTICES = [json.dumps(body | {"client_id": CLIENT, "id": "n/1"}) for body in NOTICES.values()]
NOTICE_RECORDS = [text.encode() for text in _NOTICES]
NOTICE_RECORDS += ["\n".join(_NOTICES[:3]).encode(), f"[{','.join(_NOTICES[:3])}]".encode()]
ALERTS = [encode_alert(FIRED)]
DELIVERIES = [encode_delivery(DELIVERY)]
RESULTS = [encode_result(one) for one in (_ATTEMPT, _CANCEL, _CHECKED)]
RESULTS.append(encode_result(msgspec.structs.replace(_ATTEMPT, accepted=True, status=202)))
STATES = [encode_state(_STATE)]
_PARTIALS = PartialCounts([TriggerCounts(CLIENT, 61, "r1", 60, [[600, 0, 3], [600, 1, 2]])], 0)
PARTIALS = [msgspec.json.encode(_PARTIALS)]
STATUSES = [encode_status(STATUS)]

CLIENT_OBJECT: dict[str, Any] = {
    "client_id": CLIENT,
    "name": "Acme",
    "cloud": "EU",
    "applications": {"7": "Shop"},
}
INTEGRATION_OBJECT: dict[str, Any] = {
    "id": 521,
    "client_id": CLIENT,
    "name": "On-call",
    "type": "opsgenie",
    "active": True,
    "target": {"api": "https://api.opsgenie.com/v2/alerts", "token": "env:STREAM_APP_KEY_1111_A"},
    "events": [{"event": "system", "active": True}],
    "alert": {"priority": "P1", "tags": ["waf"]},
    "updated_at": 1,
    "epoch": 7,
    "enabled_at": 1,
}
TRIGGER_OBJECT: dict[str, Any] = {
    "id": 61,
    "client_id": CLIENT,
    "name": "Hits",
    "enabled": True,
    "template_id": "hits_exceeded",
    "filters": [{"id": "pool", "operator": "eq", "values": [7, -1]}],
    "threshold": {"count": 1, "period": 60, "operator": "gt"},
    "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
    "enabled_at": 1,
}
CONFIG: dict[str, list[bytes]] = {
    "config.clients": [json.dumps(CLIENT_OBJECT).encode()],
    "config.integrations": [json.dumps(INTEGRATION_OBJECT).encode()],
    "config.triggers": [
        json.dumps(TRIGGER_OBJECT).encode(),
        json.dumps({"trigger": TRIGGER_OBJECT}).encode(),
    ],
    "status.integrations": STATUSES,
}
