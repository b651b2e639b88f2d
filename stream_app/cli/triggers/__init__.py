"""`stream-app triggers backtest`: what a trigger would have done on recorded events.

`domain/backtest` counts; `report_text` and `report_html` show its findings. Nothing here writes to
Kafka, and no other package imports from here.
"""

from __future__ import annotations

import click

from stream_app.cli import LazyGroup

#: Command -> where it lives.
COMMANDS = {"backtest": "stream_app.cli.triggers.backtest:backtest"}


@click.group(
    cls=LazyGroup,
    commands=COMMANDS,
    epilog="Example: stream-app triggers backtest -f trigger.yaml --from 7d",
)
def triggers() -> None:
    """Try a trigger on recorded events before it pages anybody."""
