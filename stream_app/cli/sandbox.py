"""`stream-app sandbox`: a sandbox Opsgenie that shows each alert as it arrives."""

from __future__ import annotations

import asyncio
import signal

import click
import orjson

from stream_app.opsgenie.endpoints import is_loopback
from stream_app.opsgenie.sandbox import SandboxOpsgenie
from stream_app.opsgenie.sandbox_state import AlertView, iso_time
from stream_app.opsgenie.text import clean, clean_lines

DEFAULT_PORT = 8480


@click.command(
    epilog="Example: stream-app sandbox --json | jq .message",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to bind; 0: a free one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print alerts as JSON Lines.")
def sandbox(host: str, port: int, *, as_json: bool) -> None:
    """Play Opsgenie until Ctrl-C and print each alert that arrives; nobody is alerted.

    GET /sandbox/alerts and /sandbox/requests show what has come, DELETE /sandbox clears it.
    """
    asyncio.run(_run(host, port, as_json=as_json))


async def _run(host: str, port: int, *, as_json: bool) -> None:
    stopped = asyncio.Event()

    def show(alert: AlertView) -> None:
        try:
            click.echo(orjson.dumps(alert.as_json()) if as_json else describe(alert))
        except BrokenPipeError:
            stopped.set()

    server = SandboxOpsgenie(host, port, on_alert=show, allow_remote=True)
    url = await server.start()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    click.echo(
        "This is a sandbox, not Opsgenie: nobody is alerted.\n"
        f"target.api of integrations:  {url}/v2/alerts\n"
        f"setting of the worker:       STREAM_APP_DELIVERY__SANDBOX_URL={url}\n"
        "Ctrl-C ends it.",
        err=True,
    )
    if not is_loopback(host):
        click.echo(
            f"Warning: {host} is not on loopback. Whoever reaches it can read all alerts, and "
            "workers send to a sandbox on loopback only.",
            err=True,
        )
    try:
        await stopped.wait()
    finally:
        await server.stop()


def describe(alert: AlertView) -> str:
    """Return an alert as text for a terminal; one that was open already takes one line."""
    alias = clean(alert.alias)
    if alert.requests > 1:
        return f"--- again, request {alert.requests} of the open alert {alias}"
    lines = [
        f"--- {iso_time(alert.created_at_ms)}  {alert.priority}  {alias}",
        clean(alert.message),
        "",
        clean_lines(alert.description),
    ]
    if alert.tags:
        lines += ["", "tags: " + ", ".join(clean(tag) for tag in alert.tags)]
    if alert.details:
        lines.append("")
        lines += [f"  {clean(name)}: {clean(text)}" for name, text in alert.details.items()]
    return "\n".join([*lines, ""])
