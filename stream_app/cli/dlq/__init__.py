"""`stream-app dlq`: list, show, redrive and dismiss dead letters.

`selection` holds what the commands share. Which dead letter may be redriven is decided in
`domain/dead_letters`, never here. No other package imports from here.
"""

from __future__ import annotations

import click

from stream_app.cli import LazyGroup

#: Command -> where it lives.
COMMANDS = {
    "dismiss": "stream_app.cli.dlq.dismiss:dismiss",
    "list": "stream_app.cli.dlq.list:list_",
    "redrive": "stream_app.cli.dlq.redrive:redrive",
    "show": "stream_app.cli.dlq.show:show",
}


@click.group(cls=LazyGroup, commands=COMMANDS, epilog="Example: stream-app dlq list --summary")
def dlq() -> None:
    """List, look at and redrive dead letters: what could not be used or not be delivered."""
