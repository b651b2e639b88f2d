"""`stream-app worker`: run one process of one role."""

from __future__ import annotations

import click

from stream_app.cli.parameters import start_command
from stream_app.domain.topics import Role
from stream_app.worker.run import run_worker


@click.command(epilog="Example: STREAM_APP_HTTP__PORT=9470 stream-app worker detector")
@click.argument("role", type=click.Choice(["detector", "notifier"]))
def worker(role: Role) -> None:
    """Run a worker until SIGTERM.

    The detector counts events and fires alerts, the notifier posts them. Run more of a role to
    share its partitions.
    """
    settings = start_command()
    run_worker(role, settings)
