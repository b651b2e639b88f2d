"""What matching makes of a notice, for each integration and each trigger of its client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.errors import RejectedEventError
from stream_app.domain.events.parts_decoder import Rejected
from stream_app.domain.explanation.event_verdicts import TriggerResult, TriggerVerdict
from stream_app.domain.explanation.filter_refusals import notice_refusals
from stream_app.domain.notices.alerts import alerts_of, notice_alert, triggered_alerts
from stream_app.domain.notices.incoming import IncomingNotice, NoticeResult, Origin, notice_decoder
from stream_app.domain.notices.matching import (
    CONDITION_OF_KIND,
    ConditionMatcher,
    NoticeTriggerIndex,
)
from stream_app.domain.notices.signatures import NO_SIGNATURES, NoticeSigner
from stream_app.domain.notices.subscriptions import Subscribers, subscription_of
from stream_app.domain.topics import Topic


@dataclass(frozen=True)
class SubscriptionVerdict:
    """Whether an integration of the client gets a notice; `why` it does not, else empty."""

    integration: Integration
    why: str = ""


@dataclass(frozen=True)
class NoticeVerdict:
    """What became of one notice, or of a part of a record that is none.

    `reason` is a `NoticeResult`, or why it is a dead letter, which `message` explains.
    `subscription` is the event that an integration selects to get it; empty: there is none.
    `alert_ids` are the ids that its alerts have if there are any: by trigger, and None for those
    who subscribe.
    """

    index: int | None
    reason: str
    message: str = ""
    kind: str = ""
    client_id: int | None = None
    subscription: str = ""
    integrations: tuple[SubscriptionVerdict, ...] = ()
    triggers: tuple[TriggerVerdict, ...] = ()
    alert_ids: Mapping[int | None, str] = field(default_factory=dict)
    is_dead_letter: bool = False


class NoticeExplainer:
    """Explains notices under one version of the configuration."""

    def __init__(
        self,
        clients: Mapping[int, Client],
        triggers: Iterable[Trigger],
        integrations: Iterable[Integration],
        signer: NoticeSigner = NO_SIGNATURES,
    ) -> None:
        self._clients = clients
        self._triggers = sorted(triggers, key=lambda one: one.id)
        self._integrations = sorted(integrations, key=lambda one: one.id)
        self._subscribers = Subscribers(clients, self._integrations)
        self._index = NoticeTriggerIndex(clients, self._triggers)
        self._signer = signer

    def verdicts(self, record: Any) -> Iterator[NoticeVerdict]:
        """Yield what becomes of each notice of a record, which also has its place."""
        for index, _, found in notice_decoder.parts(record.value):
            if isinstance(found, Rejected):
                yield NoticeVerdict(index, found.reason, found.message, is_dead_letter=True)
                continue
            origin = Origin(
                Topic.ACCOUNT, record.partition, record.offset, index or 0, record.timestamp
            )
            try:
                yield self._verdict(index, found, origin)
            except RejectedEventError as error:
                yield NoticeVerdict(
                    index, error.reason, str(error), found.kind, found.client_id,
                    is_dead_letter=True,
                )  # fmt: skip

    def _verdict(self, index: int | None, notice: IncomingNotice, origin: Origin) -> NoticeVerdict:
        result, _ = alerts_of(notice, origin, self._subscribers, self._index, self._signer)
        if result is NoticeResult.UNKNOWN_KIND:
            text = "no integration and no trigger can have selected this kind of notice"
            return NoticeVerdict(index, result, text, notice.kind, notice.client_id)
        client = self._subscribers.client_of(notice)
        subscription = subscription_of(notice) or ""
        own = [one for one in self._triggers if one.client_id == client.client_id]
        triggered = triggered_alerts(notice, origin, client, own, self._signer)
        subscribed = notice_alert(notice, origin, client, subscription, (), self._signer)
        ids: dict[int | None, str] = {None: subscribed.id}
        ids |= {alert.trigger.id: alert.id for alert in triggered if alert.trigger is not None}
        return NoticeVerdict(
            index,
            result,
            kind=notice.kind,
            client_id=client.client_id,
            subscription=subscription,
            integrations=tuple(self._of_integrations(client, subscription, notice)),
            triggers=tuple(self._of_triggers(own, client, notice)),
            alert_ids=ids,
        )

    def _of_integrations(
        self, client: Client, subscription: str, notice: IncomingNotice
    ) -> Iterator[SubscriptionVerdict]:
        getting = self._subscribers.integration_ids(client.client_id, subscription, notice)
        for one in self._integrations:
            if one.client_id != client.client_id:
                continue
            if one.id in getting:
                why = ""
            elif not subscription:
                why = f"no integration can select {notice.kind}: only triggers send it"
            elif subscription not in one.events:
                why = f"has not selected {subscription}"
            elif not one.active:
                why = "is off"
            else:
                why = "is the one that the notice is about"
            yield SubscriptionVerdict(one, why)

    def _of_triggers(
        self, own: Iterable[Trigger], client: Client, notice: IncomingNotice
    ) -> Iterator[TriggerVerdict]:
        condition = CONDITION_OF_KIND.get(notice.kind)
        same = [one for one in own if one.template_id == condition]
        matcher = ConditionMatcher(client, condition, same) if condition else None
        refusals = {} if matcher is None else {t.id: r for t, r in matcher.refusals(notice)}
        for one in own:
            if not one.is_evaluated:
                yield TriggerVerdict(one, TriggerResult.NOT_EVALUATED)
            elif one.id not in refusals:
                yield TriggerVerdict(one, TriggerResult.OTHER_KIND)
            else:
                refused = notice_refusals(refusals[one.id])
                if not one.enabled:
                    result = TriggerResult.DISABLED
                else:
                    result = TriggerResult.REFUSED if refused else TriggerResult.MATCHED
                yield TriggerVerdict(one, result, refused)
