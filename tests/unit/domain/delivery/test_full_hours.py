"""The judge once the 12 hours are full: from then on any failed request decides."""

from __future__ import annotations

from itertools import count

import pytest

from stream_app.domain.delivery.auto_disable import (
    BUCKET_MS,
    BUCKETS,
    Bucket,
    Judge,
    JudgeRules,
    Occasion,
    Verdict,
)
from stream_app.domain.delivery.partition_deliveries import DeliveryRules, PartitionDeliveries
from stream_app.domain.delivery.records import Delivery, Result, encode_delivery
from stream_app.domain.delivery.transitions import new_state
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.times import HOUR_MS

#: The first millisecond of a bucket.
START_MS = 1_767_225_600_000
#: The first requests are in the oldest of the 144 buckets that end with the one of this time.
FULL_MS = START_MS + (BUCKETS - 1) * BUCKET_MS
DAY_MS = 24 * HOUR_MS
OFFSETS = count()


def request(one: Judge, at_ms: int, *, accepted: bool = False, epoch: int = 7) -> Verdict | None:
    """Let a judge count a request of a delivery that is not given up."""
    return one.count(
        result(at_ms, accepted=accepted, epoch=epoch), next(OFFSETS), is_exhausted=False
    )


def result(at_ms: int, *, accepted: bool = False, epoch: int = 7) -> Result:
    return Result(
        "a/521", 1111, 521, "opsgenie", 1, accepted, "", "", at_ms, 0.1, epoch=epoch
    )  # fmt: skip


def judge(on: Occasion = "exhausted", *, accepted: int = 0, failed: int = 0) -> Judge:
    """Return a judge that has counted requests at `START_MS`."""
    one = Judge(JudgeRules(on, 17))
    requests(one, START_MS, accepted=accepted, failed=failed)
    return one


def requests(one: Judge, at_ms: int, *, accepted: int = 0, failed: int = 0) -> None:
    """Count requests none of which may disable."""
    for number in range(accepted + failed):
        assert request(one, at_ms, accepted=number < accepted) is None


@pytest.mark.parametrize(
    ("at_ms", "is_disabled"),
    [
        (FULL_MS - 1, False),
        (FULL_MS, True),
        (FULL_MS + BUCKET_MS - 1, True),
        (FULL_MS + BUCKET_MS, False),
    ],
    ids=["a bucket short", "full", "to its last moment", "the oldest has dropped out"],
)
@pytest.mark.parametrize("started_ms", [START_MS, START_MS + BUCKET_MS - 1])
def test_the_12_hours_are_full_while_their_oldest_bucket_has_requests(
    started_ms: int, at_ms: int, *, is_disabled: bool
) -> None:
    one = judge()
    requests(one, started_ms, failed=1)
    requests(one, FULL_MS - 1, failed=17)
    assert (request(one, at_ms) is not None) is is_disabled


@pytest.mark.parametrize(
    ("accepted", "failed", "is_disabled"),
    [(12, 18, True), (13, 18, False), (400, 600, True), (401, 600, False), (0, 16, False)],
)
def test_the_share_and_the_minimum_are_the_same_as_before(
    accepted: int, failed: int, *, is_disabled: bool
) -> None:
    one = judge(accepted=accepted, failed=failed - 1)
    verdict = request(one, FULL_MS)
    assert (verdict is not None) is is_disabled
    if verdict is not None:
        assert verdict == Verdict(521, 1111, 7, failed, accepted + failed, FULL_MS)


def test_an_accepted_request_does_not_disable_and_never_means_never() -> None:
    one = judge(failed=20)
    assert request(one, FULL_MS, accepted=True) is None
    assert request(one, FULL_MS) is not None
    assert request(judge("never", failed=20), FULL_MS) is None


def test_what_drops_out_as_the_request_comes_does_not_count() -> None:
    def prepared() -> Judge:
        one = judge(accepted=30)
        requests(one, START_MS + BUCKET_MS, accepted=1)
        requests(one, FULL_MS - 1, failed=20)
        return one

    assert request(prepared(), FULL_MS) is None, "21 of 52 have failed"
    assert request(prepared(), FULL_MS + BUCKET_MS) == Verdict(
        521, 1111, 7, 21, 22, FULL_MS + BUCKET_MS
    ), "the 30 have dropped out, and the next bucket is now the oldest"


