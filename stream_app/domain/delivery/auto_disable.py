"""The judge: which integrations fail so often that they are disabled.

Requests and failures of each integration are counted in 144 buckets of five minutes, 12 hours in
all, by the time at which the request ended. The verdict comes when a delivery is given up after
its last cycle: a short outage fails most requests of some minutes, and must disable nothing while
the cycles still run. The same results, the same verdicts: no clock is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import orjson

from stream_app.domain.configuration.statuses import FAILED_SHARE, IntegrationStatus
from stream_app.domain.delivery.records import Result
from stream_app.domain.state.keys import NEVER
from stream_app.domain.state.tracked_values import TrackedValues

BUCKET_MS = 5 * 60 * 1000
BUCKETS = 144
WINDOW_HOURS = BUCKET_MS * BUCKETS // 3_600_000
#: A share of 60 %, in whole numbers: a binary fraction must not decide at the edge.
SHARE_PERCENT = 60
#: Begins the changelog keys of the judge: no delivery's id has it.
KEY_PREFIX = b"judge|"

#: When the judge looks at the share: the documented product's guard, the literal reading, never.
Occasion = Literal["exhausted", "any-failure", "never"]


@dataclass(frozen=True)
class JudgeRules:
    """When an integration is disabled. Tests and settings may differ from the defaults."""

    on: Occasion = "exhausted"
    min_requests: int = 17


@dataclass(frozen=True)
class Bucket:
    """Requests of one integration that ended in five minutes, and how many of them failed.

    `offset` is that of the last result in it: one that is read again after a crash is known.
    """

    epoch: int
    requests: int
    failures: int
    offset: int = NEVER


@dataclass(frozen=True)
class JudgedEpoch:
    """The epoch of an integration that is judged; `disabled` once it has been found failing."""

    epoch: int
    disabled: bool
    client_id: int


@dataclass(frozen=True)
class Verdict:
    """An integration is to be disabled: `failed` of `total` requests of the last 12 hours."""

    integration_id: int
    client_id: int
    epoch: int
    failed: int
    total: int
    at_ms: int


#: (integration, bucket number); the mark of an integration has no bucket number.
JudgeKey = tuple[int, int | None]


class Judge:
    """The buckets of the integrations of one partition."""

    def __init__(self, rules: JudgeRules) -> None:
        self._rules = rules
        self._tracked: TrackedValues[JudgeKey, Bucket | JudgedEpoch] = TrackedValues(
            _order, self._index
        )
        #: What is kept, by integration: which epoch is judged, and the numbers of its buckets.
        self.marks: dict[int, JudgedEpoch] = {}
        self._numbers: dict[int, set[int]] = {}

    def add(self, result: Result, offset: int, *, is_exhausted: bool) -> Verdict | None:
        """Count a request that was made; return the verdict if it makes one.

        Args:
            result: results of an earlier epoch than the newest seen are passed over.
            offset: of the result's record.
            is_exhausted: whether the delivery was given up with it, after its last cycle.
        """
        number = result.integration_id
        mark = self.marks.get(number)
        if mark is not None and result.epoch < mark.epoch:
            return None
        if mark is None or result.epoch > mark.epoch:
            self.forget(number)
            mark = JudgedEpoch(result.epoch, disabled=False, client_id=result.client_id)
            self._tracked.change((number, None), mark)
        if mark.disabled or not self._count(result, offset):
            return None
        is_due = not result.accepted and (
            is_exhausted if self._rules.on == "exhausted" else self._rules.on == "any-failure"
        )
        if not is_due:
            return None
        total, failed = self.share(number, result.finished_at_ms)
        if total < self._rules.min_requests or failed * 100 < total * SHARE_PERCENT:
            return None
        self._tracked.change((number, None), replace(mark, disabled=True))
        return Verdict(number, result.client_id, mark.epoch, failed, total, result.finished_at_ms)

    def share(self, integration_id: int, now_ms: int) -> tuple[int, int]:
        """Return (requests, failures) of the 144 buckets that end with the one of `now_ms`.

        A crash may have left buckets of an earlier epoch behind: they are not looked at.
        """
        newest = now_ms // BUCKET_MS
        mark = self.marks.get(integration_id)
        requests = failures = 0
        for number in self._numbers.get(integration_id, ()):
            bucket = self._tracked.values[integration_id, number]
            if not isinstance(bucket, Bucket) or mark is None or bucket.epoch != mark.epoch:
                continue
            if newest - BUCKETS < number <= newest:
                requests += bucket.requests
                failures += bucket.failures
        return requests, failures

    def forget(self, integration_id: int) -> None:
        """Drop all that is kept of an integration."""
        for number in sorted(self._numbers.get(integration_id, ())):
            self._tracked.change((integration_id, number), None)
        if integration_id in self.marks:
            self._tracked.change((integration_id, None), None)

    def _count(self, result: Result, offset: int) -> bool:
        """Count a result; tell whether it is new.

        One that is known is not judged again: its bucket holds later ones, too, and a verdict
        that it made was written before the bucket was.
        """
        key = (result.integration_id, result.finished_at_ms // BUCKET_MS)
        known = self._tracked.values.get(key)
        if not isinstance(known, Bucket):
            self._drop_old(*key)
            known = Bucket(result.epoch, 0, 0)
        if offset <= known.offset:
            return False
        if known.epoch != result.epoch:
            known = Bucket(result.epoch, 0, 0)
        failures = known.failures + (not result.accepted)
        self._tracked.change(key, Bucket(result.epoch, known.requests + 1, failures, offset))
        return True

    def _drop_old(self, integration_id: int, newest: int) -> None:
        for number in sorted(self._numbers.get(integration_id, ())):
            if number <= newest - BUCKETS:
                self._tracked.change((integration_id, number), None)

    def _index(self, key: JudgeKey, _before: object, value: Bucket | JudgedEpoch | None) -> None:
        integration_id, number = key
        if number is None:
            self.marks.pop(integration_id, None)
            if isinstance(value, JudgedEpoch):
                self.marks[integration_id] = value
            return
        numbers = self._numbers.setdefault(integration_id, set())
        if value is None:
            numbers.discard(number)
            if not numbers:
                del self._numbers[integration_id]
        else:
            numbers.add(number)

    # -- flushing and the changelog

    def cut(self) -> list[tuple[JudgeKey, Bucket | JudgedEpoch | None]]:
        """Return what has changed since the last cut; `confirm` it or `roll_back`."""
        return self._tracked.cut()

    def confirm(self, changed: list[tuple[JudgeKey, Bucket | JudgedEpoch | None]]) -> None:
        """Note that the broker has acknowledged the cut."""
        self._tracked.confirm(changed)

    def roll_back(self) -> None:
        """Forget everything that is not known to be acknowledged."""
        self._tracked.roll_back()

    def rewrite(self) -> None:
        """Put all that is kept into the next cut."""
        self._tracked.rewrite()

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take a record of the changelog whose key begins with `KEY_PREFIX`."""
        integration, _, number = key.removeprefix(KEY_PREFIX).partition(b"|")
        judge_key = int(integration), int(number) if number else None
        if value is None:
            self._tracked.restore(judge_key, None)
            return
        kept = Bucket if number else JudgedEpoch
        self._tracked.restore(judge_key, kept(*orjson.loads(value)))


def judge_record(key: JudgeKey, value: Bucket | JudgedEpoch | None) -> tuple[bytes, bytes | None]:
    """Return the changelog record of a bucket or a mark."""
    integration_id, number = key
    name = KEY_PREFIX + str(integration_id).encode()
    if number is not None:
        name += b"|" + str(number).encode()
    if value is None:
        return name, None
    if isinstance(value, JudgedEpoch):
        return name, orjson.dumps((value.epoch, value.disabled, value.client_id))
    return name, orjson.dumps((value.epoch, value.requests, value.failures, value.offset))


def _order(value: Bucket | JudgedEpoch) -> tuple[int, int]:
    """Return what tells the newer of two values of one key: it never decreases."""
    if isinstance(value, JudgedEpoch):
        return value.epoch, value.disabled
    return value.epoch, value.offset


def status_of(verdict: Verdict) -> IntegrationStatus:
    """Return the status that a verdict makes."""
    return IntegrationStatus(
        integration_id=verdict.integration_id,
        client_id=verdict.client_id,
        disabled=True,
        reason=FAILED_SHARE,
        epoch=verdict.epoch,
        failed=verdict.failed,
        total=verdict.total,
        window_hours=WINDOW_HOURS,
        since_ms=verdict.at_ms,
    )
