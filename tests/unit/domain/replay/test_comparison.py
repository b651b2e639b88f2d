from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stream_app.domain.alerts.alert import (
    Alert,
    AlertNotice,
    NoticeAlert,
    encode_alert,
    fired_alert,
)
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.triggers import Filter, Threshold, Trigger
from stream_app.domain.replay.causes import Cause, Circumstances
from stream_app.domain.replay.comparison import (
    ComparedAlert,
    ComparisonResult,
    compare,
    is_as_before,
)
from stream_app.domain.replay.ranges import Extent
from stream_app.domain.replay.recorded_alerts import RecordedAlerts
from stream_app.domain.replay.recorded_triggers import FormerTriggers, counted_key
from stream_app.domain.replay.verdicts import verdicts

START = 1_767_225_600
CLIENT = Client(1, "Acme", "EU", {})
TRIGGER = Trigger(
    id=61, client_id=1, name="Hits", template_id="hits_exceeded", enabled=True, filters=(),
    threshold=Threshold(5, 60), integration_ids=(521,), enabled_at=1000,
)  # fmt: skip
OTHER = msgspec.structs.replace(TRIGGER, threshold=Threshold(9, 60))
ALERT = fired_alert(CLIENT, TRIGGER, START)
NOTICE = NoticeAlert(
    "n", 1, "Acme", "EU", AlertNotice("create_user", "system", "s", "", {}, START * 1000), (521,)
)


def recorded(*alerts: Alert | NoticeAlert) -> RecordedAlerts:
    found = RecordedAlerts()
    for alert in alerts:
        found.add_record(encode_alert(alert), lambda _alert: True)
    return found


def circumstances(**changes: Any) -> Circumstances:
    known: dict[str, Any] = {
        "triggers": {61: TRIGGER},
        "integrations": {},
        "extents": {"hits": Extent(), "account": Extent()},
    }
    return Circumstances(**known | changes)


def compared(
    now: list[Alert | NoticeAlert], then: list[Alert | NoticeAlert], **changes: Any
) -> list[ComparedAlert]:
    found = recorded(*then)
    former = FormerTriggers(found.fired(), {})
    return list(compare(now, found, circumstances(former=former, **changes)))


def new(
    alert: Alert | NoticeAlert = ALERT, beside: tuple[Alert | NoticeAlert, ...] = (), **changes: Any
) -> ComparedAlert:
    rows = compared([alert], list(beside), **changes)
    return next(row for row in rows if row.result is ComparisonResult.NEW)


def gone(alert: Alert | NoticeAlert = ALERT, **changes: Any) -> ComparedAlert:
    (row,) = compared([], [alert], **changes)
    return row


def results(rows: list[ComparedAlert]) -> list[str]:
    return [row.result.value for row in rows]


def test_equal_bytes_are_the_same() -> None:
    found = compared([ALERT, NOTICE], [NOTICE, ALERT])
    assert [(row.result, row.alert) for row in found] == [
        (ComparisonResult.SAME, ALERT),
        (ComparisonResult.SAME, NOTICE),
    ]


def test_a_trigger_that_was_only_enabled_anew_fires_as_before() -> None:
    """Its revision and all its alerts' ids are others; a dry run enables its triggers anew."""
    anew = msgspec.structs.replace(TRIGGER, enabled_at=2000)
    ours = fired_alert(CLIENT, anew, START)
    assert ours.id != ALERT.id
    rows = compared([ours], [ALERT], triggers={61: anew}, count={counted_key(anew, START): 8}.get)
    assert results(rows) == ["same"]
    assert (rows[0].recorded.count, rows[0].replayed.count) == (8, 8)
    assert list(verdicts(rows)) == ["trigger 61 'Hits': 1 alert as before"]


def test_a_higher_threshold_is_judged_by_the_counts_of_both_sides() -> None:
    """Three windows fired at more than 5, one of which has more than 9; one was never above 5."""
    then = [fired_alert(CLIENT, TRIGGER, START + n * 60) for n in range(3)]
    kept = fired_alert(CLIENT, OTHER, START + 60)
    former = msgspec.structs.replace(TRIGGER, enabled_at=0)
    counts = {
        **{counted_key(former, START + n * 60): count for n, count in enumerate((7, 12, 6))},
        **{counted_key(OTHER, START + n * 60): count for n, count in enumerate((7, 12, 6))},
    }
    rows = compared([kept], [*then], triggers={61: OTHER}, count=counts.get)
    assert results(rows) == ["no_longer_fires", "same", "no_longer_fires"]
    first = rows[0]
    assert (first.recorded.count, first.recorded.threshold) == (7, Threshold(5, 60))
    assert (first.replayed.count, first.replayed.threshold) == (7, Threshold(9, 60))
    assert (first.cause, first.detail) == (Cause.CHANGED_TRIGGER, "threshold 5 → 9")
    assert (rows[1].recorded.count, rows[1].replayed.count) == (12, 12)
    assert list(verdicts(rows)) == ["trigger 61 'Hits': 1 alert as before, 2 no longer fire"]
    assert not is_as_before(rows)