def test_an_integration_that_fails_for_days_and_delivers_each_alert_is_disabled() -> None:
    """Each alert of every seven minutes is accepted at its third resend: 75 % fail."""
    one = judge()
    for alert in range(3 * DAY_MS // (7 * 60_000)):
        at_ms = START_MS + alert * 7 * 60_000
        for seconds in (0, 1, 4):
            if (verdict := request(one, at_ms + seconds * 1000)) is not None:
                assert FULL_MS <= verdict.at_ms < FULL_MS + 10 * BUCKET_MS
                assert verdict.failed * 100 >= verdict.total * 74
                return
        assert request(one, at_ms + 9000, accepted=True) is None
    pytest.fail("it is never disabled")


@pytest.mark.parametrize("gap_ms", [11 * HOUR_MS, 12 * HOUR_MS, 13 * HOUR_MS, 7 * DAY_MS])
def test_an_outage_after_a_gap_disables_nothing_while_the_cycles_run(gap_ms: int) -> None:
    """The requests of the last 12 hours do not reach back so far, however old the first one is."""
    one = judge()
    for day in range(10):
        requests(one, START_MS + day * gap_ms, accepted=1, failed=20)


def test_a_bucket_that_was_left_behind_by_a_crash_does_not_fill_the_hours() -> None:
    one, oldest = judge(failed=1), START_MS // BUCKET_MS
    cut = dict(one.cut())
    for old in (oldest - 2, oldest + 1 - BUCKETS):
        cut[521, old] = Bucket(7, 100, 100, 0)
    cut[521, oldest + 2] = Bucket(6, 100, 100, 0)
    copy = judge()
    for row in cut.items():
        copy.restore_record(*copy.record(*row))
    requests(copy, FULL_MS - BUCKET_MS, failed=20)
    assert request(copy, FULL_MS + BUCKET_MS) is None, "only a bucket before the hours"
    assert request(copy, FULL_MS + 2 * BUCKET_MS) is None, "a bucket of an earlier epoch"


def test_enabling_begins_the_12_hours_anew() -> None:
    one = judge(failed=20)
    assert request(one, FULL_MS, epoch=8) is None
    for number in range(1, BUCKETS - 1):
        assert request(one, FULL_MS + number * BUCKET_MS, epoch=8) is None
    verdict = request(one, FULL_MS + (BUCKETS - 1) * BUCKET_MS, epoch=8)
    assert verdict is not None
    assert (verdict.epoch, verdict.total) == (8, BUCKETS)


def test_a_restart_from_the_changelog_decides_alike_and_judges_a_result_once() -> None:
    one = judge(accepted=12, failed=17)
    copy = judge()
    for row in one.cut():
        copy.restore_record(*copy.record(*row))
    offset = next(OFFSETS)
    first = one.count(result(FULL_MS), offset, is_exhausted=False)
    assert first == copy.count(result(FULL_MS), offset, is_exhausted=False)
    assert first == Verdict(521, 1111, 7, 18, 30, FULL_MS)
    assert copy.count(result(FULL_MS), offset, is_exhausted=False) is None
    after = judge()
    for row in copy.cut():
        after.restore_record(*after.record(*row))
    assert after.count(result(FULL_MS), offset, is_exhausted=False) is None
    assert request(after, FULL_MS) is None, "it is disabled"


def test_results_that_are_read_again_are_not_judged_by_what_came_after_them() -> None:
    """A crash has cut a flush short: of two buckets whose results mingled one was written."""
    newer_ms, offset = FULL_MS + BUCKET_MS, next(OFFSETS) + 100
    rows = [(newer_ms, False), *[(newer_ms, True)] * 40, *[(FULL_MS, False)] * 20]

    def run(one: Judge) -> set[Verdict | None]:
        return {
            one.count(result(at_ms, accepted=accepted), offset + place, is_exhausted=False)
            for place, (at_ms, accepted) in enumerate(rows)
        }

    one, copy = judge(), judge()
    requests(one, START_MS + BUCKET_MS, accepted=1)
    assert run(one) == {None}
    for key, value in one.cut():
        if key != (521, newer_ms // BUCKET_MS):
            copy.restore_record(*copy.record(key, value))
    assert run(copy) == {None}, "21 of 22 would have failed when the first one came"
    assert copy.totals(521, newer_ms) == one.totals(521, newer_ms) == (62, 21)


def test_a_clock_that_was_ahead_neither_fills_the_hours_nor_counts() -> None:
    one = judge()
    requests(one, START_MS + 2 * DAY_MS, failed=50)
    requests(one, START_MS + DAY_MS, failed=20)
    assert one.totals(521, START_MS + DAY_MS) == (20, 20)


def test_a_verdict_of_full_hours_gives_up_what_still_waits() -> None:
    state = PartitionDeliveries(("deliveries", "delivery-results"), DeliveryRules())
    waiting = Delivery("b/521", "b", 1111, 521, "Title", "Text", {}, epoch=7)
    state.add_delivery(new_state(waiting, encode_delivery(waiting), 0, FULL_MS))
    for number in range(17):
        state.add_result(result(START_MS), number, START_MS)
    assert state.cut().verdicts == []
    state.add_result(result(FULL_MS), 17, FULL_MS)
    cut = state.cut()
    assert [verdict.total for verdict in cut.verdicts] == [18]
    (given_up,) = cut.transitions
    assert given_up.after.reason == DeadLetterReason.INTEGRATION_DISABLED


@pytest.mark.parametrize("off_ms", [-DAY_MS, 12 * HOUR_MS - 1, DAY_MS])
def test_the_clock_of_a_worker_fills_no_hours(off_ms: int) -> None:
    """The broker's time of a result holds where the worker's cannot be right."""
    state = PartitionDeliveries(("deliveries", "delivery-results"), DeliveryRules())
    for number in range(40):
        at_ms = START_MS + number * 1000
        clock_ms = at_ms + (off_ms if number % 2 else 0)
        state.add_result(result(clock_ms), number, at_ms)
    assert state.cut().verdicts == []
    assert state.judge.totals(521, START_MS + 60_000) == (40, 40)
