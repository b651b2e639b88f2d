"""`stream-app sandbox`: a sandbox Opsgenie that shows its alerts, and fails on demand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from stream_app.cli import LazyGroup
from stream_app.cli.output import print_json, print_lines, say, say_lines
from stream_app.domain.errors import InvalidObjectError, OutputError, UsageError
from stream_app.domain.foreign_text.network_names import is_loopback
from stream_app.domain.foreign_text.printable import quoted
from stream_app.opsgenie.sandbox.fault import Fault, parse_fault_text
from stream_app.opsgenie.sandbox.heartbeats import Heartbeat, parse_heartbeat
from stream_app.opsgenie.sandbox.server import PROCESSING_MS, SandboxOpsgenie
from stream_app.opsgenie.sandbox.state import AlertView, RequestView, iso_time
from stream_app.opsgenie.text import clean, clean_lines

DEFAULT_PORT = 8480
#: Command -> where it lives.
COMMANDS = {
    "fail": "stream_app.cli.sandbox.faults:fail",
    "faults": "stream_app.cli.sandbox.faults:faults",
    "heal": "stream_app.cli.sandbox.faults:heal",
}


def _reading(parse: Callable[[str], object]) -> Callable[..., list[object]]:
    """Return the callback that reads each text of an option."""

    def read(_ctx: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> list[object]:
        try:
            return [parse(text) for text in texts]
        except InvalidObjectError as error:
            raise UsageError(f"{option.opts[0]}: {error}") from None

    return read


def _usual_port() -> int:
    """Return the port where workers of this environment look for a sandbox."""
    with contextlib.suppress(ValueError):
        return urlsplit(os.environ.get("STREAM_APP_DELIVERY__SANDBOX_URL", "")).port or DEFAULT_PORT
    return DEFAULT_PORT


@click.group(
    cls=LazyGroup,
    commands=COMMANDS,
    invoke_without_command=True,
    epilog="Example: stream-app sandbox --fail status,status=503,requests=3 --json | jq .message",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=_usual_port,
    show_default=f"that of STREAM_APP_DELIVERY__SANDBOX_URL, or {DEFAULT_PORT}",
    help="Port to bind; 0: a free one.",
)
@click.option(
    "--fail",
    "faults",
    metavar="KIND[,NAME=VALUE]...",
    multiple=True,
    callback=_reading(parse_fault_text),
    help="Make requests fail from the start, as `sandbox fail` does: hang,requests=2,key_end=4444",
)
@click.option(
    "--heartbeat",
    "heartbeats",
    metavar="NAME",
    multiple=True,
    callback=_reading(lambda name: parse_heartbeat({"name": name})),
    help="Have a heartbeat of this name, which expires after 5 minutes without a ping.",
)
@click.option(
    "--processing-seconds",
    metavar="N",
    type=click.FloatRange(0, 3600),
    default=PROCESSING_MS / 1000,
    show_default=True,
    help="How long accepted requests stay unprocessed: a note or a close before that is lost.",
)
@click.option("--json", "as_json", is_flag=True, help="Print alerts as JSON Lines.")
@click.pass_context
def sandbox(
    ctx: click.Context,
    host: str,
    port: int,
    faults: list[Fault],
    heartbeats: list[Heartbeat],
    *,
    processing_seconds: float,
    as_json: bool,
) -> None:
    """Play Opsgenie until Ctrl-C and print each alert that arrives; nobody is alerted.

    GET /sandbox/alerts and /sandbox/requests show what has arrived, DELETE /sandbox clears it.
    GET /sandbox/heartbeats shows the heartbeats, and a POST of {"name": ..., "seconds": ...} there
    adds one. The commands below make requests to a running sandbox fail.
    """
    if ctx.invoked_subcommand is None:
        asyncio.run(_run(host, port, faults, heartbeats, processing_seconds, as_json=as_json))
        return
    for option in ctx.command.params:
        if ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE:
            raise UsageError(
                f"{option.opts[0]} before {quoted(ctx.invoked_subcommand)} is for starting a "
                "sandbox: name one that runs with --url, after the command"
            )


async def _run(
    host: str,
    port: int,
    faults: list[Fault],
    heartbeats: list[Heartbeat],
    processing_seconds: float,
    *,
    as_json: bool,
) -> None:
    stopped = asyncio.Event()
    failures: list[OutputError] = []

    def show(alert: AlertView) -> None:
        try:
            if as_json:
                print_json(alert_document(alert))
            else:
                print_lines(describe(alert))
        except BrokenPipeError:
            stopped.set()
        except OutputError as error:
            failures.append(error)
            stopped.set()

    server = SandboxOpsgenie(
        host,
        port,
        on_alert=show,
        on_request=_show_failed_request,
        allow_remote=True,
        processing_ms=round(processing_seconds * 1000),
    )
    for fault in faults:
        server.fail(fault)
    for heartbeat in heartbeats:
        server.add_heartbeat(heartbeat)
    url = await server.start()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    say_lines(
        "This is a sandbox, not Opsgenie: nobody is alerted.\n"
        f"target.api of integrations:  {url}/v2/alerts\n"
        f"setting of the worker:       STREAM_APP_DELIVERY__SANDBOX_URL={url}\n"
        f"to let requests fail:        stream-app sandbox fail KIND --url {url}\n"
        "Ctrl-C ends it."
    )
    if not is_loopback(host):
        say(
            f"Warning: {host} is not on loopback. Whoever reaches it can read all alerts, and "
            "workers send to a sandbox on loopback only."
        )
    try:
        await stopped.wait()
    finally:
        await server.stop()
    if failures:
        raise failures[0]


def _show_failed_request(request: RequestView) -> None:
    """Say on stderr that a request failed on demand."""
    if request.fault:
        answer = f"status {request.status}" if request.status else "no answer"
        say(
            f"--- {iso_time(request.received_at_ms)}  failed on demand: {request.fault}, {answer}  "
            f"{request.method} {request.path}  {clean(request.alias)}".rstrip()
        )


def alert_document(alert: AlertView) -> dict[str, object]:
    """Return an alert as commands print it in JSON; the sandbox itself has the service's names."""
    row = alert.as_json()
    entries = {
        name: [{"created_at": iso_time(one.at_ms), "text": one.text} for one in found]
        for name, found in (("notes", alert.notes), ("log", alert.log))
    }
    return row | {"created_at": row.pop("createdAt")} | entries


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