def test_another_filter_has_counts_of_its_own_and_makes_new_alerts() -> None:
    wider = msgspec.structs.replace(
        TRIGGER, filters=(Filter("attack_type", "eq", ("sqli", "xss")),)
    )
    former = msgspec.structs.replace(TRIGGER, enabled_at=0)
    later = fired_alert(CLIENT, wider, START + 60)
    counts = {counted_key(former, START + 60): 4, counted_key(wider, START + 60): 9}
    rows = compared(
        [fired_alert(CLIENT, wider, START), later], [ALERT], triggers={61: wider}, count=counts.get
    )
    assert results(rows) == ["same", "new"]
    assert (rows[1].recorded.count, rows[1].recorded.alert) == (4, None)
    assert (rows[1].replayed.count, rows[1].replayed.alert) == (9, later)
    assert rows[1].detail == "filters none → attack_type eq sqli, xss"
    (verdict,) = verdicts(rows)
    assert verdict == "trigger 61 'Hits': 1 alert as before, 1 new"


def test_another_period_pairs_windows_that_overlap() -> None:
    """Of four minutes that fired, two lie in an hour that fires; another hour is new."""
    hourly = msgspec.structs.replace(TRIGGER, threshold=Threshold(5, 3600))
    then = [fired_alert(CLIENT, TRIGGER, START + n) for n in (0, 600, 3600, 7200)]
    now = [fired_alert(CLIENT, hourly, START + n) for n in (0, 10800)]
    rows = compared([*now], [*then], triggers={61: hourly})
    assert results(rows) == ["same", "same", "no_longer_fires", "no_longer_fires", "new"]
    assert [row.replayed.alert for row in rows[:2]] == [now[0], now[0]]
    assert rows[2].detail == "period 1 minute → 1 hour"
    assert (rows[2].replayed.count, rows[4].recorded.count) == (None, None), "no such window"
    (verdict,) = verdicts(rows)
    assert verdict == (
        "trigger 61 'Hits' (period 1 minute → 1 hour, so its windows are others; alerts whose "
        "windows overlap count as the same): 2 alerts as before (1 now), 2 no longer fire, 1 new"
    )


def test_a_pair_that_says_something_else_or_goes_to_others_is_different() -> None:
    renamed = msgspec.structs.replace(ALERT, client_name="Acme Ltd", integration_ids=(7, 8))
    (row,) = compared([ALERT], [renamed])
    assert (row.result, row.cause) == (ComparisonResult.DIFFERENT, Cause.STALE_CONFIG)
    assert row.detail == (
        "configured otherwise since: client_name Acme Ltd → Acme; integration_ids 7, 8 → 521"
    )
    other_name = msgspec.structs.replace(TRIGGER, name="Other")
    (row,) = compared([fired_alert(CLIENT, other_name, START)], [ALERT])
    assert "trigger_name Hits → Other" in row.detail


def test_a_second_record_of_an_id_with_other_bytes_is_not_overlooked() -> None:
    renamed = msgspec.structs.replace(ALERT, client_name="Acme Ltd")
    assert results(compared([ALERT], [ALERT, ALERT])) == ["same"]
    (row,) = compared([ALERT], [ALERT, renamed])
    assert row.result is ComparisonResult.DIFFERENT
    changed = msgspec.structs.replace(
        NOTICE, notice=msgspec.structs.replace(NOTICE.notice, summary="t")
    )
    (row,) = compared([NOTICE], [NOTICE, changed])
    assert row.result is ComparisonResult.DIFFERENT


def test_of_two_recorded_alerts_of_a_window_one_counts() -> None:
    """A trigger that is changed, or enabled anew, within a window fires twice in it."""
    anew = fired_alert(CLIENT, msgspec.structs.replace(TRIGGER, enabled_at=2000), START)
    for then in ([ALERT, anew], [anew, ALERT]):
        rows = compared([ALERT], [*then])
        assert [(row.result, row.recorded.alert) for row in rows] == [("same", ALERT)]


def test_why_an_alert_is_new() -> None:
    before = fired_alert(CLIENT, OTHER, START - 60)
    assert new(beside=(before,)).cause is Cause.CHANGED_TRIGGER
    later = msgspec.structs.replace(TRIGGER, enabled_at=(START + 1) * 1000)
    assert new(triggers={61: later}).cause is Cause.STALE_CONFIG
    cut = {"hits": Extent((START + 5) * 1000)}
    assert new(extents=cut).cause is Cause.RANGE_CUT
    long_after = {"hits": Extent((START + 60 + 60_000) * 1000)}
    assert new(extents=long_after).cause is Cause.LATE
    assert new(partitions={"hits": "8, not 4"}).detail == "8, not 4"
    assert new().cause is Cause.UNKNOWN


