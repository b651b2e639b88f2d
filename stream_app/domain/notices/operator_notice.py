"""Messages to the operator integration: what the platform team is told itself.

`STREAM_APP_OPERATOR_INTEGRATION` names an integration that gets a message of each integration that
the system disables, whichever client it is of, and of what else the platform team must know at
once. Such a message is a delivery like any other, with the same resends and dead letters. Its id
follows from what has happened, so what is told again after a crash is the same delivery. It needs
neither the detector nor `route`, which may be the parts that have failed.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stream_app.domain.alerts.alert import AnyAlert, notice_alert_id
from stream_app.domain.alerts.flat_details import flattened_details
from stream_app.domain.alerts.notice_sentences import SENTENCES
from stream_app.domain.alerts.threshold_text import Message, shown_name
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.delivery.auto_disable import Verdict
from stream_app.domain.delivery.records import Delivery, delivery_of
from stream_app.domain.foreign_text.printable import printable
from stream_app.domain.notices.outgoing import Notice
from stream_app.domain.pulse.note import NEXT_STEPS, PulseStop, bounded
from stream_app.domain.times import iso_utc

OPERATOR = "operator"
#: Most characters of a tenant's name that are shown, and most ids of integrations.
MOST_NAME = 100
MOST_IDS = 20


class OperatorNotice(msgspec.Struct, frozen=True):
    """Something that the platform team is told.

    Args:
        kind: what has happened, as in `notification_type`; part of the alias.
        identity: what makes it one message, however often it is told.
        title: one line of our own words and numbers.
        lines: the text below it.
        details: for machines.
        about: the integration that it is about, if there is one: it is not told itself.
    """

    kind: str
    identity: str
    title: str
    lines: Sequence[str]
    details: dict[str, str] = {}
    about: int | None = None


def operator_delivery(notice: OperatorNotice, to: Integration) -> Delivery:
    """Return the delivery of a notice to the operator integration."""
    alert_id = notice_alert_id(to.client_id, notice.kind, [OPERATOR, notice.identity])
    description = "\n".join([f"Notification type: {notice.kind}", "", *notice.lines])
    details = {"notification_type": notice.kind, **notice.details}
    message = Message(f"[Wallarm] {notice.title}", description, details)
    return delivery_of(AnyAlert(alert_id, to.client_id, "", ""), message, to.id, to.epoch, to.alert)


def broken_integration(
    verdict: Verdict,
    notice: Notice,
    client: Client | None,
    integration: Integration | None,
    told: Sequence[int],
) -> OperatorNotice:
    """Return what the platform team is told of an integration that the system disables.

    Args:
        verdict: of the judge.
        notice: what the client's other integrations are told of it.
        client: the integration's; None: it is not configured.
        integration: that is disabled; None: it is deleted by now.
        told: the client's other integrations that are told of it.
    """
    number, client_id = verdict.integration_id, verdict.client_id
    names = {"integration_name": _shown(integration), "client_name": _shown(client)}
    facts = {**dict(flattened_details(notice.details)), **names}
    return OperatorNotice(
        kind="integration_broken",
        identity=notice.id,
        title=f"Integration {number} of client {client_id} was disabled because of delivery errors",
        lines=[
            SENTENCES["integration_broken"](facts),
            _told_text(told),
            "",
            "When its cause is mended:",
            f"stream-app integrations test {number} --silent",
            f"stream-app integrations enable {number}",
            f"stream-app dlq redrive --integration {number}",
            "",
            f"Client: {facts['client_name'] or 'not configured'} (ID {client_id})",
            f"Cloud: {facts.get('cloud', '')}",
        ],
        details={
            "client_id": str(client_id),
            "integration_id": str(number),
            "failed": str(verdict.failed),
            "total": str(verdict.total),
            "told": _ids(told),
        },
        about=number,
    )


def pulse_stopped(
    worker: str, since_ms: int, pinged_ms: int, stops: Sequence[PulseStop]
) -> OperatorNotice:
    """Return what the platform team is told when the pulse stops.

    Args:
        worker: the notifier that pings.
        since_ms: when it was last well, by its own clock; with the worker it names this one stop.
        pinged_ms: when it last pinged, Unix ms; 0: never.
        stops: what stops the pulse.
    """
    since = f"since {iso_utc(pinged_ms)}" if pinged_ms else "yet"
    told = bounded(stops)
    return OperatorNotice(
        kind="pulse_stopped",
        identity=f"{worker}/{since_ms}",
        title="The pulse has stopped: alerts may not arrive",
        lines=[
            f"No heartbeat was pinged by {worker} {since}.",
            "",
            *(f"{stop}: {NEXT_STEPS[stop.reason]}" for stop in told),
            "",
            "stream-app status",
        ],
        details={"reasons": ", ".join(sorted({stop.reason for stop in told}))},
    )


def _told_text(told: Sequence[int]) -> str:
    if not told:
        return (
            "No other integration of its client gets this message, so nobody of the client is "
            "told: tell them in another way."
        )
    noun = "integration" if len(told) == 1 else "integrations"
    return f"Its client is told through {noun} {_ids(told)}."


def _ids(numbers: Sequence[int]) -> str:
    more = len(numbers) - MOST_IDS
    shown = ", ".join(map(str, numbers[:MOST_IDS]))
    return f"{shown} and {more} more" if more > 0 else shown


def _shown(named: Client | Integration | None) -> str:
    """Return a tenant's name as one line: it may hold anything."""
    return "" if named is None else shown_name(printable(named.name[:MOST_NAME]))
