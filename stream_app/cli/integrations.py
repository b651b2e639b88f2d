"""`stream-app integrations`: the life of integrations."""

from __future__ import annotations

import click

from stream_app.cli import LazyGroup

#: Command -> where it lives.
COMMANDS = {
    "delete": "stream_app.cli.integration_life:delete",
    "disable": "stream_app.cli.integration_life:disable",
    "enable": "stream_app.cli.integration_life:enable",
    "list": "stream_app.cli.integration_life:list_",
    "test": "stream_app.cli.integration_test:test",
}


@click.group(cls=LazyGroup, commands=COMMANDS, epilog="Example: stream-app integrations list")
def integrations() -> None:
    """List, test, enable, disable and delete integrations."""
