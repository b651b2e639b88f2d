"""`stream-app secrets`: the keys that seal the API keys of integrations."""

from __future__ import annotations

import click
import orjson

from stream_app.secrets import generate_secret_key


@click.group()
def secrets() -> None:
    """Handle the keys that seal API keys."""


@secrets.command(
    epilog='Example: export STREAM_APP_SECRET_KEYS="$(stream-app secrets generate)"',
)
@click.option("--json", "as_json", is_flag=True, help="Print the key as JSON.")
def generate(*, as_json: bool) -> None:
    """Print a new key for STREAM_APP_SECRET_KEYS.

    To replace a key put the new one first, before a comma and the old one; apply the
    integrations with their keys again; then take the old one out.
    """
    key = generate_secret_key()
    click.echo(orjson.dumps({"secret_key": key}).decode() if as_json else key)
    click.echo("Keep it: what it sealed cannot be opened without it.", err=True)
