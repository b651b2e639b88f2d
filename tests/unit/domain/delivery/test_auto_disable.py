"""The judge: shares just under and at 60 %, the edges of buckets and of 12 hours, the guards."""

from __future__ import annotations

from itertools import count
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.delivery.auto_disable import (
    BUCKET_MS,
    BUCKETS,
    WINDOW_HOURS,
    Bucket,
    Judge,
    JudgedEpoch,
    JudgeRules,
    Occasion,
    Verdict,
)
from stream_app.domain.delivery.records import Result
from stream_app.domain.delivery.retry_schedule import WAITS_SECONDS

NOW_MS = 1_767_225_600_000 // BUCKET_MS * BUCKET_MS
HOUR_MS = 3_600_000
OFFSETS = count()
Row = tuple[int, bool, bool, int]


def result(
    at_ms: int = NOW_MS, *, accepted: bool = False, epoch: int = 7, integration: int = 521
) -> Result:
    return Result(
        "a/521", 1111, integration, "opsgenie", 1, accepted, "", "", at_ms, 0.1, epoch=epoch
    )


def add(one: Judge, found: Result, *, is_exhausted: bool) -> Verdict | None:
    """Let a judge count a result, each with an offset of its own."""
    return one.count(found, next(OFFSETS), is_exhausted=is_exhausted)


def judge(on: Occasion = "exhausted", min_requests: int = 17) -> Judge:
    return Judge(JudgeRules(on, min_requests))


def fed(accepted: int, failed: int, at_ms: int = NOW_MS, *, into: Judge | None = None) -> Judge:
    one = into or judge()
    for number in range(accepted + failed):
        assert add(one, result(at_ms, accepted=number < accepted), is_exhausted=False) is None
    return one


def last(one: Judge, at_ms: int = NOW_MS) -> Verdict | None:
    """Give a delivery up with one more failed request."""
    return add(one, result(at_ms), is_exhausted=True)


@pytest.mark.parametrize(
    ("accepted", "failed", "is_disabled"),
    [(40, 60, True), (41, 59, False), (401, 599, False), (400, 600, True), (1000, 1499, False)],
)
def test_the_share_at_60_percent_disables_and_just_under_it_does_not(
    accepted: int, failed: int, *, is_disabled: bool
) -> None:
    one = fed(accepted, failed - 1)
    verdict = last(one)
    assert (verdict is not None) is is_disabled
    if verdict is not None:
        assert verdict == Verdict(521, 1111, 7, failed, accepted + failed, NOW_MS)


@pytest.mark.parametrize(("failed", "is_disabled"), [(15, False), (16, True)])
def test_fewer_than_17_requests_disable_nothing(failed: int, *, is_disabled: bool) -> None:
    assert (last(fed(0, failed)) is not None) is is_disabled


def test_without_a_delivery_given_up_nothing_is_disabled() -> None:
    one = fed(0, 1000)
    assert one.totals(521, NOW_MS) == (1000, 1000)


def test_the_settings_can_read_the_rule_literally_or_not_at_all() -> None:
    verdict = add(judge("any-failure", 1), result(), is_exhausted=False)
    assert verdict is not None
    assert (verdict.failed, verdict.total) == (1, 1)
    assert add(fed(0, 50, into=judge("never")), result(), is_exhausted=True) is None


def test_an_accepted_request_never_makes_a_verdict() -> None:
    one = fed(0, 50, into=judge("exhausted"))
    assert add(one, result(accepted=True), is_exhausted=False) is None


def test_requests_of_12_hours_count_by_the_bucket() -> None:
    assert BUCKETS * BUCKET_MS == WINDOW_HOURS * HOUR_MS == 12 * HOUR_MS
    one = fed(0, 20, NOW_MS)
    newest_that_counts_it = NOW_MS + 12 * HOUR_MS - 1
    assert one.totals(521, newest_that_counts_it) == (20, 20)
    assert one.totals(521, newest_that_counts_it + 1) == (0, 0)
    one = fed(0, 20, NOW_MS + BUCKET_MS - 1)
    assert one.totals(521, newest_that_counts_it) == (20, 20)
    assert one.totals(521, newest_that_counts_it + 1) == (0, 0), "the same bucket"
    one = fed(0, 20, NOW_MS + BUCKET_MS)
    assert one.totals(521, newest_that_counts_it + 1) == (20, 20), "the next bucket"
    assert one.totals(521, NOW_MS) == (0, 0), "a clock that was ahead"


def test_failures_of_more_than_12_hours_ago_disable_nothing() -> None:
    one = fed(0, 20, NOW_MS)
    assert last(one, NOW_MS + 12 * HOUR_MS) is None
    assert last(fed(0, 20, NOW_MS), NOW_MS + 12 * HOUR_MS - 1) is not None


