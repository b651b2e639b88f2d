"""`stream-app dlq redrive`: send dead letters back to where they came from."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from stream_app.cli.dlq.selection import (
    all_option,
    check_places,
    flat_headers,
    meant,
    place_option,
    selecting,
    shown_bytes,
)
from stream_app.cli.output import print_json, print_line, say, text_of
from stream_app.cli.parameters import formerly, start_command
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.dead_letters.dead_letter import DeadLetterKind
from stream_app.domain.dead_letters.dead_letter_index import DeadLetterIndex
from stream_app.domain.dead_letters.redrive_rules import recipient_of, why_not_redriven
from stream_app.domain.errors import StreamAppError
from stream_app.kafka.cluster.admin import Admin, contract_counts
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.records import read_statuses, read_stored
from stream_app.kafka.dead_letters.reading import DeadLetterLog, sources_of
from stream_app.kafka.dead_letters.redrive import Redriver, in_batches, read_accepted, redriven
from stream_app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from stream_app.domain.dead_letters.dead_letter import Place
    from stream_app.domain.dead_letters.redrive_rules import RedriveRecipient
    from stream_app.kafka.dead_letters.redrive import Redriven

PROGRESS_SECONDS = 5.0
#: Most that the clocks of two workers may differ.
MAX_CLOCK_DIFFERENCE_MS = 600_000
#: Topics to which a record may be sent twice: their readers recognise it by its id.
_KNOWN_BY_ID = (Topic.ALERTS, Topic.DELIVERIES)


@click.command(
    epilog="Example: stream-app dlq redrive deliveries --integration 521 --from 2h --dry-run"
)
@selecting
@place_option
@formerly("--offset", "--place", "places", multiple=True)
@click.option("--limit", metavar="N", type=click.IntRange(1), help="Only the oldest N.")
@all_option
@click.option(
    "--dry-run", is_flag=True, help="Only show what would be sent; --json shows it whole."
)
@click.option("--force", is_flag=True, help="Also to integrations that take nothing now.")
@click.option(
    "--again", is_flag=True, help="Also alerts and deliveries redriven before, and dismissed ones."
)
@click.option("--json", "as_json", is_flag=True, help="Print each as JSON, one per line.")
def redrive(
    topics: tuple[str, ...],
    *,
    places: tuple[str, ...],
    limit: int | None,
    is_all: bool,
    dry_run: bool,
    force: bool,
    again: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Send dead letters back to the topics they came from, the oldest first.

    Key, value and headers are sent unchanged, with `x-attempt` one higher. A dead letter that has
    been sent is marked, and the next redrive skips it; one that fails again is a new dead letter.
    A delivery that has been accepted meanwhile is skipped, and so is one that no integration
    takes. An event counts in the window of its own time, unless that window is no longer kept.

    After a crash the last ones may be sent twice. Alerts and deliveries are recognised by their
    ids, but an event then counts twice, as it does with two redrives at the same time.
    """
    settings = start_command()
    selection, named = meant(settings, topics, places, is_all=is_all, filters=filters)
    run = _Run(
        settings, named, DeadLetterIndex(selection), dry_run=dry_run, force=force, as_json=as_json
    )
    asyncio.run(run.carry_out(limit, again=again))
    run.finish()


