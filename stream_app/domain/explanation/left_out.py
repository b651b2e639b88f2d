"""The events of a time that were not counted: how many for each reason, and the place of one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.events.parts_decoder import Rejected
from stream_app.domain.events.times import event_seconds
from stream_app.domain.explanation.event_verdicts import (
    LATE,
    UNMATCHED,
    EventExplainer,
    EventVerdict,
    PartitionWatermark,
    TriggerResult,
    TriggerVerdict,
)
from stream_app.domain.explanation.windows import WindowFacts

#: Most pairs of an event and a trigger that are looked at, and most reasons that are told apart.
MOST, MOST_REASONS = 200_000, 100
_WORDS = {
    "unsampled": "outside the sample",
    "false_positive": "marked as a false positive",
    LATE: "too late",
    UNMATCHED: "that no enabled trigger counts",
}


class Reason(NamedTuple):
    """Why an event was not counted: a word of a closed list, and a text for people."""

    word: str
    text: str


@dataclass
class UncountedEvents:
    """Events that were not counted for one reason: how many, and the place of the first."""

    count: int
    place: Place


class EventSpan(NamedTuple):
    """A time in Unix seconds; the end is exclusive."""

    start: int
    end: int

    def holds(self, seconds: int) -> bool:
        """Tell whether a time lies in it."""
        return self.start <= seconds < self.end


class LeftOutEvents:
    """Takes the records of one topic in their order, and notes the events that are not counted.

    Args:
        topic: its full name.
        span: the event times that are asked for.
        client_id: whose events. If it is configured, those of clients that are not are noted, too.
        known: the ids of the configured clients.
        explainer: of the triggers that are asked for.
        windows: theirs; each form of a trigger is asked about the events of its windows alone.
        by_trigger: whether one trigger is asked for, so that each refusal of it is told.
    """

    def __init__(
        self,
        topic: str,
        span: EventSpan,
        client_id: int,
        known: Collection[int],
        explainer: EventExplainer,
        windows: Iterable[WindowFacts],
        *,
        by_trigger: bool,
    ) -> None:
        self.span = span
        self.found: dict[Reason, UncountedEvents] = {}
        #: Whether there were too many events to look at all of them.
        self.is_cut = False
        self._topic, self._client_id, self._known = topic, client_id, known
        self._explainer, self._by_trigger = explainer, by_trigger
        self._decoder = EventDecoder(explainer.kind)
        self._watermarks: dict[int, PartitionWatermark] = {}
        self._looked = 0
        self._forms: dict[tuple[int, str], list[EventSpan]] = {}
        for facts in windows:
            spans = self._forms.setdefault((facts.trigger.id, facts.trigger.revision), [])
            if spans and spans[-1].end == facts.start:
                spans[-1] = EventSpan(spans[-1].start, facts.end)
            else:
                spans.append(EventSpan(facts.start, facts.end))

    def take(self, partition: int, records: Sequence[Any]) -> None:
        """Take the records of one batch of a partition."""
        if self.is_cut:
            return
        if partition not in self._watermarks:
            self._watermarks[partition] = self._explainer.new_watermark()
        watermark, done = self._watermarks[partition], 0
        for number, record in enumerate(records):
            if any(map(self._is_asked_for, self._quickly(record))):
                watermark.take(records[done:number])
                done = number
                self._judge(partition, record, watermark.value)
        watermark.take(records[done:])

    def _quickly(self, record: Any) -> Iterable[tuple[int | None, int]]:
        """Return client and time of each event of a record, as far as they can be read."""
        try:
            events = self._decoder.decode(record.value)
            return [self._facts(event, record) for event in _listed(events)]
        except (*DECODE_ERRORS, TypeError, RejectedEventError):
            return [facts for _, facts in self._parts(record)]

    def _parts(self, record: Any) -> Iterator[tuple[int | None, tuple[int | None, int]]]:
        for index, _, part in self._explainer.parts(record):
            try:
                yield index, self._facts(part, record)
            except (RejectedEventError, AttributeError):
                client_id = None if isinstance(part, Rejected) else part.client_id
                yield index, (client_id, record.timestamp // 1000)

    def _facts(self, event: Any, record: Any) -> tuple[int | None, int]:
        seconds = event_seconds(event, self._explainer.kind, record.timestamp)
        return event.client_id, seconds

    def _is_asked_for(self, facts: tuple[int | None, int]) -> bool:
        client_id, seconds = facts
        if client_id in (None, self._client_id):
            return self.span.holds(seconds)
        # Events of a client that is configured may name another by mistake.
        is_mistaken = self._client_id in self._known and client_id not in self._known
        return is_mistaken and self.span.holds(seconds)

    def _judge(self, partition: int, record: Any, watermark: int) -> None:
        place = Place(self._topic, partition, record.offset)
        facts = dict(self._parts(record))
        for verdict in self._explainer.verdicts(record, watermark):
            self._looked += max(1, len(verdict.triggers))
            if self._looked > MOST:
                self.is_cut = True
                return
            if self._is_asked_for(facts.get(verdict.index, (None, record.timestamp // 1000))):
                for reason in self._reasons(verdict):
                    self._note(reason, place)

    def _note(self, reason: Reason, place: Place) -> None:
        if reason in self.found:
            self.found[reason].count += 1
        elif len(self.found) < MOST_REASONS:
            self.found[reason] = UncountedEvents(1, place)
        else:
            self.is_cut = True

    def _is_in_force(self, trigger: Trigger, seconds: int) -> bool:
        spans = self._forms.get((trigger.id, trigger.revision), ())
        return any(span.holds(seconds) for span in spans)

    def _reasons(self, verdict: EventVerdict) -> Iterator[Reason]:
        """Yield why an event was not counted; nothing: it was."""
        if verdict.is_dead_letter:
            word = DeadLetterReason(verdict.reason).value
            yield Reason(word, f"dead letter {word}")
            return
        asked = [
            row
            for row in verdict.triggers
            if row.result in {TriggerResult.REFUSED, TriggerResult.LATE, TriggerResult.COUNTED}
            and self._is_in_force(row.trigger, verdict.seconds or 0)
        ]
        if any(row.result is TriggerResult.COUNTED for row in asked):
            return
        if verdict.reason not in {LATE, UNMATCHED}:
            yield _reason(verdict.reason)
        elif any(row.result is TriggerResult.LATE for row in asked):
            yield _reason(LATE)
        elif self._by_trigger or len(asked) == 1:
            yield from (_refusal(row, by_trigger=self._by_trigger) for row in asked[-1:])
        elif asked:
            yield Reason("refused", f"refused by each of {len(asked)} triggers")
        else:
            yield _reason(UNMATCHED)


def _reason(word: str) -> Reason:
    return Reason(word, _WORDS.get(word, word))


def _refusal(row: TriggerVerdict, *, by_trigger: bool) -> Reason:
    rules = "; ".join(one.rule for one in row.refusals)
    who = "" if by_trigger else f" by trigger {row.trigger.id}"
    return Reason("refused", f"refused{who} ({rules})" if rules else f"refused{who}")


def _listed(events: Any) -> list[Any]:
    return events if isinstance(events, list) else [events]


def forms_of(windows: Iterable[WindowFacts], *, as_enabled: bool) -> list[Trigger]:
    """Return each form of the windows' triggers once, `as_enabled` as if none were disabled."""
    found = {(one.trigger.id, one.trigger.revision): one.trigger for one in windows}
    if not as_enabled:
        return list(found.values())
    return [msgspec.structs.replace(one, enabled=True) for one in found.values()]