def test_buckets_older_than_the_window_leave_memory() -> None:
    one = judge()
    for number in range(3 * BUCKETS):
        fed(1, 0, NOW_MS + number * BUCKET_MS, into=one)
    one.confirm(one.cut())
    newest = NOW_MS + 3 * BUCKETS * BUCKET_MS
    add(one, result(newest), is_exhausted=False)
    changed = dict(one.cut())
    bucket = changed[521, newest // BUCKET_MS]
    assert isinstance(bucket, Bucket)
    assert (bucket.epoch, bucket.requests, bucket.failures) == (7, 1, 1)
    assert changed[521, newest // BUCKET_MS - BUCKETS] is None


def test_it_disables_once_and_counts_nothing_more_of_that_epoch() -> None:
    one = fed(0, 16)
    assert last(one) is not None
    assert last(one) is None
    assert one.totals(521, NOW_MS) == (17, 17)


def test_a_new_epoch_begins_anew_and_results_of_an_old_one_are_passed_over() -> None:
    one = fed(0, 16)
    assert last(one) is not None
    assert add(one, result(epoch=8), is_exhausted=True) is None
    assert one.totals(521, NOW_MS) == (1, 1)
    assert add(one, result(epoch=7), is_exhausted=True) is None
    assert one.totals(521, NOW_MS) == one.totals(521, NOW_MS, 8) == (1, 1)
    assert one.totals(521, NOW_MS, 9) == (0, 0), "enabled again, and nothing sent yet"
    for _ in range(15):
        add(one, result(epoch=8), is_exhausted=False)
    verdict = add(one, result(epoch=8), is_exhausted=True)
    assert verdict is not None
    assert verdict.epoch == 8


def test_integrations_are_judged_apart_and_forgotten_alone() -> None:
    one = fed(0, 16)
    add(one, result(integration=7), is_exhausted=True)
    one.forget(521)
    assert one.totals(521, NOW_MS) == (0, 0)
    assert one.totals(7, NOW_MS) == (1, 1)


def test_a_total_outage_of_five_minutes_at_ten_alerts_a_second_disables_nothing() -> None:
    """Every alert is accepted at one of its resends, so none is given up."""
    outage_ms, one, accepted = 300_000, judge(), 0
    requests: list[tuple[int, bool]] = []
    for alert in range(3000):
        due_ms = NOW_MS + alert * 100
        for wait in WAITS_SECONDS:
            due_ms += wait * 1000
            is_up = due_ms >= NOW_MS + outage_ms
            requests.append((due_ms, is_up))
            if is_up:
                accepted += 1
                break
    for at_ms, is_up in sorted(requests):
        assert add(one, result(at_ms, accepted=is_up), is_exhausted=False) is None
    total, failed = one.totals(521, max(at_ms for at_ms, _ in requests))
    assert accepted == 3000
    assert failed / total > 0.8, "the share alone would have disabled it"


@given(
    st.lists(
        st.tuples(st.integers(0, 3 * BUCKETS), st.booleans(), st.booleans(), st.integers(1, 2)),
        max_size=60,
    ).map(lambda rows: sorted(rows, key=itemgetter(0))),
    st.integers(0, 60),
    st.integers(0, 60),
    st.sets(st.integers(0, 60)),
)
def test_a_crash_anywhere_and_a_replay_miscount_nothing(
    rows: list[Row], acknowledged: int, crash: int, lost: set[int]
) -> None:
    """The worker dies in a flush: some of its records are written, but not its progress."""
    whole = judge(min_requests=3)
    verdicts = run(whole, rows, 0)
    start, end = sorted((min(acknowledged, len(rows)), min(crash, len(rows))))
    first, copy = judge(min_requests=3), judge(min_requests=3)
    found = run(first, rows[:start], 0)
    for part in (rows[:0], rows[start:end]):
        found += run(first, part, start)
        cut = first.cut()
        first.confirm(cut)
        for place, (key, value) in enumerate(cut):
            if not part or place not in lost:
                copy.restore_record(*copy.record(key, value))
    assert named(found + run(copy, rows[start:], start)) == named(verdicts)
    for number, judged in copy.judged_epochs.items():
        assert whole.judged_epochs[number].disabled or not judged.disabled
    for number, judged in whole.judged_epochs.items():
        if not judged.disabled:
            newest = max(bucket for bucket, *_ in rows)
            for bucket in range(newest, newest + BUCKETS):
                at_ms = NOW_MS + bucket * BUCKET_MS
                assert copy.totals(number, at_ms) == whole.totals(number, at_ms)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans(), st.integers(1, 2))))
def test_what_is_not_acknowledged_is_rolled_back(rows: list[Row]) -> None:
    whole, one = judge(min_requests=3), judge(min_requests=3)
    verdicts = run(whole, rows, 0)
    run(one, rows, 0)
    one.roll_back()
    assert one.judged_epochs == {}
    assert run(one, rows, 0) == verdicts


def run(one: Judge, rows: list[Row], offset: int) -> list[Verdict]:
    """Let a judge count results whose offsets begin at `offset`."""
    found = [
        one.count(
            result(NOW_MS + bucket * BUCKET_MS, accepted=accepted, epoch=epoch),
            offset + place,
            is_exhausted=exhausted and not accepted,
        )
        for place, (bucket, accepted, exhausted, epoch) in enumerate(rows)
    ]
    return [verdict for verdict in found if verdict is not None]


def named(verdicts: list[Verdict]) -> set[tuple[int, int]]:
    return {(verdict.integration_id, verdict.epoch) for verdict in verdicts}


def test_a_judged_epoch_comes_back_from_its_record() -> None:
    key, value = judge().record((521, None), JudgedEpoch(7, disabled=True, client_id=1111))
    assert (key, value) == (b"judge|521", b"[7,true,1111]")
    assert judge().record((521, 9), Bucket(7, 3, 2, 41)) == (b"judge|521|9", b"[7,3,2,41]")
    assert judge().record((521, 9), None) == (b"judge|521|9", None)
