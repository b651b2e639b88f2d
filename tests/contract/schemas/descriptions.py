"""The descriptions of fields in the schemas: what each means, with its unit.

They are not in the structs' annotations, where each decoder would carry them. A test fails for a
field without one.
"""

from __future__ import annotations

from stream_app.domain.alerts.alert import (
    Alert,
    AlertNotice,
    AlertTrigger,
    AnyAlert,
    NoticeAlert,
    NoticeTrigger,
)
from stream_app.domain.configuration.alert_options import AlertOptions, Responder
from stream_app.domain.configuration.statuses import IntegrationStatus
from stream_app.domain.configuration.triggers import Filter, Threshold
from stream_app.domain.counting.partial_counts import PartialCounts, TriggerCounts
from stream_app.domain.delivery.records import Cancel, Checked, Delivery, Folded, Result, Skipped
from stream_app.domain.episodes.reference import EpisodeReference
from stream_app.domain.events.shapes import (
    AttackNames,
    AttackShape,
    HitNames,
    HitShape,
    _Details,
    _HitDetails,
    _Names,
)
from stream_app.domain.notices.incoming import IncomingNotice
from stream_app.domain.pulse.note import PulseNote, PulseStop

_CLIENT = "Id of the client; it must be in `config.clients`."
_EPOCH = "Epoch of the integration, Unix milliseconds: raised by each new target and each enabling."
_KIND = "What kind of record it is."
_INTEGRATION = "Id of the integration."
_INTEGRATION_TYPE = "Type of the integration, such as `opsgenie`."
_INTEGRATIONS = "Ids of the integrations that get it."

