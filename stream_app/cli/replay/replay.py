"""`stream-app replay`: which alerts recorded events give."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from stream_app.cli import CommandGroup
from stream_app.cli.completing import id_option, offer
from stream_app.cli.output import say
from stream_app.cli.parameters import files_option, formerly, start_command, time_options
from stream_app.cli.replay.copy_events import copy_events
from stream_app.cli.replay.report import show_alerts, show_comparison, show_figures, show_pages
from stream_app.cli.replay.run import ReplayRun
from stream_app.cli.replay.selection import REPLAYED_TOPICS, STDIN, range_of, topics_of
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.errors import UsageError
from stream_app.domain.replay.comparison import is_as_before

#: Most triggers that a line names.
_NAMED = 10


class _Replay(CommandGroup):
    """A command whose arguments are topics, unless the first one names a command below it."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **more: Any,
    ) -> click.Context:
        """Return the context of the command that is meant."""
        if args and (command := self.commands.get(args[0])) is not None:
            return command.make_context(f"{info_name} {args[0]}", args[1:], parent, **more)
        return super().make_context(info_name, args, parent, **more)


@click.group(
    cls=_Replay,
    invoke_without_command=True,
    no_args_is_help=False,
    subcommand_metavar="",
    context_settings={"allow_interspersed_args": True},
    epilog="Example: stream-app replay events.hits --from 2h --compare   "
    "or: kcat -C -b HOST:PORT -t events.hits -e -J | stream-app replay - -f acme.yaml",
)
@click.argument(
    "topics", metavar="TOPIC...", nargs=-1, required=True, shell_complete=offer(*REPLAYED_TOPICS)
)
@time_options("Only what was recorded", takes_offsets=True)
@files_option("Use this file's clients, triggers and integrations; of each kind in it, no others.")
@formerly("--config", "--file", "files", multiple=True)
@id_option(Kind.TRIGGER, "Only this trigger's alerts.")
@id_option(Kind.CLIENT, "Only this client's alerts.")
@click.option(
    "--compare",
    "is_compared",
    is_flag=True,
    help="Compare them with the topic `alerts`; exit code 1 if other windows fire.",
)
@click.option(
    "--compare-prefix",
    metavar="PREFIX",
    help="Compare them with the alerts of the installation with this topic prefix.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each alert as it stands on the topic.")
def replay(
    topics: tuple[str, ...],
    *,
    start: str | None,
    end: str | None,
    files: tuple[str, ...],
    trigger_id: int | None,
    client_id: int | None,
    is_compared: bool,
    compare_prefix: str | None,
    as_json: bool,
) -> None:
    """Show the alerts that recorded events give.

    Today's rules and configuration apply.

    TOPIC is events.attacks, events.hits, events.incidents or events.account, or `-` for the lines
    of `kcat -J` on stdin. Nothing is sent and no offset is committed. With the configuration and
    the partitions of the live run the alerts are the same, byte for byte.

    The range selects records by their timestamps. A window that it cuts counts only events within
    it. Events that were late in the live run may count, since earlier ones are not read.

    --compare says of each trigger how many of its windows fire as before, no longer, or are new,
    and shows those that differ with their counts then and now. With -f it judges a changed trigger
    before it is applied: only the triggers of the file are compared. A window that was read in
    part is not judged.
    """
    settings = start_command()
    against = settings.topic_prefix if is_compared else None
    if compare_prefix is not None:
        against = compare_prefix
    run = ReplayRun(settings, trigger_id, client_id, against)
    if STDIN not in topics:
        named = topics_of(settings, topics)
        asyncio.run(run.from_topics(named, range_of(start, end), files))
    elif len(topics) > 1 or start is not None or end is not None:
        raise UsageError("- stands alone: neither topics nor --from nor --to go with it")
    else:
        run.from_lines(files)
    figures = {topic: engine.figures for topic, engine in run.engines.items()}
    show_figures(figures, run.records, run.seconds)
    if run.compared is None:
        rows = list(run.alerts())
        show_alerts(rows, as_json=as_json)
        show_pages((alert for alert, _ in rows), run.integrations)
        return
    show_comparison(run.compared, run.recorded.unreadable, as_json=as_json)
    show_pages((alert for alert, _ in run.alerts()), run.integrations)
    if run.left_out:
        names = ", ".join(map(str, sorted(run.left_out)[:_NAMED]))
        more = ", …" if len(run.left_out) > _NAMED else ""
        say(
            f"left out: {run.left_out.total():,} alerts of triggers that the files do not hold "
            f"({names}{more})"
        )
    if not is_as_before(run.compared):
        raise click.exceptions.Exit(1)


replay.add_command(copy_events)
