"""`stream-app alerts list`: the newest alerts, and the state of their deliveries."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from stream_app.cli.alerts.history_json import facts_of
from stream_app.cli.alerts.history_text import cause_of, state_parts
from stream_app.cli.completing import id_option
from stream_app.cli.output import print_json, print_table, say
from stream_app.cli.parameters import moments_of, start_command, time_options
from stream_app.cli.progress import ProgressLine
from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.reports.alert_history import AlertHistories, AlertHistory, AlertState
from stream_app.domain.times import iso_utc
from stream_app.kafka.configuration.records import read_stored
from stream_app.kafka.history.alert_history import Bounds, add_deliveries, read_alert_history
from stream_app.settings import Settings

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
    "list",
    epilog="Example: stream-app alerts list --state failed --state pending --integration 521",
)
@id_option(Kind.CLIENT, "Only those of this client.")
@id_option(Kind.TRIGGER, "Only those of this trigger.")
@id_option(Kind.INTEGRATION, "Only those for this integration.")
@time_options("Only those fired")
@click.option(
    "--state", "states", multiple=True, type=click.Choice([state.value for state in AlertState]),
    help="Only those in this state; give it several times for any of several.",
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
    states: tuple[str, ...],
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List alerts, the newest last.

    STATE is the worst of its deliveries: `failed` (a dead letter that nobody has redriven),
    `pending`, `dismissed` (nobody wants its dead letters sent), `dry_run` (recorded, and sent to
    nobody), `sent`, `folded` (the next repeat of its episode tells it), or `no_delivery` (not
    routed yet, or no integration takes it). FIRED is when the record was written.
    """
    settings = start_command()
    bounds = Bounds(MOST, *moments_of(start, end))
    selected = AlertFilter(client_id, trigger_id, integration_id)
    found, cut_ms = asyncio.run(_read(settings, bounds, selected, None if states else limit))
    rows = [history for history in found if not states or history.state in states][-limit:]
    if as_json:
        for history in rows:
            print_json(_summary(history))
    elif rows:
        columns = ("FIRED", "STATE", "CLIENT", "CAUSE", "INTEGRATIONS", "ID")
        print_table(columns, [_row(history) for history in rows])
    elif found:
        say(f"no alerts in state {' or '.join(dict.fromkeys(states))}; in others: {_counts(found)}")
    else:
        say("; ".join(["no alerts", *asyncio.run(_unknown(settings, selected))]))
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


def _counts(found: Iterable[AlertHistory]) -> str:
    """Return how many alerts are in which state, the worst state first."""
    counts = Counter(history.state for history in found)
    return ", ".join(f"{counts[state]:,} {state}" for state in AlertState if counts[state])


async def _unknown(settings: Settings, selected: AlertFilter) -> Sequence[str]:
    """Return which of the selected objects are not configured: nothing can come of those."""
    numbers = {
        Kind.CLIENT: selected.client_id,
        Kind.TRIGGER: selected.trigger_id,
        Kind.INTEGRATION: selected.integration_id,
    }
    if all(number is None for number in numbers.values()):
        return []
    stored = await read_stored(settings)
    return [
        f"{kind} {number} is not configured (`stream-app get {kind}s` shows which are)"
        for kind, number in numbers.items()
        if number is not None and number not in stored[kind]
    ]


def _row(history: AlertHistory) -> tuple[str, ...]:
    alert = history.alert
    served = {one.integration_id for one in history.all_deliveries} | history.folded.keys()
    deliveries = state_parts(history)
    deliveries += [str(number) for number in sorted({*alert.integration_ids} - served)]
    return (
        iso_utc(history.fired_ms), history.state, str(alert.client_id), cause_of(alert),
        ", ".join(deliveries), alert.id,
    )  # fmt: skip


def _summary(history: AlertHistory) -> dict[str, object]:
    return {
        **facts_of(history),
        "deliveries": [
            {
                "integration_id": delivery.integration_id,
                "action": delivery.action,
                "state": delivery.status,
                "reason": delivery.reason or None,
                "attempt_count": len(delivery.ordered_attempts),
            }
            for delivery in history.all_deliveries
        ],
        "folded": [
            {"integration_id": number, "alias": episode.alias}
            for number, episode in sorted(history.folded.items())
        ],
    }
