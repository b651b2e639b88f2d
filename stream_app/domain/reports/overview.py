"""How an installation is doing at a moment, and what of it needs a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stream_app.domain.delivery.auto_disable import SHARE_PERCENT, WINDOW_HOURS
from stream_app.domain.delivery.retry_schedule import WAITS_SECONDS
from stream_app.domain.foreign_text.printable import value_text
from stream_app.domain.times import iso_utc

#: A group that is further behind than this needs attention: more than a busy moment leaves.
LAG_LIMIT = 10_000
#: A delivery that waits for longer than the three cycles take, and as long again.
PENDING_LIMIT_MS = 2 * sum(WAITS_SECONDS) * 1000


@dataclass(frozen=True)
class TopicRow:
    """A topic. `records` is what its offsets span: of a compacted topic, at most that many.

    `newest_ms` is the time of its newest record, Unix ms; 0 partitions: it is missing.
    """

    topic: str
    partitions: int
    records: int = 0
    newest_ms: int | None = None


@dataclass(frozen=True)
class WorkerRow:
    """A member of a role's group; `restoring` is how far it is with reading its state."""

    role: str
    host: str
    member_id: str
    partitions: dict[str, int]
    restoring: str | None = None


@dataclass(frozen=True)
class LagRow:
    """How many records of a topic a group has not acknowledged."""

    group: str
    role: str
    topic: str
    lag: int


@dataclass(frozen=True)
class StateRow:
    """What is wrong with the state that a role keeps; a reset helps."""

    role: str
    problem: str


@dataclass(frozen=True)
class AlteredRow:
    """A topic that somebody has altered so that it does not do."""

    topic: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class LostRow:
    """How many records of a topic were removed before a role has read them, as offsets tell."""

    role: str
    topic: str
    records: int


@dataclass(frozen=True)
class StillRow:
    """A partition that a role's workers do not go on in, and since when its next record waits."""

    role: str
    topic: str
    partition: int
    offset: int
    since_ms: int


@dataclass(frozen=True)
class WithheldRow:
    """A partition whose records behind an offset nobody can see: a transaction is open there.

    `since_ms` is when it began, Unix ms; None: not known. `step` is what to do about it.
    """

    topic: str
    partition: int
    offset: int
    records: int
    since_ms: int | None
    step: str

    def __str__(self) -> str:
        since = "" if self.since_ms is None else f" since {iso_utc(self.since_ms)}"
        return (
            f"{self.topic} partition {self.partition}: a transaction is open at offset "
            f"{self.offset}{since}: nobody sees the {self.records:,} records from there on"
        )


@dataclass(frozen=True)
class IntegrationRow:
    """An integration. `requests` and `failed` are of the last 12 hours, as the judge counts them.

    `oldest_ms` is when the oldest of its pending deliveries was made, Unix ms.
    """

    id: int
    client_id: object
    name: object
    state: str
    why: str | None
    requests: int
    failed: int
    pending: int
    oldest_ms: int | None

    @property
    def share(self) -> int | None:
        """Percent of its requests that failed; None: there were none."""
        return round(100 * self.failed / self.requests) if self.requests else None


@dataclass(frozen=True)
class TriggerRow:
    """A trigger. `fired` is how often within what was looked at, `last_fired_ms` when, Unix ms."""

    id: int
    client_id: object
    name: object
    enabled: bool
    is_evaluated: bool
    notes: str
    problem: str | None
    fired: int
    last_fired_ms: int | None


#: What to do about a batch of records that nobody can read.
UNREADABLE_STEP = (
    "what it held is passed over: find its producer; of config.*, apply its objects again"
)


#: Most records that are told one by one: who writes one with a wrong key writes many.
REFUSED_SHOWN = 20
REFUSED_STEP = (
    "find who wrote it; apply its object again: stream-app apply -f …; a record of the same key "
    "without a value takes it away"
)


@dataclass(frozen=True)
class Problem:
    """What needs attention, and what to do."""

    what: str
    next_step: str


