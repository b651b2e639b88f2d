"""The alerts of a notice: one for the integrations that subscribe to it, one for each trigger."""

from __future__ import annotations

from stream_app.domain.alerts.alert import NoticeAlert
from stream_app.domain.notices.incoming import (
    IncomingNotice,
    NoticeResult,
    Origin,
    check_kind,
    notice_alert,
    triggered_alerts,
)
from stream_app.domain.notices.matching import NoticeTriggerIndex
from stream_app.domain.notices.signatures import NO_SIGNATURES, NoticeSigner
from stream_app.domain.notices.subscriptions import KNOWN_KINDS, Subscribers, subscription_of


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
