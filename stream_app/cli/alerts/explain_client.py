"""Prints the windows of all the triggers of a client, and what was not counted in a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from stream_app.cli.alerts.explain_lines import (
    MAX_SHOWN_WINDOWS,
    Lines,
    next_lines,
    short,
    state_words,
)
from stream_app.domain.explanation.spans import AskedClient
from stream_app.domain.explanation.window_answers import answer_for_client, state_text
from stream_app.domain.explanation.windows import WindowFacts, WindowState, span_text
from stream_app.domain.times import iso_utc
from stream_app.kafka.explanation.full_explanation import FullExplanation

#: Most reasons that are shown each by itself, and most commands that go on from them.
MAX_REASONS, MAX_STEPS = 10, 3


def answer_of_client(found: FullExplanation, asked: AskedClient) -> str:
    """Return the answer for a client and a time in one sentence."""
    return answer_for_client(
        asked.id,
        found.windows,
        is_known=asked.id in found.clients,
        span=span_text(asked.start, asked.end),
    )


def client_report(found: FullExplanation, asked: AskedClient, lines: Lines) -> Iterator[str]:
    """Yield the lines on a client: the answer, a line for each window, and what goes on."""
    yield from lines.of("", answer_of_client(found, asked))
    yield ""
    client = found.clients.get(asked.id)
    if client is not None:
        yield from lines.of("client", f"{asked.id} ({short(client.name)})")
    windows = sorted(found.windows, key=lambda one: (one.fired is None, not one.counted))
    for facts in windows[:MAX_SHOWN_WINDOWS]:
        yield from lines.of("trigger", _window_line(facts))
    if (more := len(windows) - MAX_SHOWN_WINDOWS) > 0:
        yield from lines.of("", f"and {more:,} more windows: --json prints all", 2)
    behind = max(windows, key=lambda one: one.unread, default=None)
    if behind is not None and behind.unread:
        yield from lines.of("detector", behind.backlog_text)
    yield from left_out_lines(found, lines)
    fired = [facts.fired.alert.id for facts in windows if facts.fired is not None]
    steps = [f"stream-app alerts show {name}" for name in fired[:MAX_STEPS]]
    if not fired and windows:
        number, at = windows[0].trigger.id, iso_utc(windows[0].start * 1000)
        steps.append(f"stream-app alerts explain --trigger {number} --at {at}")
    yield from next_lines([*steps, *left_out_steps(found)])


def _window_line(facts: WindowFacts) -> str:
    trigger, state = facts.trigger, state_words(facts)
    if facts.fired is not None:
        sent = state_text(facts.fired)
        state += f", {sent}"
    elif facts.state is WindowState.DISABLED:
        state = "the trigger is disabled"
    elif facts.unread:
        state += f", {facts.unread:,} of them not read by the detector yet"
    span = span_text(facts.start, facts.end)
    return f"{trigger.id} ({short(trigger.name)}) {span}: {facts.counted_text}: {state}"


def left_out_lines(found: FullExplanation, lines: Lines) -> Iterator[str]:
    """Yield what was not counted in the time, each reason with the place of one event."""
    reasons = found.not_counted
    if reasons:
        numbers = Counter[str]()
        for reason, left in reasons[:MAX_REASONS]:
            numbers[reason.text] += left.count
        whole = ", ".join(f"{number:,} {text}" for text, number in numbers.items())
        more = len(reasons) - MAX_REASONS
        whole += f", and for {more} more reasons (--json prints all)" if more > 0 else ""
        yield from lines.of("", f"not counted in this time: {whole}")
        for reason, left in reasons[:MAX_REASONS]:
            which = "as" if left.count > 1 else "at"
            yield from lines.of("", f"{reason.text}: {which} {left.place}", 2)
    if any(one.is_cut for one in found.left_out.values()):
        yield from lines.of("", "there are more events than were looked at: these are the first", 2)


def left_out_steps(found: FullExplanation) -> list[str]:
    """Return the commands that explain events which were not counted."""
    places = (left.place for _, left in found.not_counted[:MAX_STEPS])
    return [f"stream-app alerts explain {place}" for place in places]
