"""`stream-app alerts list`: the newest alerts, and the state of their deliveries."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import click

from stream_app.cli.alerts.history_json import facts_of
from stream_app.cli.alerts.history_text import cause_of
from stream_app.cli.completing import id_option
from stream_app.cli.output import print_json, print_table, say
from stream_app.cli.parameters import moments_of, time_options
from stream_app.cli.progress import ProgressLine
from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.reports.alert_history import AlertHistories, AlertHistory, AlertState
from stream_app.domain.times import iso_utc
from stream_app.kafka.history.alert_history import Bounds, add_deliveries, read_alert_history
from stream_app.logs import configure_logs
from stream_app.settings import Settings, load_settings

#: Most records of `alerts`, and of `deliveries` and `delivery-results`, that are read.
MOST = 200_000


@dataclass(frozen=True)
class AlertFilter:
    """Selects alerts: those that fit every rule that is set."""

    client_id: int | None
    trigger_id: int | None
    integration_id: int | None

    def __call__(self, alert: Alert | NoticeAlert) -> bool:
        """Return whether an alert is selected."""
        return (
            self.client_id in (None, alert.client_id)
            and self.trigger_id in (None, alert.trigger.id if isinstance(alert, Alert) else 0)
            and (self.integration_id is None or self.integration_id in alert.integration_ids)
        )


@click.command(
    "list", epilog="Example: stream-app alerts list --integration 521 --state failed --from 2h"
)
@id_option(Kind.CLIENT, "Only those of this client.")
@id_option(Kind.TRIGGER, "Only those of this trigger.")
@id_option(Kind.INTEGRATION, "Only those for this integration.")
@time_options("Only those fired")
@click.option(
    "--state", type=click.Choice([state.value for state in AlertState]),
    help="Only those in this state.",
)  # fmt: skip
@click.option(
    "--limit", metavar="N", type=click.IntRange(1), default=50, show_default=True,
    help="Only the newest N.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print each as JSON, one per line.")
def list_(
    client_id: int | None,
    trigger_id: int | None,
    integration_id: int | None,
    start: str | None,
    end: str | None,
    state: str | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List alerts, the newest last.

    STATE is the worst of its deliveries: `failed` (a dead letter that nobody has redriven),
    `pending`, `dismissed` (its dead letters are), `dry_run` (recorded, and sent to nobody), `sent`,
    or `no_delivery` (not routed yet, or no integration takes it). FIRED is when the record was
    written.
    """
    settings = load_settings()
    configure_logs(settings.log)
    bounds = Bounds(MOST, *moments_of(start, end))
    selected = AlertFilter(client_id, trigger_id, integration_id)
    found, cut_ms = asyncio.run(_read(settings, bounds, selected, None if state else limit))
    rows = [history for history in found if state in (None, history.state)][-limit:]
    if as_json:
        for history in rows:
            print_json(_summary(history))
    elif rows:
        columns = ("FIRED", "STATE", "CLIENT", "CAUSE", "INTEGRATIONS", "ID")
        print_table(columns, [_row(history) for history in rows])
    else:
        say("no alerts" if not found else f"no alerts in state {state}, {len(found)} in others")
    if cut_ms is not None:
        say(f"looked back to {iso_utc(cut_ms)} only (the newest {MOST:,} records)")


async def _read(
    settings: Settings, bounds: Bounds, selected: AlertFilter, limit: int | None
) -> tuple[list[AlertHistory], int | None]:
    """Return the alerts with their deliveries, oldest first, and where reading stopped early."""
    with ProgressLine(what="alerts") as progress:
        histories, reach = await read_alert_history(settings, bounds, selected, progress.report)
    newest = sorted(histories.by_id.values(), key=lambda history: history.fired_ms)
    newest = newest if limit is None else newest[-limit:]
    chosen = AlertHistories()
    chosen.by_id = {history.alert.id: history for history in newest}
    with ProgressLine(what="deliveries") as progress:
        behind = await add_deliveries(settings, chosen, bounds.most, progress.report)
    cuts = [cut for cut in (reach.cut_ms, behind.cut_ms) if cut is not None]
    return newest, max(cuts, default=None)


def _row(history: AlertHistory) -> tuple[str, ...]:
    alert = history.alert
    deliveries = [
        f"{number} {history.deliveries[number].status}"
        if number in history.deliveries
        else f"{number}"
        for number in sorted({*alert.integration_ids, *history.deliveries})
    ]
    return (
        iso_utc(history.fired_ms), history.state, str(alert.client_id), cause_of(alert),
        ", ".join(deliveries), alert.id,
    )  # fmt: skip


def _summary(history: AlertHistory) -> dict[str, object]:
    return {
        **facts_of(history),
        "deliveries": [
            {
                "integration_id": number,
                "state": delivery.status,
                "reason": delivery.reason or None,
                "attempt_count": len(delivery.ordered_attempts),
            }
            for number, delivery in sorted(history.deliveries.items())
        ],
    }
