"""Prints the alerts of a replay, or how they compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from stream_app.cli.output import print_json, print_json_text, print_line, print_table, say
from stream_app.domain.alerts.alert import Alert, NoticeAlert, encode_alert
from stream_app.domain.alerts.threshold_text import period_text
from stream_app.domain.backtest.pages import pages_rows, pages_text
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.episodes.episode import FiredWindow
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.replay.comparison import ComparedAlert, ComparedSide, ComparisonResult
from stream_app.domain.replay.counting_replay import ReplayFigures
from stream_app.domain.replay.verdicts import verdicts
from stream_app.domain.times import iso_utc
from stream_app.kafka.cluster.topics import Topic

#: Most triggers whose pages are counted; a count takes some 20 microseconds for each window.
_SHOWN_TRIGGERS = 20


def show_figures(found: Mapping[Topic, ReplayFigures], records: int, seconds: float) -> None:
    """Say on stderr what became of the events of each topic."""
    rate = records / seconds if seconds else 0
    say(f"{records:,} records of {', '.join(found)} in {seconds:.1f} s ({rate:,.0f}/s)")
    for topic, figures in found.items():
        say(f"{topic}: {figures_text(figures)}")


def figures_text(figures: ReplayFigures) -> str:
    """Return what became of events, in a line."""
    parts = [f"{n:,} {name.replace('_', ' ')}" for name, n in sorted(figures.results.items()) if n]
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in sorted(figures.rejected.items()))
    dead = figures.rejected.total()
    parts += [f"{dead:,} would be dead letters ({reasons})"] if dead else []
    return ", ".join(parts) or "nothing counted"


def show_alerts(rows: Sequence[tuple[Alert | NoticeAlert, int]], *, as_json: bool) -> None:
    """Print the alerts: as they stand on the topic, or as a table."""
    if as_json:
        for alert, _ in rows:
            print_json_text(encode_alert(alert))
    elif rows:
        print_table(
            ("WHEN", "CLIENT", "WHAT", "EVENTS", "INTEGRATIONS", "ID"),
            [(*_cells(alert), events, _ids(alert), alert.id) for alert, events in rows],
        )
    say(f"{len(rows):,} alerts")


def show_pages(
    alerts: Iterable[Alert | NoticeAlert], integrations: Mapping[int, Integration]
) -> None:
    """Say of each trigger how many pages its fired windows are at its integrations, if known."""
    fired: dict[int, list[Alert]] = {}
    for alert in alerts:
        if isinstance(alert, Alert) and not integrations.keys().isdisjoint(alert.integration_ids):
            fired.setdefault(alert.trigger.id, []).append(alert)
    for number, found in sorted(fired.items())[:_SHOWN_TRIGGERS]:
        windows = [FiredWindow(one.window_start, one.window_end) for one in found]
        known = {n: integrations[n].repeats for n in found[0].integration_ids if n in integrations}
        say(f"trigger {number}: {pages_text(len(windows), pages_rows(sorted(windows), known))}")
    if (more := len(fired) - _SHOWN_TRIGGERS) > 0:
        say(f"and {more:,} more triggers: choose one with --trigger")


def show_comparison(rows: Sequence[ComparedAlert], unreadable: int, *, as_json: bool) -> None:
    """Print the verdict on each trigger, and what differs; with JSON every window."""
    sentences = verdicts(rows)
    if as_json:
        for row in rows:
            print_json(_as_json(row))
        for sentence in sentences:
            say(sentence)
    else:
        for sentence in sentences:
            print_line(sentence)
        differing = [row for row in rows if row.result is not ComparisonResult.SAME]
        if differing:
            print_line()
            print_table(
                ("RESULT", "WHEN", "WHAT", "THEN", "NOW", "WHY", "ID"),
                [_difference(row) for row in differing],
            )
    if unreadable:
        say(f"{unreadable:,} records of the topic are no alerts")


def _difference(row: ComparedAlert) -> tuple[object, ...]:
    alert = row.alert
    what = f"trigger {alert.trigger.id}" if alert.trigger else "notice"
    if isinstance(alert, NoticeAlert):
        what = f"{what}, {alert.notice.kind}" if alert.trigger else f"notice {alert.notice.kind}"
    when, *_ = _cells(alert)
    return (
        row.result, when, what, _side(row.recorded), _side(row.replayed),
        f"{row.cause}: {row.detail}", alert.id,
    )  # fmt: skip


def _side(side: ComparedSide) -> str:
    """Return the count of a window against the threshold: `12 > 10` fires, `8 of 10` does not."""
    if side.threshold is None:
        return "fires" if side.alert is not None else "-"
    count = "?" if side.count is None else f"{side.count:,}"
    return f"{count} {'>' if side.alert is not None else 'of'} {side.threshold.count:,}"


def _as_json(row: ComparedAlert) -> dict[str, object]:
    alert = row.alert
    return {
        "result": row.result,
        "reason": row.cause,
        "detail": row.detail,
        "id": alert.id,
        "client_id": alert.client_id,
        "trigger_id": alert.trigger and alert.trigger.id,
        "trigger_name": alert.trigger and alert.trigger.name,
        "notification_type": alert.notice.kind if isinstance(alert, NoticeAlert) else None,
        "recorded": _side_as_json(row.recorded),
        "replayed": _side_as_json(row.replayed),
        "alert": msgspec.to_builtins(alert),
    }


def _side_as_json(side: ComparedSide) -> dict[str, object]:
    """Return a window as one side sees it. Its times are null where it does not fire."""
    start, end = None, None
    if isinstance(side.alert, Alert):
        start, end = (iso_utc(at * 1000) for at in (side.alert.window_start, side.alert.window_end))
    return {
        "fires": side.alert is not None,
        "id": side.alert and side.alert.id,
        "window_start_at": start,
        "window_end_at": end,
        "count": side.count,
        "threshold": side.threshold and side.threshold.count,
        "period_seconds": side.threshold and side.threshold.period,
    }


def _cells(alert: Alert | NoticeAlert) -> tuple[str, int, str]:
    """Return the time, the client and a summary of an alert."""
    if isinstance(alert, NoticeAlert):
        what = f"{alert.notice.kind}: {alert.notice.summary}"
        return iso_utc(alert.notice.appended_ms), alert.client_id, what
    trigger = alert.trigger
    limit = f"more than {trigger.threshold.count} in {period_text(trigger.threshold.period)}"
    what = f"trigger {trigger.id} {quoted(trigger.name)}: {limit}"
    return iso_utc(alert.window_start * 1000), alert.client_id, what


def _ids(alert: Alert | NoticeAlert) -> str:
    return ",".join(map(str, alert.integration_ids))