@dataclass
class _Run:
    """One call of the command: its options, and what it has read and done."""

    settings: Settings
    topics: Sequence[str]
    index: DeadLetterIndex
    dry_run: bool
    force: bool
    as_json: bool
    partitions: dict[str, int] = field(default_factory=dict)
    recipients: dict[int, RedriveRecipient] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    sources: dict[str, str] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    to_integration: Counter[int] = field(default_factory=Counter)
    problem: str = ""
    reported: float = field(default_factory=time.monotonic)

    async def carry_out(self, limit: int | None, *, again: bool) -> None:
        """Read the selected dead letters, and send them."""
        async with DeadLetterLog(self.settings, self.topics) as log:
            await log.survey(self.index)
            check_places(self.index)
            if not again:
                self._refuse_done_places()
            names = TopicNames(self.settings.topic_prefix)
            but = [names.dead_letters(topic) for topic in _KNOWN_BY_ID] if again else []
            self.index.drop_done(but=but, with_dismissed=not again)
            self.index.drop_repeats()
            if limit is not None:
                self.index.keep_only(limit, newest=False)
            if not len(self.index):
                return
            await self._read_facts()
            records = self._records(log)
            if self.dry_run:
                async for sent in records:
                    self._show(sent, "would_redrive", sent.partition, None)
                return
            async with Redriver(self.settings) as redriver:
                async for batch in in_batches(records):
                    await self._send(redriver, batch)

    def finish(self) -> None:
        """Say what has been done.

        Raises:
            StreamAppError: the broker refused one, or one that was named by its place was skipped.
        """
        words = "would be redriven" if self.dry_run else "redriven"
        say(f"{self.done['sent']} {words}, {self.done['skipped']} skipped")
        bound = self.settings.delivery.max_pending_per_integration
        for number, count in sorted(self.to_integration.items()):
            if count > bound:
                say(
                    f"integration {number}: {count} deliveries at once; what exceeds {bound} that "
                    "wait becomes a dead letter again (overflow): use --limit"
                )
        if self.problem:
            raise StreamAppError(self.problem)

    def _refuse_done_places(self) -> None:
        """Check that no place that was named has a dead letter that is done."""
        for place in sorted(self.index.selection.places):
            if (target := self.index.redriven_to(place)) is not None:
                raise StreamAppError(
                    f"{place} has been redriven to {target}: --again sends alerts and deliveries "
                    "once more"
                )
            if self.index.is_dismissed(place):
                raise StreamAppError(f"{place} has been dismissed: --again sends it all the same")

    async def _read_facts(self) -> None:
        """Read what decides whether one is sent: partitions, integrations, accepted deliveries."""
        names = TopicNames(self.settings.topic_prefix)
        self.sources = {dead: names(topic) for dead, topic in sources_of(self.settings).items()}
        async with Admin(self.settings) as client:
            self.partitions = await contract_counts(client, self.settings)
        stored = (await read_stored(self.settings))[Kind.INTEGRATION]
        statuses = await read_statuses(self.settings)
        self.recipients = {
            number: recipient_of(record, statuses.get(number)) for number, record in stored.items()
        }
        wanted = [entry for entry in self.index if entry.delivery_ids]
        since_ms = min((entry.original_ms for entry in wanted), default=0)
        ids = {number for entry in wanted for number in entry.delivery_ids}
        self.accepted = await read_accepted(
            self.settings, ids, max(0, since_ms - MAX_CLOCK_DIFFERENCE_MS)
        )

    async def _records(self, log: DeadLetterLog) -> AsyncIterator[Redriven]:
        """Yield the records to be sent for the dead letters, and say why there is none for some."""
        async for letter in log.read(self.index.offsets()):
            source = self.sources[letter.place.topic]
            why = why_not_redriven(letter, source, self.accepted, self.recipients, force=self.force)
            if why:
                if self.index.selection.places:
                    self.problem = f"{letter.place} is not redriven: {why}"
                self._skip(letter.place, why)
                continue
            epoch = None
            if letter.kind is DeadLetterKind.DELIVERY:
                for number in letter.integration_ids:
                    self.to_integration[number] += 1
                    if number in self.recipients:
                        epoch = self.recipients[number].epoch
            yield redriven(letter, source, self.partitions.get(source, 0), epoch)

    async def _send(self, redriver: Redriver, batch: Sequence[Redriven]) -> None:
        for outcome in await redriver.send(batch):
            if outcome.problem:
                self.problem = f"{outcome.sent.dead_letter.place}: {outcome.problem}"
                self._skip(outcome.sent.dead_letter.place, outcome.problem)
            else:
                self._show(outcome.sent, "redriven", outcome.partition, outcome.offset)
        if time.monotonic() - self.reported >= PROGRESS_SECONDS:
            self.reported = time.monotonic()
            say(f"{self.done.total()} of {len(self.index)} letters")

    def _skip(self, place: Place, why: str) -> None:
        self.done["skipped"] += 1
        if self.as_json:
            print_json({"place": str(place), "action": "skipped", "message": why})
        else:
            print_line(f"skipped    {place}: {why}")

    def _show(self, sent: Redriven, action: str, partition: int | None, offset: int | None) -> None:
        self.done["sent"] += 1
        letter = sent.dead_letter
        if self.as_json:
            print_json(
                {
                    "place": str(letter.place),
                    "action": action,
                    "topic": sent.topic,
                    "partition": partition,
                    "offset": offset,
                    "headers": flat_headers(sent.headers),
                    "key": text_of(letter.key),
                    "payload": text_of(letter.value),
                }
            )
            return
        where = "/".join(str(p) for p in (sent.topic, partition, offset) if p is not None)
        key = "none" if letter.key is None else shown_bytes(letter.key)
        label = "would send" if self.dry_run else "redriven  "
        print_line(
            f"{label} {letter.place} -> {where}  key {key}  x-attempt {letter.attempt + 1}  "
            f"{len(letter.value or b'')} bytes"
        )
