"""`stream-app alerts`: the alerts that were fired, and the history of one.

These commands read `alerts`, `deliveries`, their results and dead letters without a group. They
write nothing. No other package imports from here.
"""

from __future__ import annotations

import click

from stream_app.cli import LazyGroup

#: Command -> where it lives.
COMMANDS = {
    "list": "stream_app.cli.alerts.list:list_",
    "show": "stream_app.cli.alerts.show:show",
}


@click.group(cls=LazyGroup, commands=COMMANDS, epilog="Example: stream-app alerts list --from 1d")
def alerts() -> None:
    """List alerts, and show the history of one: what fired, and what became of it."""
