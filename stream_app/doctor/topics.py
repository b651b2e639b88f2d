"""Checks of the topics, the state that is kept for them, and the workers that read them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from stream_app.doctor.check import CheckStatus, Finding, NoTopicsFinding, fail, ok, warn
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.errors import KafkaRefusedError
from stream_app.domain.reports.dead_letter_problems import dead_letter_problems, dead_letter_rows
from stream_app.domain.reports.integration_state import integration_row
from stream_app.domain.reports.overview import LAG_LIMIT, UNREADABLE_STEP
from stream_app.domain.reports.problems import amount, no_topics_problem, restoring_problem
from stream_app.kafka.cluster.admin import Admin, partition_counts
from stream_app.kafka.cluster.consumers import offset_bounds
from stream_app.kafka.cluster.groups import read_role_groups
from stream_app.kafka.cluster.other_prefixes import other_prefixes
from stream_app.kafka.cluster.topic_check import check_topics
from stream_app.kafka.cluster.topics import VIEW_TOPICS, TopicNames, topic_specs
from stream_app.kafka.configuration.records import read_statuses, read_stored
from stream_app.kafka.dead_letters.reading import sources_of
from stream_app.kafka.history.newest_records import read_newest
from stream_app.kafka.history.open_transactions import long_open
from stream_app.kafka.overview.open_dead_letters import read_open_dead_letters
from stream_app.kafka.records.unreadable_batches import UNREADABLE_BATCHES
from stream_app.kafka.state.state_problems import state_problems
from stream_app.notifier.closing.positions import read_positions, way_to_close
from stream_app.settings import Settings

#: Most records of the configuration that are read, which takes some seconds.
MOST_RECORDS = 20_000
#: Role -> what does not happen without it.
_WITHOUT: Mapping[str, str] = {
    "detector": "no event is counted",
    "notifier": "no alert is sent",
}


async def topics(settings: Settings) -> Sequence[Finding]:
    """Compare the topics with the contract: that they exist, partitions, clean-up, timestamps."""
    specs = [spec.name for spec in topic_specs(settings)]
    if not await _existing(settings, specs):
        none = no_topics_problem(specs, await other_prefixes(settings))
        return [NoTopicsFinding("topics", CheckStatus.FAIL, none.what, none.next_step)]
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
    return [fail("state", one.problem, one.remedy) for one in problems] or [
        ok("state", f"{amount(found, 'changelog fits its topic', 'changelogs fit their topics')}")
    ]


async def records(settings: Settings) -> Sequence[Finding]:
    """Check whether the newest batches of the configuration can be read."""
    names = TopicNames(settings.topic_prefix)
    wanted = [names(topic) for topic in VIEW_TOPICS]
    present = await _existing(settings, wanted)
    reach = await read_newest(settings, present, lambda _: None, most=MOST_RECORDS)
    looked = f"{amount(reach.records, 'record')} looked at"
    found = [*_unreadable("records", set(present)), *_missing("records", wanted, present)]
    return found or [ok("records", f"the configuration can be read: {looked}")]


async def dead_letters(settings: Settings) -> Sequence[Finding]:
    """Check whether there are dead letters that are neither redriven nor dismissed."""
    name, sources = "dead letters", sources_of(settings)
    present = await _existing(settings, sources)
    index, reach = await read_open_dead_letters(settings, present)
    stored = (await read_stored(settings))[Kind.INTEGRATION]
    statuses = await read_statuses(settings)
    shown = [integration_row(n, record, statuses.get(n)) for n, record in stored.items()]
    rows = dead_letter_rows(index, sources, {n: record.get("name") for n, record in stored.items()})
    states = {number: str(row["state"]) for number, row in zip(stored, shown, strict=True)}
    cut = [sources[topic] for topic in reach.cut_topics]
    problems = dead_letter_problems(rows, states, cut)
    findings = [warn(name, problem.what, problem.next_step) for problem in problems]
    findings += [*_unreadable(name, set(present)), *_missing(name, sources, present)]
    return findings or [ok(name, f"none is open: {amount(reach.records, 'record')} looked at")]


def _missing(name: str, wanted: Collection[str], present: Collection[str]) -> list[Finding]:
    """Return a warning if topics of a check are missing: nothing can be said about them."""
    missing = [topic for topic in wanted if topic not in present]
    text = f"not all is looked at: {', '.join(missing)} is missing"
    return [warn(name, text, "stream-app topics create")] if missing else []


def _unreadable(name: str, topics: Collection[str]) -> list[Finding]:
    found = [batch for batch in UNREADABLE_BATCHES.found.values() if batch.topic in topics]
    return [fail(name, f"cannot be read: {batch}", UNREADABLE_STEP) for batch in found]


async def transactions(settings: Settings) -> Sequence[Finding]:
    """Check whether a transaction that nobody ends hides records from workers."""
    names = TopicNames(settings.topic_prefix)
    wanted = names.read_by_workers()
    present = await _existing(settings, wanted)
    found = [
        *(
            fail("transactions", one.what, one.next_step)
            for one in await long_open(settings, present)
        ),
        *_missing("transactions", wanted, present),
    ]
    return found or [ok("transactions", "none has been open for long")]


async def groups(settings: Settings) -> Sequence[Finding]:
    """Check whether both roles have workers, and how far behind these are.

    That none runs is no failure before the first one has run.
    """
    sources = TopicNames(settings.topic_prefix).role_sources()
    wanted = [topic for topics in sources.values() for topic in topics]
    present = await _existing(settings, wanted)
    starts, ends = await offset_bounds(settings, present)
    findings = []
    for role, group in (await read_role_groups(settings)).items():
        lag = sum(group.lag(topic, ends, starts) for topic in sources[role])
        behind = f"{amount(lag, 'record')} behind"
        text = f"{role}: {amount(len(group.members), 'worker')}, {behind}"
        if not group.members:
            report = fail if group.committed else warn
            text = f"no {role} is running, {behind}: {_WITHOUT[role]}"
            findings.append(report("workers", text, f"stream-app worker {role}"))
        elif lag > LAG_LIMIT:
            findings.append(warn("workers", text, "stream-app status shows which topic"))
        else:
            findings.append(ok("workers", text))
        for member in group.members:
            if member.restoring is not None:
                problem = restoring_problem(role, member.host, member.restoring)
                findings.append(warn("workers", problem.what, problem.next_step))
    return findings


async def closing(settings: Settings) -> Sequence[Finding]:
    """Ask what a notifier asks before it closes an alert: rights that only this needs may lack."""
    name, refusals = "closing", set()
    for passage in way_to_close(TopicNames(settings.topic_prefix)):
        try:
            async with Admin(settings) as client:
                await read_positions(client, passage)
        except KafkaRefusedError as error:
            refusals.add(str(error))
    step = "grant it to the notifiers' user, too: without it no alert is closed"
    text = "this user may read the offsets that a notifier needs to know to close an alert"
    return [fail(name, why, step) for why in sorted(refusals)] or [ok(name, text)]


async def _existing(settings: Settings, topics: Iterable[str]) -> list[str]:
    """Return those of the topics that exist."""
    topics = list(topics)
    async with Admin(settings) as client:
        counts = await partition_counts(client, topics)
    return [topic for topic in topics if topic in counts]
