"""`stream-app status`: the state of the whole installation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from stream_app.cli.output import (
    Styled,
    print_json,
    print_line,
    print_table,
    print_text,
    say,
    terminal_width,
)
from stream_app.cli.parameters import start_command
from stream_app.cli.progress import ProgressLine
from stream_app.cli.tables import wrapped
from stream_app.domain.foreign_text.printable import printable
from stream_app.domain.times import iso_utc
from stream_app.kafka.overview.installation import read_overview
from stream_app.kafka.overview.integration_rows import MOST
from stream_app.kafka.overview.open_dead_letters import MOST_DEAD_LETTERS

if TYPE_CHECKING:
    from stream_app.domain.pulse.note import PulseNote
    from stream_app.domain.reports.overview import Overview
    from stream_app.domain.reports.overview_rows import IntegrationRow
    from stream_app.domain.reports.problems import Problem

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@click.command(epilog="Examples: stream-app status; stream-app status --json --fail-on-problems")
@click.option("--json", "as_json", is_flag=True, help="Print it as one JSON document.")
@click.option("--fail-on-problems", is_flag=True, help="End with 1 when something needs attention.")
def status(*, as_json: bool, fail_on_problems: bool) -> None:
    """Show what needs attention, then topics, lag, workers, integrations and triggers.

    It ends with 0 whatever it finds, as `git status` does; --fail-on-problems is for scripts.
    Dead letters need attention until they are redriven or dismissed, or their topic removes them
    (`stream-app dlq --help`).

    RECORDS comes from offsets: a compacted topic, or one with transactions, holds at most that
    many. LAG is counted up to the first open transaction. FAILED is the share of requests that
    failed in the last 12 hours, since the integration was enabled, and PENDING the deliveries that
    wait, both from the notifier's state on Kafka. FIRED is counted in `alerts`. A WORKER that is
    restoring its state shows its progress in the group's offsets. The command joins no group and
    writes nothing.
    """
    settings = start_command()
    found = asyncio.run(read_overview(settings, _watched))
    problems = found.problems(settings.judge.min_requests)
    if as_json:
        print_json(_document(found, problems))
    else:
        _print(found, problems)
    for what, cut_ms in (
        ("pending deliveries and failed shares", found.deliveries_cut_ms),
        ("fired triggers", found.alerts_cut_ms),
    ):
        if cut_ms is not None:
            say(f"{what}: looked back to {iso_utc(cut_ms)} only (the newest {MOST:,} records)")
    if found.dead_letters_cut_ms is not None:
        say(
            f"dead letters: looked back to {iso_utc(found.dead_letters_cut_ms)} only (the newest "
            f"{MOST_DEAD_LETTERS:,} records)"
        )
    if problems and fail_on_problems:
        raise click.exceptions.Exit(1)


@contextlib.contextmanager
def _watched(what: str) -> Iterator[Callable[[int, int], None]]:
    with ProgressLine(what=what) as progress:
        yield progress.report


def _document(found: Overview, problems: Sequence[Problem]) -> dict[str, Any]:
    """Return the overview in JSON's types; times are ISO-8601."""
    return {
        "read_at": iso_utc(found.now_ms),
        "needs_attention": [asdict(problem) for problem in problems],
        "topics": [_dated(asdict(row)) for row in found.topics],
        "workers": [asdict(row) for row in found.workers],
        "lag": [asdict(row) for row in found.lags],
        "pulse": found.pulse and _pulse(found.pulse),
        "integrations": [_integration(row) for row in found.integrations],
        "operator_integration": found.operator_integration,
        "dead_letters": [_dated(asdict(row)) for row in found.dead_letters],
        "triggers": [_dated(asdict(row)) for row in found.triggers],
        "looked_back_to": {
            "deliveries_at": _when(found.deliveries_cut_ms),
            "alerts_at": _when(found.alerts_cut_ms),
            "dead_letters_at": _when(found.dead_letters_cut_ms),
        },
    }


