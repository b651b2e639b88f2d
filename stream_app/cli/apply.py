"""`stream-app apply`: write clients, integrations and triggers from files to Kafka."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

import click
import orjson

from stream_app.cli.config_files import read_objects
from stream_app.domain.errors import ConfigurationError
from stream_app.domain.plans import Action, Rules, make_plan
from stream_app.kafka.config_records import read_stored, write_records
from stream_app.logs import configure_logs
from stream_app.opsgenie.endpoints import resolve_endpoint
from stream_app.secrets import KeyRing
from stream_app.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream_app.domain.plans import Change, FileObject, Plan
    from stream_app.settings import Settings


@click.command(
    epilog="Example: stream-app apply -f clients.yaml -f triggers.yaml --dry-run",
)
@click.option(
    "-f",
    "--file",
    "files",
    metavar="FILE",
    multiple=True,
    required=True,
    help="YAML or JSON with one or many objects; `-` is stdin. May be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and stop there.")
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def apply(files: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    """Create or update clients, integrations and triggers.

    Objects are recognised by their shape (or by `kind`): a trigger has `template_id`, an
    integration `target` and `events`, a client `name` and `cloud`. Either all objects are
    applied or, when one of them breaks a rule, none. Keys of integrations are sealed before
    they leave this process.
    """
    settings = load_settings()
    configure_logs(settings.log)
    plan = asyncio.run(_apply(settings, read_objects(files), dry_run=dry_run))
    _show(plan.changes, dry_run=dry_run, as_json=as_json)


async def _apply(settings: Settings, objects: Sequence[FileObject], *, dry_run: bool) -> Plan:
    rules = Rules(
        now_ms=time.time_ns() // 1_000_000,
        allowed_periods=settings.detector.allowed_periods,
        keeper=KeyRing.from_settings(settings),
        check_api=partial(resolve_endpoint, sandbox_url=settings.delivery.sandbox_url),
    )
    plan = make_plan(objects, await read_stored(settings), rules)
    if plan.problems:
        lines = "\n  ".join(plan.problems)
        raise ConfigurationError(f"nothing was applied, {len(plan.problems)} wrong:\n  {lines}")
    changes = [change for change in plan.changes if change.action is not Action.UNCHANGED]
    if changes and not dry_run:
        await write_records(settings, ((c.kind, c.id, c.record) for c in changes))
    return plan


def _show(changes: Sequence[Change], *, dry_run: bool, as_json: bool) -> None:
    """Print the changes; never the records, which hold sealed keys."""
    if as_json:
        rows = [
            {"kind": c.kind, "id": c.id, "name": c.name, "action": c.action, "fields": c.fields}
            for c in changes
        ]
        click.echo(orjson.dumps({"dry_run": dry_run, "changes": rows}).decode())
    else:
        for change in changes:
            fields = f" ({', '.join(change.fields)})" if change.fields else ""
            click.echo(f"{change.action:<9} {change.kind} {change.id} {change.name!r}{fields}")
    for change in changes:
        for path in change.left_out:
            click.echo(
                f"{change.kind} {change.id}: {path}: left out, it looks like a key", err=True
            )
    counts = ", ".join(f"{sum(c.action is a for c in changes)} {a}" for a in Action)
    click.echo(f"dry run, nothing applied: {counts}" if dry_run else f"applied: {counts}", err=True)