#: Struct -> field -> its description. A field that is inherited is described at its base.
DESCRIPTIONS: dict[type, dict[str, str]] = {
    _Names: {
        "client_id": _CLIENT,
        "client_name": "Name of a client in `config.clients`, in any spelling that looks the same.",
        "type": "Attack type code, such as `sqli`; case does not matter.",
        "attack_type": "Older name of `type`.",
        "host": "Host name that was attacked.",
        "domain": "Older name of `host`.",
        "poolid": "Application id, or several, of which any may match; -1 is the default one.",
        "application_id": "Older name of `poolid`.",
        "applications": "Names of the applications, where no id says it; `default` is -1.",
        "target": "`server`, `client` or `database`; missing: inferred from `type`.",
        "create_time": "Unix seconds; the event time where the kind's own time is missing.",
        "time": "Older name of the event time: Unix seconds, also as text.",
        "experimental": "Found by a custom regular expression: not counted.",
        "state": "`falsepositive`: not counted.",
    },
    HitNames: {
        "remote_addr4": "Source address, IPv4.",
        "remote_addr6": "Source address, IPv6.",
        "ip": "Older name of the source address.",
        "response_status": "HTTP status of the response.",
        "statuscode": "Older name of `response_status`.",
        "status_code": "Older name of `response_status`.",
        "request_time": "Event time, Unix seconds; missing: `create_time`, then the record's "
        "timestamp. More than 5 minutes ahead of that timestamp is refused.",
        "sampled": "Saved in the sample; false: not counted.",
    },
    AttackNames: {
        "remote_addrs": "Source addresses.",
        "ip": "Older name of the source address, or of several.",
        "response_statuses": "HTTP statuses of the responses.",
        "statuscode": "Older name of the status, or of several.",
        "status_code": "Older name of the status, or of several.",
        "first_time": "Event time, Unix seconds; missing: `create_time`, then the record's "
        "timestamp. More than 5 minutes ahead of that timestamp is refused.",
    },
    HitShape: {"details": "Of the documented envelope: all fields stand in its `hit`."},
    AttackShape: {"details": "Ignored; an envelope is refused, since none is documented."},
    _Details: {
        "client_name": "Name of the client, where no id says it.",
        "notification_type": "What the envelope is about.",
    },
    _HitDetails: {"hit": "The hit."},
    IncomingNotice: {
        "summary": "Title of the message.",
        "details": "What has happened, as the documented webhook tells it.",
        "client_id": "Id of the client; missing: the one client that `details.client_name` names.",
        "id": "Id of the notice: two with one id are one alert. Missing: topic, partition, offset "
        "and place. With an id of this project's own (`config.triggers/12`) and without its mark "
        "it is an alert of its own.",
        "description": "Text of the message, as it is; missing: built from `details`.",
        "stream_app_mark": "Makes this project's own notices known; no producer can make it.",
    },
    IntegrationStatus: {
        "integration_id": "Id of the integration; the record's key.",
        "client_id": "Id of its client.",
        "disabled": "Whether the system has disabled it.",
        "reason": "Why: `failed_share`.",
        "epoch": "Epoch of the integration that was judged, Unix milliseconds.",
        "failed": "Requests that had failed.",
        "total": "Requests in all.",
        "window_hours": "Hours that the requests are counted over.",
        "since_ms": "When it was disabled, Unix milliseconds.",
        "told": "The client's other integrations that got a message of it, by id; missing: not "
        "known.",
    },
    PartialCounts: {
        "triggers": "The triggers that have counted since the last flush.",
        "config_position": "How far the worker had read `config.triggers`, an offset.",
        "appended_ms": "Append time of the newest record of each source partition, Unix ms.",
    },
    TriggerCounts: {
        "client_id": "Id of the client.",
        "trigger_id": "Id of the trigger; it decides the record's partition.",
        "revision": "Hash of what decides the trigger's count.",
        "period": "Length of the windows, seconds.",
        "windows": "Start of the window (Unix seconds), source partition that was counted, and "
        "events counted so far, absolute: the number never decreases.",
    },
    AnyAlert: {
        "id": "Id of the alert, and its alias at the service: "
        "`stream-app:<client>:<kind>:<32 hex digits>`.",
        "client_id": "Id of the client; the record's key.",
        "client_name": "Name of the client.",
        "cloud": "Cloud of the client: EU, US or ME.",
    },
    Alert: {
        "trigger": "The trigger as it was configured then.",
        "window_start": "Start of the window, Unix seconds.",
        "window_end": "End of the window, Unix seconds, exclusive.",
        "integration_ids": _INTEGRATIONS,
        "applications": "Names of the applications that the filters mention, by id.",
    },
    AlertTrigger: {
        "id": "Id of the trigger.",
        "name": "Its name.",
        "template_id": "Its condition.",
        "revision": "Hash of what decides its count.",
        "filters": "Its filters, in the stored order.",
        "threshold": "Its threshold.",
    },
    Filter: {
        "id": "What is compared, such as `attack_type`.",
        "operator": "`eq`: any of the values matches; `ne`: none does.",
        "values": "Values in their stored form.",
    },
    Threshold: {
        "count": "It fires when more events than this fall into one window.",
        "period": "Length of the window, seconds.",
    },
    AlertNotice: {
        "kind": "The notice's `notification_type`.",
        "subscription": "The integrations' event that matched the notice; empty: a trigger "
        "matched it.",
        "summary": "Title as the producer sent it.",
        "description": "Text as the producer sent it; empty: there was none.",
        "details": "Details, flat, in the producer's order.",
        "appended_ms": "Timestamp of its record, Unix milliseconds.",
    },
    NoticeAlert: {
        "notice": "The notice as it came.",
        "integration_ids": _INTEGRATIONS,
        "trigger": "The trigger that matched the notice; missing: integrations subscribed to it.",
        "applications": "Names of the applications that are mentioned, by id.",
    },
    NoticeTrigger: {
        "id": "Id of the trigger.",
        "name": "Its name.",
        "template_id": "Its condition.",
        "revision": "Hash of what it was configured to be.",
        "filters": "Its filters, in the stored order.",
    },
    Delivery: {
        "id": "`<alert id>/<integration id>`.",
        "alert_id": "Id of the alert, and its alias at the service unless it has an episode.",
        "client_id": "Id of the client.",
        "integration_id": "Id of the integration; the record's key.",
        "message": "Title as rendered.",
        "description": "Text as rendered.",
        "details": "Flat facts for machines.",
        "epoch": _EPOCH,
        "options": "What the integration's owner has set on all its alerts.",
        "action": "What is asked of the service; missing: `create`.",
        "episode": "The episode that its window is told in; missing: it is an alert of its own.",
        "after": "Of a note: id of the delivery that must be accepted before it.",
        "note": "Of a note: its text. Of a close: what it says on the alert.",
        "closes": "Of a close: offset of the last delivery that creates its alert.",
    },
    EpisodeReference: {
        "alias": "Alias of the episode's alert at the service.",
        "trigger_id": "Id of the trigger.",
        "revision": "Hash of what the trigger was configured to be.",
        "window_start": "Start of the window, Unix seconds.",
        "window_end": "End of the window, exclusive, Unix seconds.",
        "close_after_seconds": "Silence after which the alert is closed; missing: it is not.",
    },
    AlertOptions: {
        "priority": "Priority; missing: the service's default, P3.",
        "tags": "Tags, at most 20 of at most 50 characters.",
        "responders": "Who is to respond, at most 50.",
        "entity": "What the alert is about; empty: not set.",
        "source": "Where it comes from; empty: `stream-app`.",
    },
    Responder: {
        "type": "Who can respond.",
        "id": "Id at the service; empty: a name is given.",
        "name": "Name of a team, an escalation or a schedule.",
        "username": "Name of a user.",
    },
    Result: {
        "type": _KIND,
        "delivery_id": "Id of the delivery.",
        "client_id": "Id of the client.",
        "integration_id": _INTEGRATION,
        "integration_type": _INTEGRATION_TYPE,
        "attempt": "Which attempt it was, from 1.",
        "accepted": "Whether a 2xx came.",
        "reason": "What came of it: `accepted`, `dry_run`, or why it failed.",
        "message": "The same for people; it holds no key.",
        "finished_at_ms": "When it ended, Unix milliseconds.",
        "duration_seconds": "How long it took, seconds.",
        "status": "HTTP status; missing: no answer came.",
        "request_id": "Id that the service gave the request.",
        "retry_after_seconds": "What the service asked to wait, seconds.",
        "epoch": _EPOCH,
        "redrives": "How often the delivery had come back from the dead letters.",
        "is_sent": "Whether a request was made.",
        "body": "In a dry run the body that would have been posted, JSON; missing otherwise.",
        "action": "What was asked of the service; missing: `create`.",
        "alias": "Alias of the alert if that is to be closed some day; missing otherwise.",
    },
    Cancel: {
        "type": _KIND,
        "client_id": "Id of the client.",
        "integration_id": _INTEGRATION,
        "reason": "Why its pending deliveries are given up.",
        "epoch": "Epoch up to which they are given up, Unix milliseconds.",
    },
    Checked: {
        "type": _KIND,
        "delivery_id": "Id of the delivery.",
        "client_id": "Id of the client.",
        "integration_id": _INTEGRATION,
        "integration_type": _INTEGRATION_TYPE,
        "request_id": "Id that the service gave the request.",
        "outcome": "What the check has found.",
        "status": "The service's own text, or why there is none.",
        "checked_at_ms": "When it was asked, Unix milliseconds.",
        "epoch": _EPOCH,
    },
    Folded: {
        "type": _KIND,
        "delivery_id": "Id that its delivery would have.",
        "alert_id": "Id of the alert.",
        "client_id": "Id of the client.",
        "integration_id": _INTEGRATION,
        "episode": "The episode that counts it.",
    },
    Skipped: {
        "type": _KIND,
        "delivery_id": "Id of the note or the close.",
        "client_id": "Id of the client.",
        "integration_id": _INTEGRATION,
        "reason": "Why there is no use for it any more.",
    },
    PulseNote: {
        "type": _KIND,
        "worker": "The notifier: its host and process id.",
        "noted_at_ms": "When it noted this, Unix milliseconds.",
        "is_owner": "Whether it is the notifier that pings.",
        "pinged_at_ms": "When it last pinged, Unix milliseconds; 0: never.",
        "stops": "What stops the pulse.",
        "client_id": "The reserved client.",
        "integration_id": "The reserved integration; the record's key.",
    },
    PulseStop: {
        "reason": "What it is.",
        "why": "The same for people.",
    },
}


def descriptions_of(name: str) -> dict[str, str]:
    """Return the descriptions of a struct's fields, the inherited ones too, by its name."""
    known = {struct.__name__: struct for struct in DESCRIPTIONS}
    struct = known.get(name) or _heirs().get(name)
    bases = reversed(struct.__mro__) if struct is not None else ()
    return {field: text for base in bases for field, text in DESCRIPTIONS.get(base, {}).items()}


def _heirs() -> dict[str, type]:
    """Return the structs that may add no field to a described one, by their names."""
    heirs: list[type] = []
    for struct in DESCRIPTIONS:
        heirs += struct.__subclasses__()
    return {heir.__name__: heir for heir in heirs}
