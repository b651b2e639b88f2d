"""The overview of an installation at one moment, and the problems that need a person."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from stream_app.domain.delivery.auto_disable import SHARE_PERCENT, WINDOW_HOURS
from stream_app.domain.delivery.retry_schedule import WAITS_SECONDS
from stream_app.domain.pulse.note import PulseNote
from stream_app.domain.reports.dead_letter_problems import DeadLetterRow, dead_letter_problems
from stream_app.domain.reports.operator_integration import ACTIVE, operator_problem
from stream_app.domain.reports.overview_rows import (
    IntegrationRow,
    LagRow,
    LostRecordsRow,
    StuckPartitionRow,
    TopicRow,
    TriggerRow,
    WorkerRow,
)
from stream_app.domain.reports.problems import (
    Problem,
    amount,
    named,
    no_topics_problem,
    restoring_problem,
    wait_for,
)
from stream_app.domain.reports.pulse import pulse_problems
from stream_app.domain.reports.silent_integrations import silent_problems
from stream_app.domain.times import iso_utc
from stream_app.domain.topics import Topic

#: A group whose lag is larger needs attention: a busy moment leaves less.
LAG_LIMIT = 10_000
#: A delivery that is pending for longer needs attention: it is twice what the three cycles take.
PENDING_LIMIT_MS = 2 * sum(WAITS_SECONDS) * 1000
#: An alert that could not be closed for longer needs attention: a busy moment takes seconds.
CLOSE_LIMIT_MS = 2 * 60 * 1000

#: What to do about a batch of records that cannot be read.
UNREADABLE_STEP = (
    "what it held is passed over: find its producer; of config.*, apply its objects again"
)
#: Most unusable records that are listed: whoever writes one with a wrong key writes many.
REFUSED_SHOWN = 20
#: Said of a disabled integration if nobody of its client can have been told.
_UNTOLD = "no other integration tells client {client} of it"
REFUSED_STEP = (
    "find who wrote it; apply its object again: stream-app apply -f …; a record of the same key "
    "without a value takes it away"
)


@dataclass(frozen=True)
class Overview:
    """The installation at `now_ms`.

    `deliveries_cut_ms` says how far back records were read to find pending deliveries and failed
    shares, and `alerts_cut_ms` the same for fired triggers; None: all records. `unreadable` are the
    batches that could not be read for the overview, and `refused` the configuration records that
    are not usable objects. `dead_letters` are those that are neither redriven nor dismissed, back
    to `dead_letters_cut_ms` in the topics `dead_letters_cut`. `prefixes` are those of other
    installations in the cluster, if this one has no topics. `has_heartbeat` says that the command's
    settings name a heartbeat.
    """

    now_ms: int
    topics: Sequence[TopicRow]
    workers: Sequence[WorkerRow]
    lags: Sequence[LagRow]
    integrations: Sequence[IntegrationRow]
    triggers: Sequence[TriggerRow]
    roles: Sequence[str]
    alerts_cut_ms: int | None = None
    deliveries_cut_ms: int | None = None
    dead_letters: Sequence[DeadLetterRow] = ()
    dead_letters_cut_ms: int | None = None
    dead_letters_cut: Collection[Topic] = ()
    prefixes: Sequence[str] = ()
    #: Of the states that roles keep, and of topics whose settings somebody has altered.
    topic_problems: Sequence[Problem] = ()
    lost_records: Sequence[LostRecordsRow] = ()
    stuck_partitions: Sequence[StuckPartitionRow] = ()
    open_transactions: Sequence[Problem] = ()
    unreadable: Sequence[str] = ()
    refused: Sequence[str] = ()
    #: What `STREAM_APP_OPERATOR_INTEGRATION` names where the overview was read.
    operator_integration: int | None = None
    pulse: PulseNote | None = None
    has_heartbeat: bool = False

    def problems(self, min_requests: int) -> list[Problem]:
        """Return the problems, those that stop most of the installation first.

        Args:
            min_requests: an integration with fewer requests is not judged by its failures.
        """
        if not any(row.partitions for row in self.topics):
            # Nothing else can be told, and a worker would not start.
            return [no_topics_problem([row.topic for row in self.topics], self.prefixes)]
        return [
            *self._of_topics(),
            *(
                Problem(f"cannot be read: {where}", self._unreadable_step(where))
                for where in self.unreadable
            ),
            *self._of_refused(),
            *self._of_workers(),
            *self._of_operator(),
            *pulse_problems(self.pulse, self.now_ms, is_set=self.has_heartbeat),
            *self._of_integrations(min_requests),
            *dead_letter_problems(
                self.dead_letters,
                {row.id: row.state for row in self.integrations},
                self.dead_letters_cut,
            ),
            *self._of_triggers(),
            *silent_problems(self.triggers),
        ]

    def _of_refused(self) -> Iterator[Problem]:
        for what in self.refused[:REFUSED_SHOWN]:
            yield Problem(f"cannot be used: {what}", REFUSED_STEP)
        if (more := len(self.refused) - REFUSED_SHOWN) > 0:
            yield Problem(f"{more:,} more records cannot be used", REFUSED_STEP)

    def _unreadable_step(self, where: str) -> str:
        for role in self.roles:
            if f"stream-app-{role}-" in where:
                return (
                    f"a {role} that has to read it ends: stop every {role}, then: "
                    f"stream-app state reset {role} --yes"
                )
        return UNREADABLE_STEP

    def _of_topics(self) -> Iterator[Problem]:
        missing = [row.topic for row in self.topics if not row.partitions]
        if missing:
            yield Problem(f"missing topics: {', '.join(missing)}", "stream-app topics create")
        yield from self.topic_problems
        for lost in self.lost_records:
            yield Problem(
                f"{amount(lost.records, 'record')} of {lost.topic} "
                f"{'was' if lost.records == 1 else 'were'} removed before the {lost.role} has read "
                f"{'it' if lost.records == 1 else 'them'}",
                "raise the topic's retention.ms above the longest time without a worker",
            )

    def _of_workers(self) -> Iterator[Problem]:
        running = {row.role for row in self.workers}
        restoring = {row.role for row in self.workers if row.restoring is not None}
        for role in self.roles:
            if role not in running:
                yield Problem(f"no {role} is running", f"stream-app worker {role}")
        for row in self.workers:
            if row.restoring is not None:
                yield restoring_problem(row.role, row.host, row.restoring)
        yield from self.open_transactions
        for stuck in self.stuck_partitions:
            yield Problem(
                f"{stuck.topic} partition {stuck.partition} stands still at offset {stuck.offset}: "
                f"its next record waits since {iso_utc(stuck.since_ms)}",
                wait_for(stuck.role)
                if stuck.role in restoring
                else f"/readyz?verbose of each {stuck.role} says why; start it again",
            )
        for lag in self.lags:
            if lag.lag > LAG_LIMIT:
                yield Problem(
                    f"the {lag.role} is {lag.lag:,} records of {lag.topic} behind",
                    wait_for(lag.role)
                    if lag.role in restoring
                    else f"look at its log; start more of them: stream-app worker {lag.role}",
                )

    def _of_operator(self) -> Iterator[Problem]:
        if (number := self.operator_integration) is not None:
            state = next((row.state for row in self.integrations if row.id == number), None)
            if (problem := operator_problem(number, state)) is not None:
                yield problem

    def _is_untold(self, disabled: IntegrationRow) -> bool:
        """Tell whether no other integration tells a client that one of its own is disabled."""
        return not any(
            row.client_id == disabled.client_id and row.gets_system and row.state == ACTIVE
            for row in self.integrations
        )

    def _of_integrations(self, min_requests: int) -> Iterator[Problem]:
        for row in self.integrations:
            name = named("integration", row.id, row.name)
            if row.state == "invalid":
                yield Problem(
                    f"{name} cannot be used: {row.detail}", "mend it: stream-app apply -f …"
                )
            elif row.state == "disabled":
                is_untold = self._is_untold(row)
                yield Problem(
                    f"{name} is disabled by the system: {row.detail}"
                    + (f"; {_UNTOLD.format(client=row.client_id)}" if is_untold else ""),
                    ("tell its people in another way; " if is_untold else "")
                    + f"stream-app integrations test {row.id}; then: "
                    f"stream-app integrations enable {row.id}",
                )
            elif row.failing is not None:
                yield Problem(
                    f"{name}: its newest {row.failing.requests} requests have all failed, since "
                    f"{iso_utc(row.failing.since_ms)}: {row.failing.reason}",
                    f"stream-app integrations test {row.id}",
                )
            elif row.requests >= min_requests and row.failed * 100 >= SHARE_PERCENT * row.requests:
                yield Problem(
                    f"{name}: {row.failed} of {row.requests} requests of the last {WINDOW_HOURS} h "
                    "failed",
                    f"stream-app integrations test {row.id}",
                )
            if row.oldest_ms is not None and self.now_ms - row.oldest_ms > PENDING_LIMIT_MS:
                yield Problem(
                    f"{name}: {amount(row.pending, 'delivery waits', 'deliveries wait')}, the "
                    f"oldest since {iso_utc(row.oldest_ms)}",
                    f"stream-app alerts list --integration {row.id} --state pending",
                )
            if row.closes_due_ms is not None and self.now_ms - row.closes_due_ms > CLOSE_LIMIT_MS:
                yield Problem(
                    f"{name}: {amount(row.closes_waiting, 'alert is', 'alerts are')} over and "
                    f"cannot be closed, the first since {iso_utc(row.closes_due_ms)}",
                    "the line closes_wait in the log of a notifier says what is in the way",
                )

    def _of_triggers(self) -> Iterator[Problem]:
        for row in self.triggers:
            if row.problem is not None:
                yield Problem(
                    f"{named('trigger', row.id, row.name)} cannot be used: {row.problem}",
                    "mend it: stream-app apply -f …",
                )