def _pulse(note: PulseNote) -> dict[str, Any]:
    return {
        "worker": note.worker,
        "noted_at": iso_utc(note.noted_at_ms),
        "pinged_at": _when(note.pinged_at_ms or None),
        "stops": [{"reason": stop.reason, "detail": stop.why} for stop in note.stops],
    }


def _integration(row: IntegrationRow) -> dict[str, Any]:
    shown = _dated(asdict(row)) | {"failed_percent": row.share}
    del shown["gets_system"]  # a problem says what follows from it
    if row.failing is not None:
        shown["failing"] = {
            "requests": row.failing.requests,
            "since_at": iso_utc(row.failing.since_ms),
            "reason": row.failing.reason,
        }
    return shown


def _dated(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its times as ISO-8601: `…_ms` becomes `…_at`."""
    return {
        f"{name.removesuffix('_ms')}_at" if name.endswith("_ms") else name: (
            _when(value) if name.endswith("_ms") else value
        )
        for name, value in row.items()
    }


def _when(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else iso_utc(moment_ms)


def _print(found: Overview, problems: Sequence[Problem]) -> None:
    if problems:
        _print_problems(problems)
    else:
        print_line("nothing needs attention")
    print_line()
    print_table(
        ("TOPIC", "PARTITIONS", "RECORDS", "NEWEST"),
        [
            (row.topic, row.partitions or "missing", f"{row.records:,}", _ago(found, row.newest_ms))
            for row in found.topics
        ],
    )
    print_line()
    print_table(("GROUP", "TOPIC", "LAG"), [(r.group, r.topic, f"{r.lag:,}") for r in found.lags])
    print_line()
    print_table(
        ("WORKER", "HOST", "MEMBER", "PARTITIONS", "STATE"),
        [
            (
                row.role, row.host, row.member_id, sum(row.partitions.values()),
                row.restoring or "",
            )
            for row in found.workers
        ],
    )  # fmt: skip
    print_line()
    if (pulse := found.pulse) is not None:
        pinged = _ago(found, pulse.pinged_at_ms or None)
        print_table(
            ("PULSE", "LAST PING", "STATE"),
            [(pulse.worker, pinged, "; ".join(map(str, pulse.stops)))],
        )
        print_line()
    _print_objects(found)


def _print_problems(problems: Sequence[Problem]) -> None:
    """Print each problem with its next steps, so that a command can be copied as it stands."""
    print_line(Styled("NEEDS ATTENTION", bold=True))
    width = terminal_width()
    for problem in problems:
        print_text(problem.what)
        for step in problem.steps:
            if step.is_command:
                print_line("      ", step.text)
                continue
            text = printable(step.text)
            for line in [text] if width is None else wrapped(text, max(width - 4, 1)):
                print_line("    ", line)


def _print_objects(found: Overview) -> None:
    print_table(
        ("INTEGRATION", "CLIENT", "NAME", "STATE", "FAILED", "PENDING", "OLDEST"),
        [
            (
                row.id, row.client_id, row.name, row.state,
                "" if row.share is None else f"{row.share} % of {row.requests}",
                row.pending, _ago(found, row.oldest_ms),
            )
            for row in found.integrations
        ],
    )  # fmt: skip
    print_line()
    print_table(
        ("TRIGGER", "CLIENT", "NAME", "ENABLED", "FIRED", "LAST", "NOTES"),
        [
            (
                row.id, row.client_id, row.name, "yes" if row.enabled else "no",
                row.fired, _ago(found, row.last_fired_ms), row.notes,
            )
            for row in found.triggers
        ],
    )  # fmt: skip


def _ago(found: Overview, moment_ms: int | None) -> str:
    """Return how long ago something was, in its largest unit."""
    if moment_ms is None:
        return ""
    seconds = max(0, found.now_ms - moment_ms) // 1000
    size, unit = next((row for row in _UNITS if seconds >= row[0]), _UNITS[-1])
    return f"{seconds // size} {unit} ago"