def test_why_an_alert_no_longer_fires() -> None:
    assert gone(triggers={}).detail == "trigger 61 is not configured"
    disabled = msgspec.structs.replace(TRIGGER, enabled=False)
    off = gone(triggers={61: disabled})
    assert (off.result, off.cause) == (ComparisonResult.NO_LONGER_FIRES, Cause.STALE_CONFIG)
    assert gone(triggers={61: OTHER}).cause is Cause.CHANGED_TRIGGER
    key = counted_key(TRIGGER, START)
    late = gone(late={key: 3}.__getitem__)
    assert (late.cause, late.detail) == (
        Cause.LATE,
        "3 events of its window came late in the replay",
    )
    assert gone(partitions={"hits": "?"}).cause is Cause.PARTITION_COUNT
    unknown = gone(count={key: 4}.get)
    assert unknown.cause is Cause.UNKNOWN
    assert (unknown.replayed.count, unknown.replayed.threshold) == (4, Threshold(5, 60))


def test_a_window_that_was_read_in_part_is_not_judged() -> None:
    """Its missing events may well exceed the threshold, by the old trigger or by a new one."""
    cut = {"hits": Extent(None, (START + 5) * 1000)}
    behind = {"hits": Extent(None, (START + 600) * 1000)}
    for row in (gone(extents=cut), gone(extents=behind), gone(extents=cut, triggers={61: OTHER})):
        assert (row.result, row.cause) == (ComparisonResult.NOT_JUDGED, Cause.RANGE_CUT)
    assert not is_as_before([gone(extents=cut)]), "nothing could be judged"
    assert is_as_before([gone(extents=cut), *compared([ALERT], [ALERT])])
    assert gone(extents=cut, triggers={}).result is ComparisonResult.NO_LONGER_FIRES
    assert list(verdicts([gone(extents=cut)])) == [
        "trigger 61 'Hits': no alert as before, 1 cannot be judged"
    ]


def test_why_alerts_of_notices_differ() -> None:
    integration = Integration(521, 1, "x", True, "opsgenie", "", "", ("system",), epoch=0)
    newer = msgspec.structs.replace(integration, updated_at=START * 1000 + 1)
    assert new(NOTICE, integrations={521: newer}).cause is Cause.STALE_CONFIG
    assert new(NOTICE, integrations={521: integration}).cause is Cause.UNKNOWN
    assert gone(NOTICE).cause is Cause.UNKNOWN


def test_only_alerts_of_what_was_replayed_are_missed() -> None:
    other_kind = msgspec.structs.replace(
        ALERT,
        id="a",
        trigger=msgspec.structs.replace(ALERT.trigger, template_id="attacks_exceeded", id=62),
    )
    found = recorded(ALERT, NOTICE, other_kind)
    found.add_record(b"{", lambda _alert: True)
    assert found.unreadable == 1
    read = {"hits": Extent(START * 1000, None), "account": Extent(None, START * 1000)}
    (row,) = compare([], found, circumstances(extents=read))
    assert (row.result, row.alert) == (ComparisonResult.NO_LONGER_FIRES, ALERT)
    later = circumstances(extents={"hits": Extent((START + 60) * 1000)})
    assert not list(compare([], found, later))


def test_an_alert_of_late_uploads_is_found_though_its_window_lies_before_what_was_read() -> None:
    """Its events were appended within the range, but happened before it."""
    later = {"hits": Extent((START + 3600) * 1000)}
    assert results(compared([ALERT], [ALERT], extents=later)) == ["same"]
    alone = new(extents=later)
    assert alone.cause is Cause.RANGE_CUT
    assert "outside of what was read" in alone.detail
    within = {"hits": Extent((START + 5) * 1000)}
    assert "only partly within what was read" in new(extents=within).detail


def test_the_verdict_names_triggers_that_differ_and_sums_up_the_others() -> None:
    other = msgspec.structs.replace(TRIGGER, id=62, name="Others")
    theirs = fired_alert(CLIENT, other, START)
    triggers = {61: TRIGGER, 62: other}
    rows = compared([ALERT, NOTICE], [ALERT, NOTICE, theirs], triggers=triggers)
    assert list(verdicts(rows)) == [
        "trigger 62 'Others': no alert as before, 1 no longer fires",
        "2 others: 2 alerts as before",
    ]
    assert list(verdicts(compared([ALERT, NOTICE], [ALERT, NOTICE]))) == [
        "2 alerts as before, of 2 triggers; none is new, and none no longer fires"
    ]
    assert list(verdicts([])) == ["no alerts, neither then nor now"]
    assert is_as_before([])


@pytest.mark.parametrize("wanted", [True, False])
def test_alerts_that_are_not_meant_are_left_out(wanted: bool) -> None:  # noqa: FBT001
    found = RecordedAlerts()
    found.add_record(encode_alert(ALERT), lambda alert: isinstance(alert, Alert) and wanted)
    assert bool(found.alerts) is wanted
