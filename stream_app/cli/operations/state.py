"""`stream-app state`: reset the state that workers keep on Kafka."""

from __future__ import annotations

import asyncio

import click

from stream_app.cli import CommandGroup
from stream_app.cli.output import print_json, print_line, say
from stream_app.cli.parameters import end_undone, yes_option
from stream_app.domain.topics import ROLE_SOURCES, Role
from stream_app.kafka.cluster.topics import Topic
from stream_app.kafka.state.state_reset import reset_plan, reset_state
from stream_app.kafka.state.topic_ids import app_id_of
from stream_app.kafka.state.topic_partitions import source_partitions
from stream_app.settings import Settings, load_settings


@click.group(cls=CommandGroup, epilog="Example: stream-app state reset detector")
def state() -> None:
    """Reset the state that workers keep about their topics."""


@state.command(epilog="Example: stream-app state reset detector --yes")
@click.argument("role", type=click.Choice(sorted(ROLE_SOURCES)))
@yes_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print the changelogs that it deletes as JSON."
)
def reset(role: Role, *, yes: bool, as_json: bool) -> None:
    """Forget a role's state: its workers start from the beginning of their topics.

    On events.account a detector continues where it was, so old notices are not sent again.

    Stop the workers first. This is needed after a topic has been recreated. Alerts that the
    detector sends again have the same ids; a notifier posts every alert again that its topics
    still hold.
    """
    settings = load_settings()
    asyncio.run(_reset(settings, role, yes=yes, as_json=as_json))


async def _reset(settings: Settings, role: Role, *, yes: bool, as_json: bool) -> None:
    sources = await source_partitions(settings, ROLE_SOURCES[role])
    changelogs = await reset_plan(settings, role)
    for name in () if as_json else changelogs:
        print_line(f"{'deleting' if yes else 'would delete'} {name}")
    if yes:
        await reset_state(settings, role, changelogs, sources)
    app_id = app_id_of(settings, role)
    if as_json:
        print_json({"dry_run": not yes, "group": app_id, "changelogs": changelogs})
    if not yes:
        end_undone(as_json=as_json)
    kept = "; events.account goes on where it was" if Topic.ACCOUNT in sources else ""
    tell = say if as_json else print_line
    tell(f"{app_id} starts from the beginning of its topics{kept}")
