"""The history of an alert: what fired, what was sent to whom, and the status of each delivery.

It is made from the records of `alerts`, `deliveries`, `delivery-results` and the dead letters, in
whatever order these are read. It does not know what only the notifier knows: if a service has asked
for a pause, an attempt is made later than the due time shown here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum

from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.dead_letters.dead_letter import is_number
from stream_app.domain.delivery.records import (
    CLOSE_INFIX,
    NOTE_SUFFIX,
    Checked,
    Delivery,
    Folded,
    Result,
    ServiceAction,
    Skipped,
    delivery_id,
)
from stream_app.domain.delivery.state import UNFINISHED, DeliveryStatus
from stream_app.domain.episodes.reference import EpisodeReference
from stream_app.domain.errors import StreamAppError, UsageError
from stream_app.domain.foreign_text.printable import printable
from stream_app.domain.reports.delivery_history import DeadLetterNote, DeliveryHistory, last_letter

_SHOWN_IDS = 5

#: Statuses of deliveries that are dead letters, or become one in a moment.
_DEAD = frozenset({DeliveryStatus.GIVEN_UP, DeliveryStatus.CANCELLED})


class AlertState(StrEnum):
    """The state of an alert, which is that of its worst delivery; a closed list."""

    #: A delivery, or the alert itself, is a dead letter that nobody has redriven.
    FAILED = "failed"
    PENDING = "pending"
    #: What is a dead letter was dismissed: nobody wants it sent.
    DISMISSED = "dismissed"
    #: It was rendered and recorded in a dry run, which sends nothing.
    DRY_RUN = "dry_run"
    SENT = "sent"
    #: Its window makes no request of its own: the next repeat of its episode tells it.
    FOLDED = "folded"
    #: No delivery has been made yet, or no integration takes the alert.
    NO_DELIVERY = "no_delivery"


@dataclass
class AlertHistory:
    """An alert, and its deliveries by integration. `fired_ms` is the time of its first record.

    `notes` are the notes of its window, `folded` says in which episodes its window makes no request
    of its own, and `told_in` which alert counts it then; all by integration. `closes` are those of
    the alerts at the services that its window belongs to.
    """

    alert: Alert | NoticeAlert
    fired_ms: int
    records: int = 1
    deliveries: dict[int, DeliveryHistory] = field(default_factory=dict)
    notes: dict[int, DeliveryHistory] = field(default_factory=dict)
    closes: list[DeliveryHistory] = field(default_factory=list)
    folded: dict[int, EpisodeReference] = field(default_factory=dict)
    told_in: dict[int, str] = field(default_factory=dict)
    dead_letters: list[DeadLetterNote] = field(default_factory=list)

    @property
    def all_deliveries(self) -> list[DeliveryHistory]:
        """The deliveries, each with its note and its closes behind it."""
        followers = [*self.notes.values(), *self.closes]
        numbers = sorted({*self.deliveries, *(one.integration_id for one in followers)})
        return [
            one
            for number in numbers
            for one in (
                *([self.deliveries[number]] if number in self.deliveries else []),
                *(one for one in followers if one.integration_id == number),
            )
        ]

    @property
    def aliases(self) -> set[str]:
        """The aliases of the alerts at the services that its window belongs to."""
        told = (one.delivery for one in self.deliveries.values())
        found = {one.episode.alias for one in told if one is not None and one.episode is not None}
        return found | {episode.alias for episode in self.folded.values()}

    @property
    def state(self) -> AlertState:
        """The state of the alert."""
        # A window that was folded has told nobody, even if its alert has been closed since.
        found = {
            one.status
            for one in self.all_deliveries
            if one.action is not ServiceAction.CLOSE or one.status in UNFINISHED
        }
        own = last_letter(self.dead_letters)
        ended = [one.dead_letter for one in self.all_deliveries if one.status in _DEAD]
        ended += [own] if own is not None else []
        if any(letter is None or not letter.is_dismissed for letter in ended):
            return AlertState.FAILED
        if ended and not found & UNFINISHED:
            return AlertState.DISMISSED
        for status, state in _STATES.items():
            if status in found:
                return state
        return AlertState.FOLDED if self.folded else AlertState.NO_DELIVERY

    @property
    def without_delivery(self) -> list[int]:
        """The integrations that have neither a delivery nor a dead letter of the alert."""
        dead = {n for note in self.dead_letters for n in note.integration_ids}
        served = {*self.deliveries, *self.folded, *dead}
        return [n for n in self.alert.integration_ids if n not in served]


#: The states of alerts without a dead letter, the worst first.
_STATES = {
    DeliveryStatus.PENDING: AlertState.PENDING,
    DeliveryStatus.WAITING: AlertState.PENDING,
    DeliveryStatus.DRY_RUN: AlertState.DRY_RUN,
    DeliveryStatus.SENT: AlertState.SENT,
}


class AlertHistories:
    """The histories of chosen alerts, made from records in any order."""

    def __init__(self) -> None:
        self.by_id: dict[str, AlertHistory] = {}
        #: Alias -> the closes of its alert, by their ids.
        self._closes: defaultdict[str, dict[str, DeliveryHistory]] = defaultdict(dict)
        #: Alias -> the windows that are told under it: their starts, and the ids of their alerts.
        self._told: defaultdict[str, set[tuple[int, str]]] = defaultdict(set)

    def add_alert(self, alert: Alert | NoticeAlert, at_ms: int) -> None:
        """Add a record of `alerts`. The first record of an alert says when it fired."""
        history = self.by_id.get(alert.id)
        if history is None:
            self.by_id[alert.id] = AlertHistory(alert, at_ms)
        else:
            history.records += 1
            history.fired_ms = min(history.fired_ms, at_ms)

    def add_delivery(self, delivery: Delivery, at_ms: int, redrives: int) -> None:
        """Add a record of `deliveries`."""
        episode = delivery.episode
        if episode is not None and delivery.action is ServiceAction.CREATE:
            self._told[episode.alias].add((episode.window_start, delivery.alert_id))
        history = self._delivery(delivery.id, delivery.integration_id)
        if history is not None and (history.delivery is None or redrives >= history.redrives):
            history.delivery, history.appended_ms, history.redrives = delivery, at_ms, redrives

    def add_result(self, result: Result | Checked | Folded | Skipped) -> None:
        """Add the result of an attempt or of a status check, or what was folded or skipped."""
        if isinstance(result, Folded):
            if result.alert_id in self.by_id:
                self.by_id[result.alert_id].folded[result.integration_id] = result.episode
            return
        history = self._delivery(result.delivery_id, result.integration_id)
        if history is None:
            return
        if isinstance(result, Checked):
            history.checks.append(result)
        elif isinstance(result, Skipped):
            history.skipped = result.reason
        else:
            history.attempts.append(result)
            history.redrives = max(history.redrives, result.redrives)

    def add_dead_letter(
        self, ids: tuple[str, ...], note: DeadLetterNote, *, is_alert: bool
    ) -> None:
        """Add a dead letter; `ids` are those of its deliveries."""
        for name in ids:
            alert_id, _, number = name.rpartition("/")
            if is_alert:
                if alert_id in self.by_id:
                    self.by_id[alert_id].dead_letters.append(note)
                    return
            elif is_number(number):
                history = self._delivery(name, int(number))
                if history is not None:
                    history.dead_letters.append(note)

    def link(self) -> None:
        """Connect what belongs together, once all records have been added."""
        for history in self.by_id.values():
            history.closes = [
                close
                for alias in sorted(history.aliases)
                for close in self._closes.get(alias, {}).values()
            ]
            for number, note in history.notes.items():
                note.after = history.deliveries.get(number)
            for number, episode in history.folded.items():
                later = (
                    one
                    for one in self._told.get(episode.alias, ())
                    if one[0] > episode.window_start
                )
                if told := min(later, default=None):
                    history.told_in[number] = told[1]

    def _delivery(self, name: str, integration_id: int) -> DeliveryHistory | None:
        """Return the history of a delivery by its id; None: it belongs to none of the alerts."""
        about = name.removesuffix(f"/{integration_id}")
        if name != delivery_id(about, integration_id):
            return None
        new = DeliveryHistory(name, integration_id)
        if about in self.by_id:
            return self.by_id[about].deliveries.setdefault(integration_id, new)
        if (alert_id := about.removesuffix(NOTE_SUFFIX)) in self.by_id:
            new.action = ServiceAction.NOTE
            return self.by_id[alert_id].notes.setdefault(integration_id, new)
        alias, found, _ = about.partition(CLOSE_INFIX)
        if not found:
            return None
        new.action = ServiceAction.CLOSE
        return self._closes[alias].setdefault(name, new)


def is_named_by(alert_id: str, text: str) -> bool:
    """Tell whether a text names an alert: it is the beginning of the alert's id or of its hash.

    If the id holds characters that a terminal would obey, its printed form counts, too.
    """
    names = (alert_id, alert_id.rpartition(":")[2], printable(alert_id))
    return any(name.startswith(text) for name in names)


def find_alert(histories: AlertHistories, text: str) -> AlertHistory:
    """Return the history of the alert that a text names.

    Raises:
        StreamAppError: there is none.
        UsageError: there are several.
    """
    if text in histories.by_id:
        return histories.by_id[text]
    found = sorted(name for name in histories.by_id if is_named_by(name, text))
    if not found:
        raise StreamAppError(
            f"no alert is named {text}: `stream-app alerts list` shows which there are; the topic "
            "keeps them for 30 days, and has no messages to STREAM_APP_OPERATOR_INTEGRATION"
        )
    if len(found) > 1:
        more = f" and {len(found) - _SHOWN_IDS} more" if len(found) > _SHOWN_IDS else ""
        raise UsageError(
            f"{text} names {len(found)} alerts, give more of the id: "
            f"{', '.join(found[:_SHOWN_IDS])}{more}"
        )
    return histories.by_id[found[0]]
