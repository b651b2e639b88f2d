"""The command `stream-app`. Data goes to stdout; logs, progress and errors to stderr.

Exit codes: 0 done; 1 failed; 2 wrong usage, or `--yes` is missing; 3 invalid configuration;
4 Kafka unreachable, or it refuses; 5 an integration or a heartbeat is refused for good; 6 one
failed, but may work later; 130 interrupted.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, NoReturn

import click

from stream_app import __version__
from stream_app.cli.did_you_mean import commands_meant, hint
from stream_app.cli.output import (
    complain,
    drop_errors,
    open_output,
    say,
    show_traceback,
    show_usage_error,
    unwritable,
)
from stream_app.domain.errors import StreamAppError

#: Command -> its module and name. Modules are imported on demand, because Faust imports slowly.
COMMANDS = {
    "alerts": "stream_app.cli.alerts:alerts",
    "apply": "stream_app.cli.configuration.apply:apply",
    "cloud-ips": "stream_app.cli.operations.cloud_ips:cloud_ips",
    "completion": "stream_app.cli.operations.completion:completion",
    "delete": "stream_app.cli.configuration.delete:delete",
    "demo": "stream_app.cli.operations.demo:demo",
    "dlq": "stream_app.cli.dlq:dlq",
    "doctor": "stream_app.cli.operations.doctor:doctor",
    "get": "stream_app.cli.configuration.get:get",
    "heartbeat": "stream_app.cli.operations.heartbeat:heartbeat",
    "integrations": "stream_app.cli.integrations:integrations",
    "kafka": "stream_app.cli.operations.kafka:kafka",
    "replay": "stream_app.cli.replay.replay:replay",
    "sample": "stream_app.cli.operations.sample:sample",
    "sandbox": "stream_app.cli.sandbox.serve:sandbox",
    "secrets": "stream_app.cli.configuration.secrets:secrets",
    "state": "stream_app.cli.operations.state:state",
    "status": "stream_app.cli.operations.status:status",
    "topics": "stream_app.cli.operations.topics:topics",
    "triggers": "stream_app.cli.triggers:triggers",
    "validate": "stream_app.cli.validate:validate",
    "worker": "stream_app.cli.operations.worker:worker",
}

#: Variable by which a shell asks what it can offer at TAB.
COMPLETE_VARIABLE = "_STREAM_APP_COMPLETE"
#: Longer than any sentence.
MOST_HELP = 1000


class CommandGroup(click.Group):
    """A group whose help says in a whole sentence what each command does: click would cut it.

    For an unknown command it names those that may be meant.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name, or end with a usage error."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            name = args[0]
            if self.get_command(ctx, name) is None and not name.startswith("-"):
                meant = commands_meant(ctx.command_path.split(), name, self.list_commands(ctx))
                error.message += hint(f"`{command}`" for command in meant)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their sentences, wrapped where they are long."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [
            (name, command.get_short_help_str(limit=MOST_HELP))
            for name, command in found
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class LazyGroup(CommandGroup):
    """A group whose commands are imported on demand."""

    def __init__(self, *args: Any, commands: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = commands

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return all command names, sorted."""
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command."""
        if cmd_name not in self._places:
            return None
        module, _, name = self._places[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(
    cls=LazyGroup,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Examples: stream-app status; stream-app COMMAND --help; "
    'eval "$(stream-app completion bash)" makes TAB complete.',
)
@click.version_option(__version__, prog_name="stream-app")
def cli() -> None:
    """Turn a security cloud's events on Kafka into on-call alerts that never get lost."""


def main(args: list[str] | None = None) -> Any:
    """Run the command and leave the process with its exit code."""
    if os.getpid() == 1:
        # The kernel keeps the first process of a container from signals that it does not handle.
        signal.signal(signal.SIGTERM, _end)
    open_output()
    if COMPLETE_VARIABLE in os.environ:
        drop_errors()
    sys.excepthook = show_traceback
    try:
        # In standalone mode our errors would end in tracebacks. Here click returns the exit code of
        # a command that ends itself.
        code = cli.main(args=args, prog_name="stream-app", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        show_usage_error(error)
        sys.exit(error.exit_code)
    except StreamAppError as error:
        complain(error)
        sys.exit(error.exit_code)
    except OSError as error:
        # click writes help texts and the version by itself.
        if error.errno != errno.ENOSPC:
            raise
        failure = unwritable(error)
        complain(failure)
        sys.exit(failure.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort):
        say("stream-app: interrupted")
        sys.exit(130)
    finally:
        _report_unreadable_batches()


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _report_unreadable_batches() -> None:
    """Say on stderr which batches of records were skipped. A worker logs them instead."""
    notes = sys.modules.get("stream_app.kafka.records.unreadable_batches")
    if notes is None or notes.UNREADABLE_BATCHES.listeners:
        return
    for batch in notes.UNREADABLE_BATCHES.found.values():
        say(f"stream-app: passed over what cannot be read: {batch}")
