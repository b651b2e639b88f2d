"""What the notifier has done with an alert, a line for each integration."""

from __future__ import annotations

from collections.abc import Iterator

from stream_app.domain.delivery.records import ServiceAction
from stream_app.domain.delivery.state import DeliveryStatus
from stream_app.domain.reports.alert_history import AlertHistory
from stream_app.domain.reports.delivery_history import DeliveryHistory
from stream_app.domain.reports.next_steps import Surroundings


def delivery_texts(history: AlertHistory, around: Surroundings) -> Iterator[str]:
    """Yield what has become of an alert; `stream-app alerts show` says what follows."""
    for note in history.dead_letters:
        if note.redriven_to is None:
            done = ", dismissed" if note.is_dismissed else ""
            yield f"the alert is a dead letter ({note.reason}): {note.place}{done}"
    if not history.alert.integration_ids and not history.all_deliveries:
        yield "the trigger names no integration: nobody is told"
    for delivery in history.all_deliveries:
        is_create = delivery.action is ServiceAction.CREATE
        what = "" if is_create else f"{delivery.action} "
        yield f"integration {delivery.integration_id}: {what}{_delivery_text(delivery)}"
    for number, episode in sorted(history.folded.items()):
        told = around.why_folded(history, number)
        yield f"integration {number}: folded into {episode.alias}, {told}"
    for number in history.without_delivery:
        yield f"integration {number}: no delivery: {around.why_no_delivery(history, number)}"


def _delivery_text(found: DeliveryHistory) -> str:
    attempts = len(found.ordered_attempts)
    tried = f" after {attempts} attempt{'s' * (attempts != 1)}" if attempts else ""
    if found.status is DeliveryStatus.SENT:
        return f"sent{tried}"
    reason = f" ({found.reason})" if found.reason else ""
    letter = found.dead_letter
    dead = f": dead letter {letter.place}" if letter is not None else ""
    dead += ", dismissed" if letter is not None and letter.is_dismissed else ""
    return f"{found.status}{reason}{tried}{dead}"
