"""`stream-app triggers`: what triggers do, and would do."""

from __future__ import annotations

import click

from stream_app.cli import LazyGroup

#: Command -> where it lives.
COMMANDS = {"backtest": "stream_app.cli.triggers.backtest:backtest"}


@click.group(
    cls=LazyGroup,
    commands=COMMANDS,
    epilog="Example: stream-app triggers backtest -f trigger.yaml --from -7d",
)
def triggers() -> None:
    """Try a trigger on recorded events before it pages anybody."""
