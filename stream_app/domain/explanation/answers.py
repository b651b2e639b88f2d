"""The answer for an event or a notice: one sentence, and the commands that go on from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID
from stream_app.domain.counting.exclusions import Exclusion
from stream_app.domain.explanation.event_verdicts import (
    EventVerdict,
    TriggerResult,
    TriggerVerdict,
)
from stream_app.domain.explanation.notice_verdicts import NoticeVerdict
from stream_app.domain.explanation.versions import Basis
from stream_app.domain.explanation.window_answers import (
    answer_for_window,
    state_text,
    steps_for_window,
)
from stream_app.domain.explanation.windows import (
    WindowFacts,
    WindowState,
    span_text,
)
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.notices.incoming import NoticeResult
from stream_app.domain.reports.alert_history import AlertHistory
from stream_app.domain.reports.delivery_history import DeadLetterNote

#: Exclusion -> what it means, after "the event is".
EXCLUSIONS = {
    Exclusion.EXPERIMENTAL: "experimental",
    Exclusion.UNSAMPLED: "outside the sample (`sampled` is false)",
    Exclusion.FALSE_POSITIVE: "marked as a false positive",
}
_PULSE = (
    "No alert: the event is one of the pulse, which only proves that alerts can get through; "
    "nobody is told of it (deploy/heartbeat.md)"
)


@dataclass
class ExplainedTrigger:
    """What became of an event at one trigger. `today` is set where the configuration has changed.

    `version_ms` is when the version was written that the verdict is based on, `changed_ms` when it
    was changed since; Unix ms.
    """

    verdict: TriggerVerdict
    basis: Basis = Basis.TODAY
    today: TriggerVerdict | None = None
    version_ms: int | None = None
    changed_ms: int | None = None
    window: WindowFacts | None = None
    alert: AlertHistory | None = None

    @property
    def name(self) -> str:
        """The trigger, for a sentence."""
        return f"trigger {self.verdict.trigger.id}"


@dataclass
class ExplainedEvent:
    """One event or notice of a record, and everything that is known of it.

    `alerts` are those for integrations that have subscribed to a notice, `letters` the dead letters
    that the workers have made of it. `lag` is how many records the detector reads before it has
    read this one; None: it has no place on a topic. `trigger_id` is the only trigger that was
    asked for; None: all.
    """

    verdict: EventVerdict | NoticeVerdict
    rows: list[ExplainedTrigger] = field(default_factory=list)
    alerts: list[AlertHistory] = field(default_factory=list)
    letters: list[DeadLetterNote] = field(default_factory=list)
    lag: int | None = None
    client_since_ms: int | None = None
    trigger_id: int | None = None

    def having(self, *results: TriggerResult) -> list[ExplainedTrigger]:
        """Return the rows with one of the results."""
        return [row for row in self.rows if row.verdict.result in results]

    @property
    def alert_ids(self) -> list[str]:
        """The alerts that it has become, or has been counted for."""
        found = [row.alert for row in self.rows] + list(self.alerts)
        found += [row.window.fired for row in self.rows if row.window is not None]
        return [history.alert.id for history in found if history is not None]

    @property
    def what(self) -> str:
        """The event or the notice, for a sentence."""
        return "notice" if isinstance(self.verdict, NoticeVerdict) else "event"


def answer_for_event(one: ExplainedEvent) -> str:
    """Return the answer for an event or a notice in one sentence."""
    verdict = one.verdict
    if verdict.client_id == PULSE_CLIENT_ID and not one.letters:
        return _PULSE
    if (unread := _for_unread(one)) is not None:
        return unread
    if isinstance(verdict, NoticeVerdict):
        return _for_notice(one, verdict)
    if verdict.reason in EXCLUSIONS:
        return f"No alert: the event is {EXCLUSIONS[Exclusion(verdict.reason)]}: it is not counted"
    if counted := one.having(TriggerResult.COUNTED):
        return _for_new(counted) if one.lag is None else answer_for_rows(counted)
    return f"No alert: {_why_no_trigger_counts(one)}"


def _for_unread(one: ExplainedEvent) -> str | None:
    """Return the answer for what the detector has not used, or None."""
    verdict, what = one.verdict, one.what
    if one.letters and not verdict.is_dead_letter:
        letter = one.letters[-1]
        done = letter_done(letter)
        return f"No alert: the {what} became a dead letter ({letter.reason}){done}"
    if verdict.is_dead_letter:
        done = letter_done(one.letters[-1]) if one.letters else ""
        return f"No alert: the {what} cannot be used ({verdict.reason}){done}: {verdict.message}"
    if one.lag:
        return f"No alert yet: the detector has not read the {what}: {_before(one.lag - 1)}"
    return None


def letter_done(letter: DeadLetterNote) -> str:
    """Return what somebody has done with a dead letter, after its name."""
    if letter.redriven_to:
        return f", redriven to {letter.redriven_to}"
    return ", dismissed: somebody has decided that nothing is to be done" * letter.is_dismissed


def _before(number: int) -> str:
    if not number:
        return "it is the next"
    return "1 record comes before it" if number == 1 else f"{number:,} records come before it"


def _for_new(rows: Sequence[ExplainedTrigger]) -> str:
    """Return the answer for an event that is on no topic, and would count."""
    facts, name = rows[0].window, rows[0].name
    more = f", and for {len(rows) - 1} more" if len(rows) > 1 else ""
    if facts is None:
        return f"It would count for {name}{more}"
    span = span_text(facts.start, facts.end)
    if facts.state is WindowState.FIRED:
        return f"It would count for {name}{more}; its window {span} has fired already"
    return f"It would count for {name}{more}: so far {facts.counted_text} in {span}"


def _why_no_trigger_counts(one: ExplainedEvent) -> str:
    refused, disabled = (
        one.having(result) for result in (TriggerResult.REFUSED, TriggerResult.DISABLED)
    )
    if late := one.having(TriggerResult.LATE):
        others = f" and {len(late) - 1} more" if len(late) > 1 else ""
        return f"the event came too late for {late[0].name}{others}"
    if len(refused) == 1 and not disabled:
        return f"{refused[0].name} refuses the event: {_reasons(refused[0].verdict)}"
    if refused:
        more = f", {len(disabled)} more {_are(disabled)} disabled" if disabled else ""
        who = "1 trigger refuses" if len(refused) == 1 else f"{len(refused)} triggers refuse"
        return f"{who} the event{more}"
    if disabled:
        named = disabled[0].name if len(disabled) == 1 else f"{len(disabled)} triggers"
        return f"{named} would count events of this kind, but {_are(disabled)} disabled"
    return _why_no_trigger_is_asked(one)


def _why_no_trigger_is_asked(one: ExplainedEvent) -> str:
    client, number = f"client {one.verdict.client_id}", one.trigger_id
    if absent := one.having(TriggerResult.NOT_CONFIGURED):
        return f"{absent[0].name} was not configured when the event came"
    if number is None:
        return f"{client} has no trigger for events of this kind"
    if not one.rows:
        return f"trigger {number} is not of {client}, to which the event belongs"
    condition = one.rows[0].verdict.trigger.template_id
    return f"trigger {number} does not count events of this kind: its condition is {condition}"


def answer_for_rows(rows: Sequence[ExplainedTrigger]) -> str:
    """Return the answer for triggers that count an event; there is at least one."""
    windows = [row.window for row in rows if row.window is not None]
    if not windows:
        return f"{rows[0].name} counts the event"
    fired = [facts for facts in windows if facts.state is WindowState.FIRED]
    if fired:
        others = f" (and {len(fired) - 1} more triggers)" if len(fired) > 1 else ""
        return f"{answer_for_window(fired[0])}{others}"
    if len(windows) == 1:
        return answer_for_window(windows[0])
    below = sum(facts.state is WindowState.NOT_EXCEEDED for facts in windows)
    if below == len(windows):
        return f"No alert: {below} triggers count the event, and none has exceeded its threshold"
    odd = next(facts for facts in windows if facts.state is not WindowState.NOT_EXCEEDED)
    return f"{answer_for_window(odd)} ({len(windows) - 1} more triggers count the event)"


def _for_notice(one: ExplainedEvent, verdict: NoticeVerdict) -> str:
    histories = [*one.alerts, *(row.alert for row in one.rows if row.alert is not None)]
    if histories:
        return f"Alert, {state_text(histories[0])}: the notice {verdict.kind} matches"
    client = f"client {verdict.client_id}"
    if verdict.reason == NoticeResult.MATCHED:
        if one.lag is None:
            return f"It would be an alert: the notice {verdict.kind} matches"
        return f"No alert is on the topic, though the notice {verdict.kind} matches today"
    if verdict.reason == NoticeResult.UNKNOWN_KIND:
        return f"No alert: {quoted(verdict.kind)} is no kind of notice that can be selected"
    if verdict.subscription:
        return (
            f"No alert: no integration of {client} has selected {verdict.subscription}, and no "
            "trigger matches"
        )
    return f"No alert: only triggers send {verdict.kind}, and none of {client} matches"


def _reasons(verdict: TriggerVerdict) -> str:
    return "; ".join(map(str, verdict.refusals))


def _are(rows: Sequence[ExplainedTrigger]) -> str:
    return "is" if len(rows) == 1 else "are"


def next_steps(one: ExplainedEvent) -> Iterator[str]:
    """Yield the commands that go on from an explained event, the best first."""
    if one.letters:
        letter = one.letters[-1]
        yield f"stream-app dlq show {letter.place}"
        if letter.redriven_to:
            yield f"stream-app alerts explain {letter.redriven_to}"
        return
    if (one.lag is not None and one.lag > 0) or one.verdict.client_id == PULSE_CLIENT_ID:
        yield "stream-app status"
        return
    if one.alert_ids:
        yield f"stream-app alerts show {one.alert_ids[0]}"
        return
    if counted := one.having(TriggerResult.COUNTED):
        yield from steps_for_window(counted[0].window, counted[0].verdict.trigger.id)
        return
    client = one.verdict.client_id
    if one.verdict.reason in EXCLUSIONS or one.verdict.is_dead_letter or client is None:
        return
    rows = one.having(TriggerResult.REFUSED, TriggerResult.DISABLED, TriggerResult.LATE)
    if isinstance(one.verdict, NoticeVerdict):
        yield f"stream-app integrations list --client {client}"
    elif len(rows) == 1:
        yield f"stream-app get triggers {rows[0].verdict.trigger.id} -o yaml"
    else:
        yield f"stream-app get triggers --client {client}"
