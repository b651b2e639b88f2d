"""`stream-app delete`: delete configured objects."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from stream_app.cli.completing import ObjectId
from stream_app.cli.configuration.change_report import show_changes, warn_of_operator
from stream_app.cli.configuration.changes import carry_out
from stream_app.cli.did_you_mean import PLURALS, KindName
from stream_app.cli.parameters import end_undone, start_command, yes_option
from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.domain.errors import ConfigurationError, HiddenWriteError, StreamAppError
from stream_app.domain.plans.plan import Change, deletion
from stream_app.kafka.configuration.records import read_statuses, read_stored


@click.command(epilog="Example: stream-app delete triggers 61 62 --yes")
@click.argument("kind", type=KindName())
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=ObjectId())
@yes_option
@click.option("--no-notify", is_flag=True, help="Send integrations no last message.")
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def delete(kind: str, ids: tuple[int, ...], *, yes: bool, no_notify: bool, as_json: bool) -> None:
    """Delete triggers, integrations or clients.

    An integration in use that has `system` selected gets a last message first; triggers keep
    its id and skip it. A client can be deleted when it has no triggers and integrations left.
    """
    delete_objects(
        PLURALS[kind], ids, yes=yes, notify=not no_notify, as_json=as_json,
        actor="stream-app delete",
    )  # fmt: skip


def delete_objects(
    kind: Kind, ids: Sequence[int], *, yes: bool, notify: bool, as_json: bool, actor: str
) -> None:
    """Delete objects, or show what would be deleted.

    Raises:
        StreamAppError: one of them is not configured; nothing is deleted.
        ConfigurationError: a client has objects left; nothing is deleted.
    """
    settings = start_command()
    stored = asyncio.run(read_stored(settings))
    changes = [_deletion(kind, number, stored) for number in dict.fromkeys(ids)]
    if yes:
        statuses = asyncio.run(read_statuses(settings))
        try:
            asyncio.run(carry_out(settings, changes, stored, statuses, actor=actor, notify=notify))
        except HiddenWriteError:
            show_changes(changes, {}, dry_run=False, as_json=as_json)
            raise
    show_changes(changes, {}, dry_run=not yes, as_json=as_json)
    warn_of_operator(settings, changes)
    if not yes:
        end_undone(as_json=as_json)


def _deletion(kind: Kind, number: int, stored: Stored) -> Change:
    record = stored[kind].get(number)
    if record is None:
        raise StreamAppError(
            f"{kind} {number} is not configured: `stream-app get {kind}s` shows which are"
        )
    if kind is Kind.CLIENT:
        _check_empty(number, stored)
    return deletion(kind, number, record)


def _check_empty(client_id: int, stored: Stored) -> None:
    commands = []
    for kind in (Kind.TRIGGER, Kind.INTEGRATION):
        left = sorted(n for n, r in stored[kind].items() if r.get("client_id") == client_id)
        if left:
            commands.append(f"`stream-app delete {kind}s {' '.join(map(str, left))} --yes`")
    if commands:
        raise ConfigurationError(
            f"client {client_id} still has objects: first {', then '.join(commands)}"
        )
