"""`stream-app alerts`: the alerts that were fired, the history of one, and why there is none.

These commands read topics without a group, and write nothing. No other package imports from here.
"""

from __future__ import annotations

import click

from stream_app.cli import LazyGroup

#: Command -> where it lives.
COMMANDS = {
    "explain": "stream_app.cli.alerts.explain:explain",
    "list": "stream_app.cli.alerts.list:list_",
    "show": "stream_app.cli.alerts.show:show",
}


@click.group(cls=LazyGroup, commands=COMMANDS, epilog="Example: stream-app alerts list --from 1d")
def alerts() -> None:
    """List alerts, show the history of one, and explain why there is one or none."""