@dataclass(frozen=True)
class Overview:
    """The installation at `now_ms`. The cuts say how far back was looked, None: all that is kept.

    `deliveries_cut_ms` is about pending deliveries and failed shares, `alerts_cut_ms` about when
    triggers fired. `unreadable` are the batches of what was read for this that cannot be read,
    `refused` the records of the configuration that are no object, or none that can be used.
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
    state: Sequence[StateRow] = ()
    altered: Sequence[AlteredRow] = ()
    lost: Sequence[LostRow] = ()
    still: Sequence[StillRow] = ()
    withheld: Sequence[WithheldRow] = ()
    unreadable: Sequence[str] = ()
    refused: Sequence[str] = ()

    def problems(self, min_requests: int) -> list[Problem]:
        """Return what needs attention, what stops most of it first.

        Args:
            min_requests: fewer requests of an integration say nothing about it.
        """
        return [
            *self._of_topics(),
            *(
                Problem(f"cannot be read: {where}", self._step_of_unreadable(where))
                for where in self.unreadable
            ),
            *self._of_refused(),
            *self._of_workers(),
            *self._of_integrations(min_requests),
            *self._of_triggers(),
        ]

    def _of_refused(self) -> Iterator[Problem]:
        for what in self.refused[:REFUSED_SHOWN]:
            yield Problem(f"cannot be used: {what}", REFUSED_STEP)
        if (more := len(self.refused) - REFUSED_SHOWN) > 0:
            yield Problem(f"{more:,} more records cannot be used", REFUSED_STEP)

    def _step_of_unreadable(self, where: str) -> str:
        for role in self.roles:
            if f"stream-app-{role}-" in where:
                return (
                    f"a {role} that has to read it ends: stop every {role}, then: "
                    f"stream-app state reset {role} --yes"
                )
        return UNREADABLE_STEP

    def _of_topics(self) -> Iterator[Problem]:
        missing = [row.topic for row in self.topics if not row.partitions]
        if missing and len(missing) == len(self.topics):
            yield Problem(
                f"none of the {len(missing)} topics is there, {missing[0]} for example",
                "is STREAM_APP_TOPIC_PREFIX right? Then: stream-app topics create",
            )
        elif missing:
            yield Problem(f"missing topics: {', '.join(missing)}", "stream-app topics create")
        for kept in self.state:
            yield Problem(
                kept.problem,
                f"stop every {kept.role}, then: stream-app state reset {kept.role} --yes",
            )
        for altered in self.altered:
            yield Problem(f"{altered.topic}: {altered.problem}", altered.remedy)
        for lost in self.lost:
            yield Problem(
                f"{lost.records:,} records of {lost.topic} were removed before the {lost.role} has "
                "read them",
                "raise the topic's retention.ms above the longest time without a worker",
            )

    def _of_workers(self) -> Iterator[Problem]:
        running = {row.role for row in self.workers}
        restoring = {row.role for row in self.workers if row.restoring is not None}
        for role in self.roles:
            if role not in running:
                yield Problem(f"no {role} is running", f"stream-app worker {role}")
        for held in self.withheld:
            yield Problem(str(held), held.step)
        for still in self.still:
            yield Problem(
                f"{still.topic} partition {still.partition} stands still at offset {still.offset}: "
                f"its next record waits since {iso_utc(still.since_ms)}",
                _wait(still.role)
                if still.role in restoring
                else f"/readyz?verbose of each {still.role} says why; start it again",
            )
        for row in self.lags:
            if row.lag > LAG_LIMIT:
                yield Problem(
                    f"the {row.role} is {row.lag:,} records of {row.topic} behind",
                    _wait(row.role)
                    if row.role in restoring
                    else f"look at its log; start more of them: stream-app worker {row.role}",
                )

    def _of_integrations(self, min_requests: int) -> Iterator[Problem]:
        for row in self.integrations:
            name = _named("integration", row.id, row.name)
            if row.state == "invalid":
                yield Problem(f"{name} cannot be used: {row.why}", "mend it: stream-app apply -f …")
            elif row.state == "disabled":
                yield Problem(
                    f"{name} is disabled by the system: {row.why}",
                    f"stream-app integrations test {row.id}; then: "
                    f"stream-app integrations enable {row.id}",
                )
            elif row.requests >= min_requests and row.failed * 100 >= SHARE_PERCENT * row.requests:
                yield Problem(
                    f"{name}: {row.failed} of {row.requests} requests of the last {WINDOW_HOURS} h "
                    "failed",
                    f"stream-app integrations test {row.id}",
                )
            if row.oldest_ms is not None and self.now_ms - row.oldest_ms > PENDING_LIMIT_MS:
                yield Problem(
                    f"{name}: {row.pending} deliveries wait, the oldest since "
                    f"{iso_utc(row.oldest_ms)}",
                    f"stream-app alerts list --integration {row.id} --state pending",
                )

    def _of_triggers(self) -> Iterator[Problem]:
        for row in self.triggers:
            if row.problem is not None:
                yield Problem(
                    f"{_named('trigger', row.id, row.name)} cannot be used: {row.problem}",
                    "mend it: stream-app apply -f …",
                )


def _named(kind: str, number: int, name: object) -> str:
    """Return kind and id of an object, and its name if it has one."""
    return f"{kind} {number}" if name is None else f"{kind} {number} ({value_text(name)})"


def _wait(role: str) -> str:
    """Return the next step where a worker restores: each start and each stop begins it anew."""
    return f"wait: a {role} restores its state (see WORKER)"
