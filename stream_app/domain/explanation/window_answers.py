"""The answers about windows: one sentence for each, and the command that goes on from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stream_app.domain.alerts.alert import Alert
from stream_app.domain.explanation.versions import Basis
from stream_app.domain.explanation.windows import WindowFacts, WindowState, form_text, span_text
from stream_app.domain.reports.alert_history import AlertHistory, AlertState
from stream_app.domain.times import iso_utc

ALERT_STATES = {
    AlertState.SENT: "sent",
    AlertState.DRY_RUN: "not sent in this dry run",
    AlertState.PENDING: "not delivered yet",
    AlertState.FAILED: "not delivered",
    AlertState.NO_DELIVERY: "no delivery was made",
}


def answer_for_window(facts: WindowFacts) -> str:
    """Return the answer for one window in one sentence."""
    name, span = f"trigger {facts.trigger.id}", span_text(facts.start, facts.end)
    counted = f"{name} counted {facts.counted_text} in {span}"
    if facts.alert is not None:
        return f"Alert, {state_text(facts.alert)}: {counted}"
    if (fired := facts.fired) is not None:
        form = f": {form_text(fired.alert)}" if isinstance(fired.alert, Alert) else ""
        return f"Alert, {state_text(fired)}, by {facts.other_form}{form}: {name}, {span}"
    state = facts.state
    if state not in {WindowState.FUTURE, WindowState.DISABLED} and facts.unread:
        return f"No alert yet: {_unread_text(facts, name, span)}"
    is_or_was = "was" if facts.basis is Basis.THEN else "is"
    texts = {
        WindowState.DISABLED: f"No alert: {name} {is_or_was} disabled",
        WindowState.NO_EVENTS: f"No alert: {name} counted no event in {span}",
        WindowState.NOT_COUNTED: f"No alert: {counted}, though {facts.count:,} are on the topic",
        WindowState.NO_ALERT: f"No alert is on the topic, but {counted}",
        WindowState.OPEN: f"Not over yet: {counted} so far",
        WindowState.FUTURE: f"No alert yet: the window {span} of {name} lies in the future",
    }
    return texts.get(state, f"No alert: {counted}")


def _unread_text(facts: WindowFacts, name: str, span: str) -> str:
    """Return what the detector has not counted yet of a window."""
    are = "event that counts is" if facts.count == 1 else "events that count are"
    has = "has counted an unknown number of them"
    if facts.recorded is not None:
        has = f"has counted {facts.recorded:,} of them"
    idle = "" if facts.workers else "; no detector is running"
    return (
        f"{facts.count:,} {are} on the topic in {span}, and the detector {has}{idle}; {name} fires "
        f"at more than {facts.threshold.count:,}"
    )


def answer_for_client(
    client_id: int, windows: Sequence[WindowFacts], *, is_known: bool, span: str
) -> str:
    """Return the answer for all the windows of a client at a time in one sentence."""
    client = f"client {client_id}"
    if not is_known:
        return f"No alert: {client} is not configured: its events become dead letters"
    if not windows:
        return f"No alert: {client} has no trigger that counts events"
    triggers = {facts.trigger.id for facts in windows}
    fired = sum(facts.state is WindowState.FIRED for facts in windows)
    of = f"{len(triggers):,} trigger{'s' * (len(triggers) != 1)} of {client}"
    if len(triggers) != len(windows):
        of = f"{len(windows):,} windows of {of}"
    if fired:
        return f"{fired:,} of {of} fired in {span}"
    may_fire = {WindowState.NOT_READ_YET, WindowState.OPEN}
    yet = " yet" * any(facts.unread or facts.state in may_fire for facts in windows)
    return f"No alert{yet}: none of {of} fired in {span}"


def state_text(history: AlertHistory) -> str:
    """Return how far the alert has come, in a few words."""
    return ALERT_STATES.get(history.state, str(history.state))


def steps_for_window(facts: WindowFacts | None, trigger_id: int) -> Iterator[str]:
    """Yield the commands that go on from a window, the best first."""
    if facts is None:
        yield f"stream-app triggers backtest --trigger {trigger_id}"
    elif facts.fired is not None:
        yield f"stream-app alerts show {facts.fired.alert.id}"
    elif facts.unread or facts.state in {WindowState.NOT_READ_YET, WindowState.NO_ALERT}:
        yield "stream-app status"
    elif facts.state is WindowState.DISABLED:
        yield f"stream-app get triggers {trigger_id} -o yaml"
    elif facts.state is not WindowState.FUTURE:
        times = f"--from {iso_utc(facts.start * 1000)} --to {iso_utc(facts.end * 1000)}"
        yield f"stream-app triggers backtest --trigger {trigger_id} {times}"
