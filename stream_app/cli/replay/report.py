"""Prints the alerts of a replay, or how they compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from stream_app.cli.output import print_json, print_json_text, print_table, say
from stream_app.domain.alerts.alert import Alert, NoticeAlert, encode_alert
from stream_app.domain.alerts.threshold_text import period_text
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.replay.comparison import ComparedAlert, ComparisonResult
from stream_app.domain.replay.counting_replay import ReplayFigures
from stream_app.domain.times import iso_utc


class HasFigures(Protocol):
    """What has replayed one topic."""

    figures: ReplayFigures


def show_figures(engines: Collection[tuple[str, HasFigures]], records: int, seconds: float) -> None:
    """Say on stderr what became of the events."""
    rate = records / seconds if seconds else 0
    names = ", ".join(topic for topic, _ in engines)
    say(f"{records:,} records of {names} in {seconds:.1f} s ({rate:,.0f}/s)")
    for topic, engine in engines:
        say(f"{topic}: {figures_text(engine.figures)}")


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


def show_comparison(rows: Sequence[ComparedAlert], unreadable: int, *, as_json: bool) -> None:
    """Print what differs, or with JSON every alert; then how many there are of each."""
    if as_json:
        for row in rows:
            print_json(_as_json(row))
    elif any(row.result is not ComparisonResult.SAME for row in rows):
        print_table(
            ("RESULT", "WHEN", "CLIENT", "WHAT", "REASON", "ID"),
            [
                (row.result, *_cells(row.alert), _why(row), row.alert.id)
                for row in rows
                if row.result is not ComparisonResult.SAME
            ],
        )
    counts = Counter(row.result for row in rows)
    say(", ".join(f"{counts[result]:,} {result}" for result in ComparisonResult))
    if unreadable:
        say(f"{unreadable:,} records of the topic are no alerts")


def _as_json(row: ComparedAlert) -> dict[str, object]:
    return {
        "result": row.result,
        "reason": row.cause,
        "detail": row.detail,
        "alert": msgspec.to_builtins(row.alert),
    }


def _why(row: ComparedAlert) -> str:
    return f"{row.cause}: {row.detail}"


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
