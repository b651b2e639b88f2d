"""Which dead letters may be redriven, and what a person does about each reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.statuses import IntegrationStatus, is_disabled_by_system
from stream_app.domain.dead_letters.dead_letter import DeadLetter, DeadLetterKind, Place
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.foreign_text.printable import quoted

#: Reason -> what to do; `{integration}` and `{place}` stand for those of the dead letter.
NEXT_STEPS = {
    DeadLetterReason.UNDECODABLE: "it is no JSON that can be read: have its producer mend it and "
    "send it anew; redriving these bytes makes the same dead letter",
    DeadLetterReason.WRONG_TYPE: "a field has another type than the contract says: have its "
    "producer mend it and send it anew; redriving these bytes makes the same dead letter",
    DeadLetterReason.MISSING_CLIENT: "it names no client: have its producer mend it and send it "
    "anew; redriving these bytes makes the same dead letter",
    DeadLetterReason.MISSING_TIME: "it has no time that can be used: have its producer mend it "
    "and send it anew; redriving these bytes makes the same dead letter",
    DeadLetterReason.FUTURE_TIMESTAMP: "its time lay ahead of the broker's clock: mend the clock "
    "of its producer, and when that time has come, `stream-app dlq redrive --place {place}`",
    DeadLetterReason.UNKNOWN_CLIENT: "its client is not configured: `stream-app apply` the client, "
    "then `stream-app dlq redrive --place {place}`",
    DeadLetterReason.WRONG_TOPIC: "it is no event of this topic: have its producer send it to the "
    "topic that the message names; redriving these bytes makes the same dead letter",
    DeadLetterReason.EXHAUSTED: "all 17 attempts failed: look at the message, mend the target or "
    "its key (`stream-app integrations list` shows its state), then `stream-app dlq redrive "
    "--integration {integration}`",
    DeadLetterReason.STALE: "it was too old to page anybody: if it still matters, `stream-app dlq "
    "redrive --place {place}`",
    DeadLetterReason.UNKNOWN_INTEGRATION: "integration {integration} is not configured: "
    "`stream-app apply` it, then `stream-app dlq redrive --place {place}`; if it is gone for "
    "good, take it out of the trigger",
    DeadLetterReason.TOO_LARGE: "it is larger than a record may be: have its producer send less, "
    "or shorten the texts of its trigger; redriving these bytes makes the same dead letter",
    DeadLetterReason.UNREAD: "too many parts of its record before it could not be used: have its "
    "producer mend what it sends; `stream-app dlq redrive --place {place}` reads on from there",
    DeadLetterReason.UNREADABLE_BATCH: "a batch of records that cannot be unpacked: have its "
    "producer send them anew; where they are sound, `stream-app replay --from` of a version that "
    "reads them shows what they hold",
    DeadLetterReason.OVERFLOW: "too much was waiting for its integration: when that has been "
    "sent, `stream-app dlq redrive --integration {integration}`",
    DeadLetterReason.INTEGRATION_DISABLED: "`stream-app integrations enable {integration}`, then "
    "`stream-app dlq redrive --integration {integration}`",
    DeadLetterReason.INTEGRATION_DELETED: "its integration is deleted: if it is to come back, "
    "`stream-app apply` it with the same id, then `stream-app dlq redrive --integration "
    "{integration}`",
}

#: Reasons that end when something is mended, or by themselves; a redrive may then succeed. Those of
#: all others make the same dead letter again.
WORTH_REDRIVING = frozenset(
    {
        DeadLetterReason.FUTURE_TIMESTAMP,
        DeadLetterReason.UNKNOWN_CLIENT,
        DeadLetterReason.EXHAUSTED,
        DeadLetterReason.STALE,
        DeadLetterReason.UNKNOWN_INTEGRATION,
        DeadLetterReason.UNREAD,
        DeadLetterReason.OVERFLOW,
        DeadLetterReason.INTEGRATION_DISABLED,
        DeadLetterReason.INTEGRATION_DELETED,
    }
)
CUT = "its value is cut short and cannot be redriven: have its producer send the record anew"


@dataclass(frozen=True)
class RedriveRecipient:
    """A configured integration. `problem` says why it takes no alerts; empty: it takes them."""

    epoch: int
    problem: str = ""


def next_step(dead_letter: DeadLetter, target: str | None, *, is_dismissed: bool = False) -> str:
    """Return what a person does about a dead letter; `target` is where it was redriven to."""
    if is_dismissed:
        return dismissed_text(dead_letter.place)
    if target is not None:
        return f"nothing: it has been redriven to {target}"
    if dead_letter.is_cut and dead_letter.reason != DeadLetterReason.UNREADABLE_BATCH:
        return CUT
    return advice(dead_letter.reason, dead_letter.place, dead_letter.integration_ids)


def dismissed_text(place: Place) -> str:
    """Return what a person does about a dismissed dead letter."""
    return (
        f"nothing: somebody has dismissed it; `stream-app dlq redrive --again --place {place}` "
        "sends it all the same"
    )


def advice(reason: str, place: Place, integration_ids: Sequence[int]) -> str:
    """Return what a person does about a dead letter that is whole and open, by its reason."""
    try:
        text = NEXT_STEPS[DeadLetterReason(reason)]
    except ValueError:
        return f"its reason {quoted(reason)} is none that this version knows"
    return text.format(place=place, integration=integration_ids[0] if integration_ids else "ID")


def recipient_of(
    record: Mapping[str, object], status: IntegrationStatus | None
) -> RedriveRecipient:
    """Return an integration as a recipient, from its record and its status."""
    integration, problems = read_integration(record)
    name = f"integration {record.get('id')}"
    if problems:
        problem = f"{name} cannot be used ({problems[0].path}): `stream-app apply` it anew"
    elif not integration.active:
        problem = f"{name} is off: `stream-app integrations enable {integration.id}` first"
    elif is_disabled_by_system(integration, status):
        problem = (
            f"{name} is disabled by the system: mend it, then "
            f"`stream-app integrations enable {integration.id}` first"
        )
    else:
        problem = ""
    return RedriveRecipient(integration.epoch, problem)


def why_not_redriven(
    dead_letter: DeadLetter,
    source: str,
    accepted: Collection[str],
    recipients: Mapping[int, RedriveRecipient],
    *,
    force: bool = False,
) -> str:
    """Return why a dead letter is not redriven; empty: it is.

    Args:
        dead_letter: as it lies in the dead-letter topic of `source`.
        source: full name of the source topic. A dead letter is redriven to no other topic,
            whatever its headers say.
        accepted: ids of deliveries that have been accepted.
        recipients: the configured integrations, by id.
        force: whether to redrive even if no integration takes alerts.
    """
    original = dead_letter.original
    if original is None or original.topic != source:
        found = "missing" if original is None else repr(original.topic)
        return f"its x-original-topic is {found}, and must be {quoted(source)}"
    if dead_letter.is_cut:
        return CUT
    if dead_letter.reason == DeadLetterReason.UNREADABLE_BATCH:
        return "it is a batch of records that cannot be unpacked: have its producer send them anew"
    ids = dead_letter.delivery_ids
    if ids and all(number in accepted for number in ids):
        return "it has been accepted meanwhile"
    return "" if force else _why_no_recipient(dead_letter, recipients)


def _why_no_recipient(dead_letter: DeadLetter, recipients: Mapping[int, RedriveRecipient]) -> str:
    """Return why no integration would take a dead letter; empty: one does, or none is meant."""
    problems = []
    for number in dead_letter.integration_ids:
        recipient = recipients.get(number)
        if recipient is None:
            problems.append(f"integration {number} is not configured")
        elif recipient.problem:
            problems.append(recipient.problem)
        else:
            return ""
    if not problems:
        return ""
    # `route` drops an alert for integrations that are off: it would not come back a second time.
    is_delivery = dead_letter.kind is DeadLetterKind.DELIVERY
    end = "it would only become a dead letter again" if is_delivery else "it would reach nobody"
    return f"{'; '.join(problems)}: {end}"
