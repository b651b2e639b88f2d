"""`stream-app integrations list|enable|disable|delete`."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import click

from stream_app.cli.completing import ObjectId, id_option
from stream_app.cli.configuration.change_report import show_changes, warn_of_operator
from stream_app.cli.configuration.changes import Statuses, carry_out
from stream_app.cli.configuration.delete import delete_objects
from stream_app.cli.output import print_json, print_table, say
from stream_app.cli.parameters import end_undone, start_command, yes_option
from stream_app.cli.progress import ProgressLine
from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.domain.configuration.statuses import is_disabled_by_system
from stream_app.domain.dead_letters.dead_letter_index import Selection
from stream_app.domain.errors import ConfigurationError, StreamAppError
from stream_app.domain.plans.plan import Action, Change
from stream_app.domain.plans.stamps import disabled_record, enabled_record
from stream_app.domain.reports.integration_state import integration_row
from stream_app.domain.reports.problems import amount
from stream_app.domain.times import iso_utc
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.records import read_statuses, read_stored
from stream_app.kafka.overview.open_dead_letters import read_open_dead_letters
from stream_app.settings import Settings

ACTOR = "stream-app integrations"
#: Field of a row -> its column.
COLUMNS = {
    "id": "ID", "client_id": "CLIENT", "name": "NAME", "type": "TYPE", "configured": "CONFIGURED",
    "state": "STATE", "detail": "WHY", "state_since_at": "SINCE",
}  # fmt: skip


@click.command("list", epilog="Example: stream-app integrations list --client 1111")
@id_option(Kind.CLIENT, "Only those of this client.")
@click.option("--json", "as_json", is_flag=True, help="Print each as JSON, one per line.")
def list_(client_id: int | None, *, as_json: bool) -> None:
    """List integrations: how they are configured, and whether they are in use.

    STATE is `active`, `off` (its owner has disabled it), `disabled` (the system has) or
    `invalid` (the record can't be used: apply it again).
    """
    settings = start_command()
    stored, statuses = asyncio.run(_read(settings))
    rows = [
        integration_row(number, record, statuses.get(number))
        for number, record in sorted(stored[Kind.INTEGRATION].items())
        if client_id is None or record.get("client_id") == client_id
    ]
    if as_json:
        for row in rows:
            print_json(row)
        return
    print_table(
        list(COLUMNS.values()),
        [["" if row[name] is None else row[name] for name in COLUMNS] for row in rows],
    )


@click.command(epilog="Example: stream-app integrations enable 521")
@click.argument("integration_id", metavar="ID", type=ObjectId(Kind.INTEGRATION))
@click.option("--json", "as_json", is_flag=True, help="Print the change as JSON.")
def enable(integration_id: int, *, as_json: bool) -> None:
    """Enable an integration that its owner or the system has disabled.

    Earlier failures are forgotten. The alerts that it has missed are not sent by this: the command
    says how many there are, and how to send them.
    """
    settings = start_command()
    missed = asyncio.run(_missed(settings, integration_id))
    change = asyncio.run(_enable(settings, integration_id))
    show_changes([change], {}, dry_run=False, as_json=as_json, more={"dead_letters": missed})
    if change.action is Action.UPDATED and not change.fields:
        # The record has said `active` all along: only the system's status ends.
        say("it was disabled by the system and is in use again; its failures are forgotten")
    if missed["count"] and not as_json:
        least = "" if missed["looked_back_to_at"] is None else "at least "
        alerts = amount(missed["count"], "alert has", "alerts have")
        say(f"{least}{alerts} not reached it: {missed['next_step']}")


@click.command(epilog="Example: stream-app integrations disable 521 --yes")
@click.argument("integration_id", metavar="ID", type=ObjectId(Kind.INTEGRATION))
@yes_option
@click.option("--no-notify", is_flag=True, help="Send it no last message.")
@click.option("--json", "as_json", is_flag=True, help="Print the change as JSON.")
def disable(integration_id: int, *, yes: bool, no_notify: bool, as_json: bool) -> None:
    """Disable an integration; its settings stay.

    If it has `system` selected, it gets a last message first. Its pending deliveries become dead
    letters; alerts that fire while it is off are counted, but not kept for it.
    """
    settings = start_command()
    change, statuses = asyncio.run(
        _disable(settings, integration_id, yes=yes, notify=not no_notify)
    )
    show_changes([change], statuses, dry_run=not yes, as_json=as_json)
    warn_of_operator(settings, [change])
    if not yes and change.action is not Action.UNCHANGED:
        end_undone(as_json=as_json)


@click.command(epilog="Example: stream-app integrations delete 521 --yes")
@click.argument("integration_id", metavar="ID", type=ObjectId(Kind.INTEGRATION))
@yes_option
@click.option("--no-notify", is_flag=True, help="Send it no last message.")
@click.option("--json", "as_json", is_flag=True, help="Print the change as JSON.")
def delete(integration_id: int, *, yes: bool, no_notify: bool, as_json: bool) -> None:
    """Delete an integration with its settings and its key.

    If it is in use and has `system` selected, it gets a last message first. Triggers keep its
    id and skip it.
    """
    delete_objects(
        Kind.INTEGRATION, [integration_id], yes=yes, notify=not no_notify, as_json=as_json,
        actor=f"{ACTOR} delete",
    )  # fmt: skip


async def _read(settings: Settings) -> tuple[Stored, Statuses]:
    return await read_stored(settings), await read_statuses(settings)


def _record(stored: Stored, integration_id: int) -> dict[str, object]:
    record = stored[Kind.INTEGRATION].get(integration_id)
    if record is None:
        raise StreamAppError(
            f"integration {integration_id} is not configured: `stream-app integrations list` "
            "shows which are"
        )
    return record


def _change(number: int, before: dict[str, object], after: dict[str, object] | None) -> Change:
    action = Action.UNCHANGED if after is None else Action.UPDATED
    fields = ("active",) if after and after["active"] != before.get("active") else ()
    record = before if after is None else after
    return Change(Kind.INTEGRATION, number, action, record, fields, before=before)


async def _enable(settings: Settings, number: int) -> Change:
    stored, statuses = await _read(settings)
    before = _record(stored, number)
    integration, problems = read_integration(before)
    if problems:
        raise ConfigurationError(
            f"integration {number} cannot be used: {problems[0]}: mend it with `stream-app apply`"
        )
    is_disabled = is_disabled_by_system(integration, statuses.get(number))
    if integration.active and not is_disabled:
        return _change(number, before, None)
    change = _change(number, before, enabled_record(before, _now_ms()))
    await carry_out(
        settings, [change], stored, statuses, actor=f"{ACTOR} enable", notify=False,
        enabled=[number],
    )  # fmt: skip
    return change


async def _missed(settings: Settings, number: int) -> dict[str, Any]:
    """Return how many open dead letters there are for an integration, and how to send them."""
    names = TopicNames(settings.topic_prefix)
    topics = [names.dead_letters(topic) for topic in (Topic.ALERTS, Topic.DELIVERIES)]
    with ProgressLine(what="dead letters", at_stop="nothing is done") as progress:
        index, reach = await read_open_dead_letters(
            settings, topics, Selection(integration_id=number), progress.report
        )
    return {
        "count": len(index),
        "next_step": f"stream-app dlq redrive --integration {number}" if len(index) else None,
        "looked_back_to_at": None if reach.cut_ms is None else iso_utc(reach.cut_ms),
    }


async def _disable(
    settings: Settings, number: int, *, yes: bool, notify: bool
) -> tuple[Change, Statuses]:
    stored, statuses = await _read(settings)
    before = _record(stored, number)
    is_off = before.get("active") is False
    change = _change(number, before, None if is_off else disabled_record(before, _now_ms()))
    if yes:
        await carry_out(
            settings, [change], stored, statuses, actor=f"{ACTOR} disable", notify=notify
        )
    return change, statuses


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
