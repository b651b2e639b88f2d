"""`stream-app integrations`: list, test, enable, disable and delete integrations.

`trial` posts test messages by `notifier/direct`; `lifecycle` writes by `cli/configuration`. No
other package imports from here.
"""

from __future__ import annotations

import click

from stream_app.cli import LazyGroup

#: Command -> where it lives.
COMMANDS = {
    "delete": "stream_app.cli.integrations.lifecycle:delete",
    "disable": "stream_app.cli.integrations.lifecycle:disable",
    "enable": "stream_app.cli.integrations.lifecycle:enable",
    "list": "stream_app.cli.integrations.lifecycle:list_",
    "test": "stream_app.cli.integrations.trial:test",
}


@click.group(cls=LazyGroup, commands=COMMANDS, epilog="Example: stream-app integrations list")
def integrations() -> None:
    """List, test, enable, disable and delete integrations."""
