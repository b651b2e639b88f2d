"""`stream-app dlq`: dead letters, and their way back."""

from __future__ import annotations

import click

from stream_app.cli import LazyGroup

#: Command -> where it lives.
COMMANDS = {
    "list": "stream_app.cli.dlq.list:list_",
    "redrive": "stream_app.cli.dlq.redrive:redrive",
    "show": "stream_app.cli.dlq.show:show",
}


@click.group(cls=LazyGroup, commands=COMMANDS, epilog="Example: stream-app dlq list --summary")
def dlq() -> None:
    """List, look at and redrive dead letters: what could not be used or not be delivered."""
