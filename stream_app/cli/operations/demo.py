"""`stream-app demo`: everything at once on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from functools import partial

import click

from stream_app.cli.output import (
    Styled,
    drop_output,
    is_terminal,
    print_json,
    print_line,
    print_lines,
    print_rule,
    say_lines,
)
from stream_app.cli.parameters import PositiveNumber
from stream_app.cli.sandbox.serve import alert_document, describe
from stream_app.demo.run import Demo
from stream_app.domain.errors import OutputError
from stream_app.logs import CHATTY, configure_logs
from stream_app.opsgenie.sandbox.state import AlertView, iso_time
from stream_app.opsgenie.text import clean, clean_lines
from stream_app.settings import load_settings

DEFAULT_RATE = 50.0

#: Shows an alert that has arrived.
View = Callable[[AlertView], None]


@click.command(epilog="Example: stream-app demo --seconds 60 --json | jq .message")
@click.option(
    "--seconds",
    type=PositiveNumber(),
    help="Stop this long after everything is ready.",
)
@click.option(
    "--rate",
    metavar="EVENTS_PER_SECOND",
    type=PositiveNumber(),
    default=DEFAULT_RATE,
    show_default=True,
    help="How many sample events per second.",
)
@click.option("--seed", type=int, help="Makes the same events again, except for their times.")
@click.option("--json", "as_json", is_flag=True, help="Print alerts as JSON Lines.")
def demo(seconds: float | None, rate: float, seed: int | None, *, as_json: bool) -> None:
    """Start Kafka, both workers and a sandbox Opsgenie, and show each alert that arrives.

    The embedded Kafka is used unless STREAM_APP_KAFKA__BOOTSTRAP_SERVERS is set. All topics
    have the prefix `demo.` unless STREAM_APP_TOPIC_PREFIX is set. Ctrl-C and SIGTERM end it with
    exit code 0; when a part ends by itself, the exit code says so.
    """
    settings = load_settings()
    configure_logs(settings.log.model_copy(update={"level": "warning"}))
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    start = partial(Demo, settings, say=say_lines, rate=rate, seed=seed, seconds=seconds)
    asyncio.run(_run(lambda show: start(on_alert=show), _view(as_json=as_json)))


def _view(*, as_json: bool) -> View:
    """Return the function that shows an alert on stdout."""
    if as_json:
        return lambda alert: print_json(alert_document(alert))
    if is_terminal():
        return show_on_terminal
    return lambda alert: print_lines(describe(alert))


def show_on_terminal(alert: AlertView) -> None:
    """Print an alert below a rule. A frame would break its link in two."""
    print_rule()
    print_line(Styled(clean(alert.message), bold=True))
    print_line()
    print_lines(clean_lines(alert.description))
    arrived = f"{iso_time(alert.created_at_ms)}  {alert.priority}  {clean(alert.alias)}"
    print_line(Styled(arrived, dim=True))
    print_line()


async def _run(create: Callable[[View], Demo], view: View) -> None:
    """Run the demo until it ends or a signal comes."""
    failures: list[OutputError] = []

    def show(alert: AlertView) -> None:
        try:
            view(alert)
        except OutputError as error:
            failures.append(error)
            running.cancel()
        except OSError:
            # The reader has closed the pipe, or the terminal was closed.
            drop_output()
            running.cancel()

    running = asyncio.create_task(create(show).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
    if failures:
        raise failures[0]
