"""The alerts of a notice: one for the integrations that subscribe to it, one for each trigger."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from stream_app.domain.alerts.alert import (
    AlertNotice,
    NoticeAlert,
    NoticeTrigger,
    application_names,
    filtered_applications,
    notice_alert_id,
)
from stream_app.domain.alerts.flat_details import flattened_details
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.notices.filter_fields import mentioned_applications
from stream_app.domain.notices.incoming import IncomingNotice, NoticeResult, Origin, check_kind
from stream_app.domain.notices.matching import NoticeTriggerIndex
from stream_app.domain.notices.outgoing import Notice
from stream_app.domain.notices.signatures import NO_SIGNATURES, NoticeSigner, alert_identity
from stream_app.domain.notices.subscriptions import KNOWN_KINDS, Subscribers, subscription_of

#: The kind of notice with a URL that the cloud fetches, which may contain a password.
SPECIFICATION_FAILED = "spec_update_failed"
_CREDENTIALS = re.compile(r"://[^\s/?#]*@")


def alerts_of(
    notice: IncomingNotice,
    origin: Origin,
    subscribers: Subscribers,
    triggers: NoticeTriggerIndex,
    signer: NoticeSigner = NO_SIGNATURES,
) -> tuple[NoticeResult, list[NoticeAlert]]:
    """Return a notice's result and alerts: for its subscription, then for triggers.

    Raises:
        RejectedEventError: its kind or client is missing or unknown, or its risk.
    """
    check_kind(notice)
    if notice.kind not in KNOWN_KINDS:
        return NoticeResult.UNKNOWN_KIND, []
    client = subscribers.client_of(notice)
    alerts = []
    subscription = subscription_of(notice)
    if subscription is not None:
        ids = subscribers.integration_ids(client.client_id, subscription, notice)
        if ids:
            alerts.append(notice_alert(notice, origin, client, subscription, ids, signer))
    found = triggers.matching(client.client_id, notice)
    if found:
        alerts += triggered_alerts(notice, origin, client, found, signer)
    return NoticeResult.MATCHED if alerts else NoticeResult.UNSUBSCRIBED, alerts


def notice_alert(
    notice: IncomingNotice,
    origin: Origin,
    client: Client,
    subscription: str,
    integration_ids: tuple[int, ...],
    signer: NoticeSigner = NO_SIGNATURES,
) -> NoticeAlert:
    """Return the alert of a notice; the client name and cloud in it win over the configured."""
    return NoticeAlert(
        id=notice_alert_id(
            client.client_id, notice.kind, _notice_id(notice, origin, client, signer)
        ),
        client_id=client.client_id,
        client_name=notice.text("client_name") or client.name,
        cloud=notice.text("cloud") or client.cloud,
        notice=_alert_notice(notice, origin, subscription),
        integration_ids=integration_ids,
    )


def triggered_alerts(
    notice: IncomingNotice,
    origin: Origin,
    client: Client,
    triggers: Iterable[Trigger],
    signer: NoticeSigner = NO_SIGNATURES,
) -> list[NoticeAlert]:
    """Return one alert for each of the triggers that match a notice."""
    plain = notice_alert(notice, origin, client, "", (), signer)
    notice_id = _notice_id(notice, origin, client, signer)
    mentioned = mentioned_applications(notice.details, client.applications)
    return [
        msgspec.structs.replace(
            plain,
            id=notice_alert_id(client.client_id, notice.kind, notice_id, one.id),
            integration_ids=one.integration_ids,
            trigger=NoticeTrigger(one.id, one.name, one.template_id, one.revision, one.filters),
            applications=application_names(client, [*filtered_applications(one), *mentioned]),
        )
        for one in triggers
    ]


def _notice_id(
    notice: IncomingNotice, origin: Origin, client: Client, signer: NoticeSigner
) -> tuple[str | int, ...]:
    """Return what identifies the notice: the producer's id, or else where it was read.

    Some ids are reserved for our own notices: see `alert_identity`.
    """
    if notice.id is not None and notice.id != "":
        signed = Notice(client.client_id, str(notice.id), notice.summary, notice.details)
        return alert_identity(signed, notice.description, notice.stream_app_mark, signer)
    return (origin.topic, origin.partition, origin.offset, origin.index)


def _alert_notice(notice: IncomingNotice, origin: Origin, subscription: str) -> AlertNotice:
    clean = _without_credentials if notice.kind == SPECIFICATION_FAILED else str
    details: dict[str, str] = {}
    for name, text in flattened_details(notice.details):
        details.setdefault(name, clean(text))
    return AlertNotice(
        kind=notice.kind,
        subscription=subscription,
        summary=clean(notice.summary),
        description=clean(notice.description or ""),
        details=details,
        appended_ms=origin.timestamp_ms,
    )


def _without_credentials(text: str) -> str:
    """Return a text without the `user:password@` of URLs, which no alert may show."""
    return _CREDENTIALS.sub("://", text)
