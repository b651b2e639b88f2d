"""The judge: it finds the integrations that fail so often that they must be disabled.

It counts each integration's requests and failures by the time at which the request ended, in 144
buckets of five minutes, 12 hours in all. Until the 12 hours are full it decides only when a
delivery is given up after its last cycle: a short outage fails most requests of some minutes, and
must disable nothing while the cycles still run. Once they are full it decides after any failed
request: an integration that fails for days would otherwise go on for ever if each alert got
through on some resend. They are full if requests were counted in the oldest of the 144 buckets,
and not because the integration was once used long ago. Equal results give equal verdicts, because
the judge reads no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from stream_app.domain.configuration.statuses import FAILED_SHARE, IntegrationStatus
from stream_app.domain.delivery.records import Result
from stream_app.domain.state.keys import NEVER
from stream_app.domain.state.tracked_values import ChangelogValues

BUCKET_MS = 5 * 60 * 1000
BUCKETS = 144
WINDOW_HOURS = BUCKET_MS * BUCKETS // 3_600_000
#: The share of failed requests that disables. A whole number, so that no binary fraction decides at
#: exactly 60 %.
SHARE_PERCENT = 60
#: When the judge decides until the 12 hours are full: as a delivery is given up; at any failed
#: request, as the documented rule literally says; or never, not even when they are full.
Occasion = Literal["exhausted", "any-failure", "never"]


@dataclass(frozen=True)
class JudgeRules:
    """When an integration is disabled."""

    on: Occasion = "exhausted"
    min_requests: int = 17


@dataclass(frozen=True)
class Bucket:
    """How many requests of one integration ended within five minutes, and how many failed.

    `offset` is that of the last result in it: results up to there are already counted.
    """

    epoch: int
    requests: int
    failures: int
    offset: int = NEVER


@dataclass(frozen=True)
class JudgedEpoch:
    """The epoch of an integration that is judged.

    `disabled` says that it was found failing; the judge then counts nothing more of this epoch.
    """

    epoch: int
    disabled: bool
    client_id: int


@dataclass(frozen=True)
class Verdict:
    """An integration is to be disabled: `failed` of `total` requests of the last 12 hours.

    `last_status` and `last_reason` are those of the newest failed request; no status: no answer
    came.
    """

    integration_id: int
    client_id: int
    epoch: int
    failed: int
    total: int
    at_ms: int
    last_status: int | None = None
    last_reason: str = ""


#: (integration, bucket number); None in place of a number is the key of the judged epoch.
JudgeKey = tuple[int, int | None]


class Judge(ChangelogValues[JudgeKey, Bucket | JudgedEpoch]):
    """The buckets and the judged epochs of the integrations of one partition."""

    prefix = b"judge|"

    def __init__(self, rules: JudgeRules) -> None:
        super().__init__(_order, self._index)
        self._rules = rules
        #: Integration -> the epoch that is judged.
        self.judged_epochs: dict[int, JudgedEpoch] = {}
        #: Integration -> the numbers of its buckets.
        self._numbers: dict[int, set[int]] = {}

    def count(self, result: Result, offset: int, *, is_exhausted: bool) -> Verdict | None:
        """Count a request; return a verdict if the integration must be disabled now.

        Args:
            result: results of an earlier epoch than the newest seen are ignored.
            offset: of the result's record.
            is_exhausted: whether the delivery was given up after this, its last attempt.
        """
        number = result.integration_id
        judged = self.judged_epochs.get(number)
        if judged is not None and result.epoch < judged.epoch:
            return None
        if judged is None or result.epoch > judged.epoch:
            self.forget(number)
            judged = JudgedEpoch(result.epoch, disabled=False, client_id=result.client_id)
            self.change((number, None), judged)
        if judged.disabled or not self._count_if_new(result, offset):
            return None
        if not self._decides_after(result, offset, is_exhausted=is_exhausted):
            return None
        total, failed = self.totals(number, result.finished_at_ms)
        if total < self._rules.min_requests or failed * 100 < total * SHARE_PERCENT:
            return None
        self.change((number, None), replace(judged, disabled=True))
        return Verdict(
            number,
            result.client_id,
            judged.epoch,
            failed,
            total,
            result.finished_at_ms,
            result.status,
            result.reason,
        )

    def _decides_after(self, result: Result, offset: int, *, is_exhausted: bool) -> bool:
        """Tell whether the share is checked after a request."""
        if result.accepted or self._rules.on == "never":
            return False
        if not (self._rules.on == "any-failure" or is_exhausted or self._is_full(result)):
            return False
        return not self._is_behind(result.integration_id, offset)

    def _is_behind(self, integration_id: int, offset: int) -> bool:
        """Tell whether later results are counted already, by a flush that a crash has cut short.

        Its verdicts were written first. The share would now mix earlier results with later ones.
        """
        found = (self.values[integration_id, n] for n in self._numbers.get(integration_id, ()))
        return any(isinstance(bucket, Bucket) and bucket.offset > offset for bucket in found)

    def _is_full(self, result: Result) -> bool:
        """Tell whether the oldest of the 144 buckets that end with a result's has requests."""
        oldest = result.finished_at_ms // BUCKET_MS - BUCKETS + 1
        bucket = self.values.get((result.integration_id, oldest))
        return isinstance(bucket, Bucket) and bucket.epoch == result.epoch

    def totals(self, integration_id: int, now_ms: int, epoch: int = NEVER) -> tuple[int, int]:
        """Return (requests, failures) of the 144 buckets that end with the one of `now_ms`.

        Buckets of an earlier epoch, which a crash may have left behind, do not count. If nothing
        was judged since `epoch`, which an enabling has just begun, none counts.
        """
        newest = now_ms // BUCKET_MS
        judged = self.judged_epochs.get(integration_id)
        if judged is not None and judged.epoch < epoch:
            return 0, 0
        requests = failures = 0
        for number in self._numbers.get(integration_id, ()):
            bucket = self.values[integration_id, number]
            if not isinstance(bucket, Bucket) or judged is None or bucket.epoch != judged.epoch:
                continue
            if newest - BUCKETS < number <= newest:
                requests += bucket.requests
                failures += bucket.failures
        return requests, failures

    def forget(self, integration_id: int) -> None:
        """Drop all that is kept of an integration."""
        for number in sorted(self._numbers.get(integration_id, ())):
            self.change((integration_id, number), None)
        if integration_id in self.judged_epochs:
            self.change((integration_id, None), None)

    def _count_if_new(self, result: Result, offset: int) -> bool:
        """Count a result unless its bucket holds it already; tell whether it was new.

        A counted result needs no second decision: its verdict was written before its bucket, and
        the bucket may hold later results by now.
        """
        key = (result.integration_id, result.finished_at_ms // BUCKET_MS)
        known = self.values.get(key)
        if not isinstance(known, Bucket):
            self._drop_old(*key)
            known = Bucket(result.epoch, 0, 0)
        if offset <= known.offset:
            return False
        if known.epoch != result.epoch:
            known = Bucket(result.epoch, 0, 0)
        failures = known.failures + (not result.accepted)
        self.change(key, Bucket(result.epoch, known.requests + 1, failures, offset))
        return True

    def _drop_old(self, integration_id: int, newest: int) -> None:
        for number in sorted(self._numbers.get(integration_id, ())):
            if number <= newest - BUCKETS:
                self.change((integration_id, number), None)

    def _index(self, key: JudgeKey, _before: object, value: Bucket | JudgedEpoch | None) -> None:
        integration_id, number = key
        if number is None:
            self.judged_epochs.pop(integration_id, None)
            if isinstance(value, JudgedEpoch):
                self.judged_epochs[integration_id] = value
            return
        numbers = self._numbers.setdefault(integration_id, set())
        if value is None:
            numbers.discard(number)
            if not numbers:
                del self._numbers[integration_id]
        else:
            numbers.add(number)

    # -- the changelog

    def record(
        self, key: JudgeKey, value: Bucket | JudgedEpoch | None
    ) -> tuple[bytes, bytes | None]:
        """Return the record of a bucket or a judged epoch."""
        integration_id, number = key
        name = self.prefix + str(integration_id).encode()
        if number is not None:
            name += b"|" + str(number).encode()
        if value is None:
            return name, None
        if isinstance(value, JudgedEpoch):
            return name, orjson.dumps((value.epoch, value.disabled, value.client_id))
        return name, orjson.dumps((value.epoch, value.requests, value.failures, value.offset))

    def restore_record(self, key: bytes, value: bytes | None) -> None:
        """Restore a record."""
        integration, _, number = key.removeprefix(self.prefix).partition(b"|")
        kind = Bucket if number else JudgedEpoch
        self.restore(
            (int(integration), int(number) if number else None),
            None if value is None else kind(*orjson.loads(value)),
        )


def _order(value: Bucket | JudgedEpoch) -> tuple[int, int]:
    """Return what orders the values of one key; it never decreases."""
    if isinstance(value, JudgedEpoch):
        return value.epoch, value.disabled
    return value.epoch, value.offset


def status_of(verdict: Verdict, told: Sequence[int]) -> IntegrationStatus:
    """Return the status of the integration that a verdict disables.

    `told` are the client's other integrations, which get the message of it.
    """
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
        told=tuple(told),
    )
