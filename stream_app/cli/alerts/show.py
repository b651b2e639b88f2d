"""`stream-app alerts show`: the whole history of one alert, and what follows."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass

import click

from stream_app.cli.alerts.history_json import document_of
from stream_app.cli.alerts.history_text import fitted, lines_of
from stream_app.cli.completing import offer_alerts
from stream_app.cli.output import print_json, print_line, say, terminal_width
from stream_app.cli.parameters import start_command
from stream_app.cli.progress import ProgressLine
from stream_app.domain.alerts.alert import Alert, AnyAlert
from stream_app.domain.errors import UsageError
from stream_app.domain.reports.alert_history import (
    AlertHistories,
    AlertHistory,
    find_alert,
    is_named_by,
)
from stream_app.domain.reports.next_steps import IntegrationNow, Surroundings
from stream_app.domain.times import iso_utc
from stream_app.kafka.history.alert_history import (
    Bounds,
    add_deliveries,
    read_alert_history,
    read_integrations_now,
)
from stream_app.kafka.history.window_counts import ObservedCount, read_observed_count
from stream_app.settings import Settings

#: Most records of a topic that are read; that takes some 20 s.
MOST = 2_000_000
_PLAIN = re.compile(r"[\w:.-]*", re.ASCII)


@click.command(
    epilog="Examples: stream-app alerts show 3f9a61; "
    "stream-app alerts show stream-app:1111:incidents_exceeded:3f9a61 --json"
)
@click.argument("alert_id", metavar="ID", shell_complete=offer_alerts)
@click.option("--json", "as_json", is_flag=True, help="Print the history as one JSON document.")
def show(alert_id: str, *, as_json: bool) -> None:
    """Show the history of an alert: what fired, who was told, and what happens next.

    ID is what `stream-app alerts list` prints, or the beginning of it or of its last part, as
    long as it names one alert; it is the alias at Opsgenie, too. Attempts that ended alike are
    one line; --json has each of them.
    """
    settings = start_command()
    text = alert_id.strip()
    if not text:
        raise UsageError("give an alert's id: `stream-app alerts list` shows which there are")
    found = asyncio.run(_read(settings, text))
    around = Surroundings(
        found.integrations,
        time.time_ns() // 1_000_000,
        settings.delivery.retry_scale,
        settings.max_alert_age * 1000,
    )
    if as_json:
        print_json(document_of(found.history, found.observed, around))
    else:
        width = terminal_width()
        for line in lines_of(found.history, found.observed, around):
            for part in fitted(line, width):
                print_line(part)
    if found.cut_ms is not None:
        say(f"looked back to {iso_utc(found.cut_ms)} only (the newest {MOST:,} records)")


@dataclass(frozen=True)
class _Found:
    """What was read: `cut_ms` is where reading stopped early."""

    history: AlertHistory
    observed: ObservedCount | None
    integrations: dict[int, IntegrationNow]
    cut_ms: int | None


async def _read(settings: Settings, text: str) -> _Found:
    def wanted(alert: AnyAlert) -> bool:
        return is_named_by(alert.id, text)

    # Any other text may be escaped in a record, so its bytes cannot be searched for.
    holding = text.encode() if _PLAIN.fullmatch(text) else b""
    with ProgressLine(what="alerts") as progress:
        histories, reach = await read_alert_history(
            settings, Bounds(MOST), wanted, progress.report, holding=holding
        )
    history = find_alert(histories, text)
    chosen = AlertHistories()
    chosen.by_id[history.alert.id] = history
    with ProgressLine(what="deliveries") as progress:
        behind = await add_deliveries(settings, chosen, MOST, progress.report)
    observed = None
    if isinstance(history.alert, Alert):
        with ProgressLine(what="events") as progress:
            observed = await read_observed_count(
                settings, history.alert, history.fired_ms, progress.report
            )
    cuts = [cut for cut in (reach.cut_ms, behind.cut_ms) if cut is not None]
    return _Found(history, observed, await read_integrations_now(settings), max(cuts, default=None))
