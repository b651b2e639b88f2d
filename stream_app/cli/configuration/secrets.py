"""`stream-app secrets`: the keys that seal the API keys of integrations."""

from __future__ import annotations

import asyncio
import time

import click

from stream_app.cli import CommandGroup
from stream_app.cli.configuration.change_report import show_changes
from stream_app.cli.configuration.changes import carry_out
from stream_app.cli.output import print_json, print_line, say
from stream_app.cli.parameters import start_command
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.errors import SealingError
from stream_app.domain.plans.plan import Action, Change
from stream_app.domain.plans.resealing import reseal
from stream_app.kafka.configuration.records import read_stored
from stream_app.key_ring import KeyRing, generate_secret_key
from stream_app.settings import Settings

ACTOR = "stream-app secrets rotate"


@click.group(cls=CommandGroup, epilog="Example: stream-app secrets rotate --dry-run")
def secrets() -> None:
    """Handle the keys that seal API keys."""


@secrets.command(
    epilog='Example: export STREAM_APP_SECRET_KEYS="$(stream-app secrets generate)"',
)
@click.option("--json", "as_json", is_flag=True, help="Print the key as JSON.")
def generate(*, as_json: bool) -> None:
    """Print a new key for STREAM_APP_SECRET_KEYS.

    To replace a key put the new one first, before a comma and the old one; run `stream-app
    secrets rotate`; then take the old one out.
    """
    key = generate_secret_key()
    if as_json:
        print_json({"secret_key": key})
    else:
        print_line(key)
    say("Keep it: what it sealed cannot be opened without it.")


@secrets.command(epilog="Example: stream-app secrets rotate --dry-run")
@click.option("--dry-run", is_flag=True, help="Show what would be sealed anew, and stop there.")
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def rotate(*, dry_run: bool, as_json: bool) -> None:
    """Seal the API keys of all integrations anew, with the newest secret key.

    The first of STREAM_APP_SECRET_KEYS seals, and each of them opens, so workers must have the new
    one before. No API key is needed or changed, and deliveries under way stay valid.

    It ends with 3 when a key could not be opened: then an older secret key is still missing.
    """
    settings = start_command()
    changes, problems = asyncio.run(_rotate(settings, dry_run=dry_run))
    show_changes(changes, {}, dry_run=dry_run, as_json=as_json)
    updated = sum(change.action is Action.UPDATED for change in changes)
    counts = f"{updated} sealed anew, {len(changes) - updated} unchanged"
    say(f"dry run, nothing written: {counts}" if dry_run else f"rotated: {counts}")
    if problems:
        lines = "\n  ".join(problems)
        raise SealingError(f"not sealed anew, {len(problems)} keys cannot be opened:\n  {lines}")


async def _rotate(settings: Settings, *, dry_run: bool) -> tuple[list[Change], list[str]]:
    """Write what can be sealed anew; return that, and why the rest cannot be."""
    keys, now_ms = KeyRing.from_settings(settings), time.time_ns() // 1_000_000
    stored = await read_stored(settings)
    changes, problems = [], []
    for number, record in sorted(stored[Kind.INTEGRATION].items()):
        try:
            change = reseal(number, record, keys, now_ms)
        except SealingError as error:
            problems.append(f"integration {number}: {error}")
            continue
        changes += [] if change is None else [change]
    if not dry_run:
        await carry_out(settings, changes, stored, {}, actor=ACTOR, notify=False)
    return changes, problems
