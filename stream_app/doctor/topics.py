"""Checks of the topics, the state that is kept for them, and the workers that read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stream_app.doctor.check import Finding, fail, ok, warn
from stream_app.domain.reports.overview import LAG_LIMIT, UNREADABLE_STEP
from stream_app.kafka.cluster.admin import Admin, partition_counts
from stream_app.kafka.cluster.consumers import offset_bounds
from stream_app.kafka.cluster.groups import read_role_groups
from stream_app.kafka.cluster.topic_check import check_topics
from stream_app.kafka.cluster.topics import DEAD_LETTER_SOURCES, VIEW_TOPICS, TopicNames
from stream_app.kafka.history.newest_records import read_newest
from stream_app.kafka.history.open_transactions import long_open
from stream_app.kafka.records.unreadable_batches import UNREADABLE_BATCHES
from stream_app.kafka.state.state_problems import state_problems
from stream_app.settings import Settings

#: Most records of configuration and dead letters that are read, which takes some seconds.
MOST_RECORDS = 20_000


async def topics(settings: Settings) -> Sequence[Finding]:
    """Compare the topics with the contract: that they exist, partitions, clean-up, timestamps."""
    alike: dict[tuple[str, str], list[str]] = {}
    for problem in await check_topics(settings):
        alike.setdefault((problem.problem, problem.remedy), []).append(problem.topic)
    findings = [
        fail("topics", f"{', '.join(names)}: {what}", remedy)
        for (what, remedy), names in alike.items()
    ]
    return findings or [ok("topics", "all are there, and as they must be")]


async def state(settings: Settings) -> Sequence[Finding]:
    """Check whether the state that is kept for each topic exists and fits the topic."""
    found, problems = await state_problems(settings)
    if not found and not problems:
        return [warn("state", "none yet: no worker has run here", "stream-app worker detector")]
    return [
        fail("state", one.problem, f"stop its workers; stream-app state reset {one.role} --yes")
        for one in problems
    ] or [ok("state", f"{found} changelogs fit their topics")]


async def records(settings: Settings) -> Sequence[Finding]:
    """Check whether the newest batches of configuration and dead letters can be read."""
    names = TopicNames(settings.topic_prefix)
    wanted = [*map(names, VIEW_TOPICS), *map(names.dead_letters, DEAD_LETTER_SOURCES)]
    present = await _existing(settings, wanted)
    reach = await read_newest(settings, present, lambda _: None, most=MOST_RECORDS)
    broken = [str(batch) for batch in UNREADABLE_BATCHES.found.values()]
    return [fail("records", f"cannot be read: {where}", UNREADABLE_STEP) for where in broken] or [
        ok("records", f"configuration and dead letters can be read: {reach.records:,} looked at")
    ]


async def transactions(settings: Settings) -> Sequence[Finding]:
    """Check whether a transaction that nobody ends hides records from workers."""
    names = TopicNames(settings.topic_prefix)
    found = await long_open(settings, await _existing(settings, names.read_by_workers()))
    return [fail("transactions", str(row), row.step) for row in found] or [
        ok("transactions", "none has been open for long")
    ]


async def groups(settings: Settings) -> Sequence[Finding]:
    """Check whether both roles have workers, and how far behind these are."""
    sources = TopicNames(settings.topic_prefix).role_sources()
    wanted = [topic for topics in sources.values() for topic in topics]
    present = await _existing(settings, wanted)
    starts, ends = await offset_bounds(settings, present)
    findings = []
    for role, group in (await read_role_groups(settings, sources)).items():
        lag = sum(group.lag(topic, ends, starts) for topic in sources[role])
        text = f"{role}: {len(group.members)} workers, {lag:,} records behind"
        if not group.members:
            findings.append(warn("workers", text, f"stream-app worker {role}"))
        elif lag > LAG_LIMIT:
            findings.append(warn("workers", text, "stream-app status shows which topic"))
        else:
            findings.append(ok("workers", text))
    return findings


async def _existing(settings: Settings, topics: Iterable[str]) -> list[str]:
    """Return those of the topics that exist."""
    topics = list(topics)
    async with Admin(settings) as client:
        counts = await partition_counts(client, topics)
    return [topic for topic in topics if topic in counts]
