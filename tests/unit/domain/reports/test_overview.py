"""The overview finds what needs a person, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream_app.domain.reports.dead_letter_problems import DeadLetterRow
from stream_app.domain.reports.failed_runs import FailedRun
from stream_app.domain.reports.overview import (
    CLOSE_LIMIT_MS,
    LAG_LIMIT,
    PENDING_LIMIT_MS,
    Overview,
)
from stream_app.domain.reports.overview_rows import (
    IntegrationRow,
    LagRow,
    LostRecordsRow,
    StuckPartitionRow,
    TopicRow,
    TriggerRow,
    WorkerRow,
)
from stream_app.domain.reports.problems import Problem
from stream_app.domain.topics import Topic

NOW = 1_767_225_600_000
WELL = IntegrationRow(521, 1, "On-call", "active", None, 100, 59, 3, NOW - 1000)
FAILING = FailedRun(7, 3, NOW, "unauthorized", 3)
LETTERS = DeadLetterRow(Topic.HITS, "too_large", None, None, 2, NOW)
TRIGGER = TriggerRow(61, 1, "Incidents", True, True, "", None, 0, None)
FINE = Overview(
    now_ms=NOW,
    topics=[TopicRow("alerts", 8), TopicRow("counts", 8)],
    workers=[WorkerRow(role, "host", "m", {}) for role in ("detector", "notifier")],
    lags=[LagRow("g", "detector", "events.hits", LAG_LIMIT)],
    integrations=[WELL],
    triggers=[TRIGGER],
    roles=("detector", "notifier"),
)


def test_a_healthy_installation_has_no_problems() -> None:
    assert FINE.problems(17) == []
    closing = replace(WELL, closes_waiting=2, closes_due_ms=NOW - CLOSE_LIMIT_MS)
    assert replace(FINE, integrations=[closing]).problems(17) == []


@pytest.mark.parametrize(
    ("next_step", "lines"),
    [
        ("stream-app topics create", ["$ stream-app topics create"]),
        ("wait: a detector restores its state", ["wait: a detector restores its state"]),
        (
            "stream-app integrations test 5; then: stream-app integrations enable 5",
            ["$ stream-app integrations test 5", "$ stream-app integrations enable 5"],
        ),
        (
            "stop every detector, then: stream-app state reset detector --yes",
            ["stop every detector, then:", "$ stream-app state reset detector --yes"],
        ),
        (
            "look at its log; start more of them: stream-app worker detector",
            ["look at its log", "start more of them:", "$ stream-app worker detector"],
        ),
        (
            "is STREAM_APP_TOPIC_PREFIX right? Then: stream-app topics create",
            ["is STREAM_APP_TOPIC_PREFIX right? Then:", "$ stream-app topics create"],
        ),
        (
            "if that is meant: export STREAM_APP_TOPIC_PREFIX=; if not: stream-app topics create",
            [
                "if that is meant:", "$ export STREAM_APP_TOPIC_PREFIX=",
                "if not:", "$ stream-app topics create",
            ],
        ),
        (
            "stop the workers; kafka-topics --bootstrap-server a:1 --delete --topic x",
            ["stop the workers", "$ kafka-topics --bootstrap-server a:1 --delete --topic x"],
        ),
        (
            "if the producer is gone: kafka-transactions.sh --bootstrap-server a:1 abort",
            ["if the producer is gone:", "$ kafka-transactions.sh --bootstrap-server a:1 abort"],
        ),
    ],
)  # fmt: skip
def test_commands_stand_apart_from_sentences(next_step: str, lines: list[str]) -> None:
    steps = Problem("x", next_step).steps
    assert [("$ " if step.is_command else "") + step.text for step in steps] == lines


def test_only_the_first_of_many_unusable_records_are_listed() -> None:
    problems = replace(FINE, refused=[f"record {n}" for n in range(1_020)]).problems(17)
    assert len(problems) == 21
    assert problems[0].what == "cannot be used: record 0"
    assert problems[-1].what == "1,000 more records cannot be used"
    assert len(replace(FINE, refused=["x"] * 20).problems(17)) == 20


def test_an_object_without_a_name_is_called_by_its_id() -> None:
    found = replace(
        FINE,
        integrations=[replace(WELL, name=None, state="invalid", detail="name: is missing")],
        triggers=[replace(TRIGGER, name=None, problem="name: is missing")],
    )
    assert [problem.what for problem in found.problems(17)] == [
        "integration 521 cannot be used: name: is missing",
        "trigger 61 cannot be used: name: is missing",
    ]


def test_nobody_is_told_to_restart_a_worker_that_restores() -> None:
    """It would begin again, and a further worker makes all of them begin again."""
    found = replace(
        FINE,
        workers=[replace(row, restoring="restoring: 1 of 2") for row in FINE.workers],
        lags=[LagRow("g", "detector", "events.hits", LAG_LIMIT + 1)],
        stuck_partitions=[StuckPartitionRow("notifier", "alerts", 1, 17, NOW - 90_000)],
    )
    problems = found.problems(17)
    assert problems[0].what == "the detector at host does nothing yet: restoring: 1 of 2"
    assert [
        problem.next_step.removesuffix(" restores its state (see WORKER)") for problem in problems
    ] == [
        "wait: a detector",
        "wait: a notifier",
        "wait: a notifier",
        "wait: a detector",
    ]


def test_without_topics_nothing_is_told_but_that_and_the_prefixes_that_have_some() -> None:
    found = replace(FINE, topics=[TopicRow("a", 0), TopicRow("b", 0)], workers=[])
    (problem,) = found.problems(17)
    assert problem.what == "none of the 2 topics is there, a for example"
    assert "stream-app topics create" in problem.next_step
    (problem,) = replace(found, prefixes=["prod."]).problems(17)
    assert problem.what.endswith("; the cluster has topics with another prefix: prod.")
    assert "export STREAM_APP_TOPIC_PREFIX=prod.;" in problem.next_step
    many = ["", *(f"p{number}." for number in range(9))]
    (problem,) = replace(found, prefixes=many).problems(17)
    assert problem.what.endswith("with other prefixes: (none), p0., p1., p2., p3. and 5 more")
    assert "export STREAM_APP_TOPIC_PREFIX=; if none is" in problem.next_step


@pytest.mark.parametrize(
    ("broken", "what", "step"),
    [
        (
            replace(FINE, topics=[*FINE.topics, TopicRow("a", 0), TopicRow("b", 0)]),
            "missing topics: a, b",
            "topics create",
        ),
        (
            replace(
                FINE,
                topic_problems=[Problem("counts was made anew: …", "state reset detector --yes")],
            ),
            "counts was made anew",
            "state reset detector --yes",
        ),
        (
            replace(FINE, unreadable=["p.config.triggers partition 0, offset 3: X: y"]),
            "cannot be read: p.config.triggers partition 0, offset 3",
            "apply its objects again",
        ),
        (
            replace(FINE, unreadable=["p.stream-app-notifier-deliveries-changelog partition 0"]),
            "cannot be read: p.stream-app-notifier-deliveries-changelog",
            "stop every notifier, then: stream-app state reset notifier --yes",
        ),
        (
            replace(FINE, lost_records=[LostRecordsRow("detector", "events.hits", 1200)]),
            "1,200 records of events.hits were removed before the detector has read them",
            "retention.ms",
        ),
        (
            replace(
                FINE,
                stuck_partitions=[
                    StuckPartitionRow("detector", "events.hits", 3, 120, NOW - 90_000)
                ],
            ),
            "events.hits partition 3 stands still at offset 120: its next record waits",
            "readyz?verbose of each detector",
        ),
        (
            replace(FINE, open_transactions=[Problem("a transaction is open", "abort it")]),
            "a transaction is open",
            "abort it",
        ),
        (replace(FINE, workers=FINE.workers[:1]), "no notifier is running", "worker notifier"),
        (
            replace(FINE, lags=[LagRow("g", "detector", "events.hits", LAG_LIMIT + 1)]),
            "10,001 records of events.hits behind",
            "worker detector",
        ),
        (
            replace(FINE, integrations=[replace(WELL, state="invalid", detail="name: missing")]),
            "integration 521 (On-call) cannot be used: name: missing",
            "apply",
        ),
        (
            replace(FINE, integrations=[replace(WELL, state="disabled", detail="failed_share")]),
            "disabled by the system",
            "integrations enable 521",
        ),
        (
            replace(FINE, integrations=[replace(WELL, failed=60)]),
            "60 of 100 requests of the last 12 h failed",
            "integrations test 521",
        ),
        (
            replace(FINE, integrations=[replace(WELL, failed=3, requests=3, failing=FAILING)]),
            "its newest 3 requests have all failed, since 2026-01-01T00:00:00Z: unauthorized",
            "integrations test 521",
        ),
        (
            replace(
                FINE, dead_letters=[DeadLetterRow(Topic.HITS, "too_large", None, None, 2, NOW)]
            ),
            "2 events of events.hits could not be used: too_large; the newest at 2026-01-01T00:00",
            "stream-app dlq list events.hits --reason too_large; ",
        ),
        (
            replace(FINE, integrations=[replace(WELL, oldest_ms=NOW - PENDING_LIMIT_MS - 1)]),
            "3 deliveries wait, the oldest since 2025-12-31T22:17:43Z",
            "alerts list --integration 521 --state pending",
        ),
        (
            replace(
                FINE,
                integrations=[
                    replace(WELL, closes_waiting=2, closes_due_ms=NOW - CLOSE_LIMIT_MS - 1)
                ],
            ),
            "2 alerts are over and cannot be closed, the first since 2025-12-31T23:57:59Z",
            "the line closes_wait in the log of a notifier",
        ),
        (
            replace(FINE, triggers=[replace(TRIGGER, problem="threshold: missing")]),
            "trigger 61 (Incidents) cannot be used: threshold: missing",
            "apply",
        ),
    ],
)
def test_each_problem_is_named_with_its_next_step(broken: Overview, what: str, step: str) -> None:
    (problem,) = broken.problems(17)
    assert what in problem.what
    assert step in problem.next_step


def test_a_few_requests_say_nothing_of_an_integration() -> None:
    row = replace(WELL, requests=16, failed=16)
    assert row.share == 100
    assert replace(FINE, integrations=[row]).problems(17) == []
    assert replace(WELL, requests=0, failed=0).share is None
