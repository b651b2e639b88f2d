"""Open dead letters are named by what they mean, with the commands that go on from there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

import click
import pytest

from stream_app.cli.dlq import dlq
from stream_app.cli.integrations import integrations
from stream_app.domain.dead_letters.dead_letter import DeadLetter, DeadLetterKind, Place
from stream_app.domain.dead_letters.dead_letter_index import DeadLetterIndex, Selection
from stream_app.domain.dead_letters.redrive_rules import NEXT_STEPS, WORTH_REDRIVING
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.reports.dead_letter_problems import (
    GROUPS_SHOWN,
    DeadLetterRow,
    dead_letter_problems,
    dead_letter_rows,
)
from stream_app.domain.reports.problems import Problem
from stream_app.domain.topics import Topic

NOW = 1_767_225_600_000
UNSENT = DeadLetterRow(Topic.DELIVERIES, "exhausted", 521, "On-call", 1, NOW)
UNUSED = DeadLetterRow(Topic.HITS, "unknown_client", None, None, 1200, NOW)
STATES = ("active", "off", "disabled", "invalid", None)


def one(row: DeadLetterRow, state: str | None = "active", *cut: Topic) -> Problem:
    states = {} if state is None else {521: state}
    (problem,) = dead_letter_problems([row], states, cut)
    return problem


def commands(problem: Problem) -> list[list[str]]:
    """Return the commands of a problem's steps, as a person copies them."""
    assert "; ".join(step.text for step in problem.steps if not step.is_command).count("dlq") == 0
    lines = [step.text for step in problem.steps if step.is_command]
    assert all(line.startswith("stream-app ") for line in lines)
    return [shlex.split(line)[1:] for line in lines]


def parsed(args: Sequence[str]) -> None:
    """Parse a command as it is called; a wrong one ends in a usage error."""
    group: click.Group = {"dlq": dlq, "integrations": integrations}[args[0]]
    command = group.get_command(click.Context(group), args[1])
    assert command is not None, args
    command.make_context(args[1], list(args[2:]))


def test_it_says_what_reached_nobody_and_what_could_not_be_used() -> None:
    end = "; the newest at 2026-01-01T00:00:00Z"
    assert one(UNSENT).what == f"1 alert did not reach integration 521 (On-call): exhausted{end}"
    gone = replace(UNSENT, integration_name=None, count=2)
    assert one(gone).what == f"2 alerts did not reach integration 521: exhausted{end}"
    what = f"1,200 events of events.hits could not be used: unknown_client{end}"
    assert one(UNUSED).what == what
    assert one(UNUSED, None, Topic.HITS).what == f"at least {what}"
    assert one(UNUSED, None, Topic.ALERTS).what == what
    assert one(replace(UNUSED, topic=Topic.ACCOUNT, count=1)).what.startswith("1 notice of ")
    assert one(replace(UNUSED, topic=Topic.ALERTS, count=1)).what.startswith("1 record of ")


@pytest.mark.parametrize("reason", list(DeadLetterReason))
@pytest.mark.parametrize("state", STATES)
def test_each_command_can_be_run_as_it_is_printed(reason: str, state: str | None) -> None:
    for row in (UNSENT, UNUSED, replace(UNSENT, integration_id=None)):
        for args in commands(one(replace(row, reason=reason), state)):
            parsed(args)


@pytest.mark.parametrize(
    ("state", "verbs"),
    [
        ("active", ["list", "redrive"]),
        ("off", ["list", "dismiss"]),
        ("disabled", ["list", "enable", "redrive", "dismiss"]),
        ("invalid", ["list", "redrive", "dismiss"]),
        (None, ["list", "redrive", "dismiss"]),
    ],
)
def test_the_way_on_follows_the_state_of_the_integration(
    state: str | None, verbs: list[str]
) -> None:
    assert [args[1] for args in commands(one(UNSENT, state))] == verbs


def test_what_no_redrive_helps_is_dismissed() -> None:
    for reason, step in NEXT_STEPS.items():
        assert (reason in WORTH_REDRIVING) == ("stream-app dlq redrive" in step), reason
    too_large = commands(one(replace(UNUSED, reason="too_large")))
    assert [args[1] for args in too_large] == ["list", "dismiss"]


def test_a_reason_that_nobody_knows_is_shown_and_selects_nothing() -> None:
    problem = one(replace(UNUSED, reason="\x1b[2J; rm"))
    assert problem.next_step == "stream-app dlq list events.hits"


def test_many_groups_are_summed_up() -> None:
    rows = [replace(UNSENT, integration_id=number, count=2) for number in range(GROUPS_SHOWN + 3)]
    *_, last = dead_letter_problems(rows, {})
    assert last == Problem("6 dead letters for 3 more reasons", "stream-app dlq list --summary")
    assert len(list(dead_letter_problems(rows[:GROUPS_SHOWN], {}))) == GROUPS_SHOWN


def test_dead_letters_are_grouped_by_topic_reason_and_integration() -> None:
    index = DeadLetterIndex(Selection())

    def add(topic: Topic, kind: DeadLetterKind, offset: int, reason: str, value: bytes) -> None:
        index.add_if_selected(
            DeadLetter(
                kind=kind,
                place=Place(f"p.{topic}.dlq", 0, offset),
                timestamp_ms=NOW + offset,
                key=None,
                value=value,
                headers=[],
                reason=reason,
                message="",
                attempt=1,
                original=Place(topic, 0, offset),
                original_ms=NOW,
            )
        )

    delivery = b'{"id":"a/521","integration_id":521}'
    add(Topic.DELIVERIES, DeadLetterKind.DELIVERY, 1, "exhausted", delivery)
    add(Topic.DELIVERIES, DeadLetterKind.DELIVERY, 2, "exhausted", delivery)
    add(Topic.DELIVERIES, DeadLetterKind.DELIVERY, 3, "undecodable", b"{")
    add(Topic.ALERTS, DeadLetterKind.ALERT, 4, "stale", b'{"id":"a","integration_ids":[521,522]}')
    add(Topic.HITS, DeadLetterKind.EVENT, 9, "undecodable", b"{")
    sources = {f"p.{topic}.dlq": topic for topic in (Topic.DELIVERIES, Topic.ALERTS, Topic.HITS)}
    rows = dead_letter_rows(index, sources, {521: "On-call"})
    assert [(r.topic, r.reason, r.integration_id, r.integration_name, r.count) for r in rows] == [
        (Topic.ALERTS, "stale", 521, "On-call", 1),
        (Topic.ALERTS, "stale", 522, None, 1),
        (Topic.DELIVERIES, "exhausted", 521, "On-call", 2),
        (Topic.HITS, "undecodable", None, None, 1),
        (Topic.DELIVERIES, "undecodable", None, None, 1),
    ]
