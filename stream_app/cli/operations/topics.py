"""`stream-app topics`: the topics of the contract."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict

import click

from stream_app.cli import CommandGroup
from stream_app.cli.output import print_json, print_table, say
from stream_app.domain.errors import TopicMismatchError
from stream_app.domain.reports.problems import other_prefixes_text
from stream_app.kafka.cluster.admin import list_topics
from stream_app.kafka.cluster.other_prefixes import other_prefixes
from stream_app.kafka.cluster.topic_check import MISSING, check_topics
from stream_app.kafka.cluster.topic_copies import check_copies
from stream_app.kafka.cluster.topic_creation import create_topics, equalize_pair
from stream_app.kafka.cluster.topics import TopicProblem, TopicSpec, topic_specs
from stream_app.settings import Settings, load_settings


@click.group(cls=CommandGroup, epilog="Example: stream-app topics create")
def topics() -> None:
    """Make, check and list the topics of the contract."""
    # Our own error says what aiokafka logs about an unreachable broker.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@topics.command(epilog="Example: stream-app topics create --dry-run")
@click.option("--dry-run", is_flag=True, help="Only say what would be made.")
@click.option("--json", "as_json", is_flag=True, help="Print each topic as JSON, one per line.")
def create(*, dry_run: bool, as_json: bool) -> None:
    """Make the topics that do not exist.

    `deliveries` and `delivery-results` must have equally many partitions: the one that has fewer
    is raised. Other topics that exist stay as they are.
    """
    settings = load_settings()
    made = asyncio.run(_create(settings, dry_run=dry_run))
    raised = asyncio.run(equalize_pair(settings, dry_run=dry_run))
    if as_json:
        for spec in [*made, *raised]:
            row = asdict(spec)
            print_json({"topic": row.pop("name"), **row})
    elif made or raised:
        would = "would be " * dry_run
        print_table(
            ("TOPIC", "PARTITIONS", "CLEANUP", "RESULT"),
            [
                (spec.name, spec.partitions, spec.config["cleanup.policy"], f"{would}{result}")
                for specs, result in ((made, "made"), (raised, "raised"))
                for spec in specs
            ],
        )
    else:
        say("all topics exist")


async def _create(settings: Settings, *, dry_run: bool) -> list[TopicSpec]:
    """Make the missing topics; if all are missing, say first which installations there are."""
    missing = await create_topics(settings, dry_run=True)
    if len(missing) == len(topic_specs(settings)):
        own = settings.topic_prefix or "(none)"
        await _say_other_prefixes(settings, f"these are the first with the prefix {own}")
    return missing if dry_run else await create_topics(settings)


async def _say_other_prefixes(settings: Settings, own: str) -> None:
    """Say which other installations there are, if any, and how this one is."""
    if others := await other_prefixes(settings):
        say(f"{own}; {other_prefixes_text(others)}")


@topics.command(epilog="Example: stream-app topics check")
@click.option("--json", "as_json", is_flag=True, help="Print each problem as JSON, one per line.")
def check(*, as_json: bool) -> None:
    """Compare the topics with the contract, copies included; exit code 3 if they differ."""
    settings = load_settings()
    problems = asyncio.run(_check(settings))
    missing = sum(problem.problem == MISSING for problem in problems)
    if missing == len(topic_specs(settings)):
        asyncio.run(_say_other_prefixes(settings, "none of the topics is there"))
    if as_json:
        for problem in problems:
            print_json(asdict(problem))
    elif problems:
        print_table(
            ("TOPIC", "PROBLEM", "REMEDY"), [(p.topic, p.problem, p.remedy) for p in problems]
        )
    else:
        say("all topics are as they must be")
    if problems:
        raise click.exceptions.Exit(TopicMismatchError.exit_code)


async def _check(settings: Settings) -> list[TopicProblem]:
    return [*await check_topics(settings), *await check_copies(settings)]


@topics.command("list", epilog="Example: stream-app topics list --json")
@click.option("--json", "as_json", is_flag=True, help="Print each as JSON, one per line.")
def list_(*, as_json: bool) -> None:
    """List the topics, their keys and partitions."""
    settings = load_settings()
    found = asyncio.run(list_topics(settings))
    if not any(view.partitions for view in found):
        asyncio.run(_say_other_prefixes(settings, "none of the topics is there"))
    if as_json:
        for view in found:
            print_json(asdict(view))
        return
    print_table(
        ("TOPIC", "KEY", "PARTITIONS"),
        [(view.topic, view.key, view.partitions or "missing") for view in found],
    )
