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
from stream_app.domain.configuration.triggers import Threshold, Trigger
from stream_app.domain.replay.comparison import (
    Cause,
    Circumstances,
    ComparedAlert,
    ComparisonResult,
    RecordedAlerts,
    compare,
    window_of,
)
from stream_app.domain.replay.ranges import Extent

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


def missing(
    alert: Alert | NoticeAlert = ALERT, beside: tuple[Alert | NoticeAlert, ...] = (), **changes: Any
) -> ComparedAlert:
    rows = list(compare([alert], recorded(*beside), circumstances(**changes)))
    return next(row for row in rows if row.result is ComparisonResult.MISSING)


def extra(alert: Alert | NoticeAlert = ALERT, **changes: Any) -> ComparedAlert:
    (row,) = compare([], recorded(alert), circumstances(**changes))
    assert row.result is ComparisonResult.EXTRA
    return row


def test_equal_bytes_are_the_same() -> None:
    found = list(compare([ALERT, NOTICE], recorded(NOTICE, ALERT), circumstances()))
    assert found == [
        ComparedAlert(ComparisonResult.SAME, ALERT),
        ComparedAlert(ComparisonResult.SAME, NOTICE),
    ]


def test_other_bytes_of_one_id_are_a_configuration_that_has_changed() -> None:
    renamed = msgspec.structs.replace(ALERT, client_name="Acme Ltd", integration_ids=(7,))
    (row,) = compare([ALERT], recorded(renamed), circumstances())
    assert (row.result, row.cause) == (ComparisonResult.DIFFERENT, Cause.STALE_CONFIG)
    assert row.detail == "configured otherwise since: client_name, integration_ids"


def test_a_second_record_of_an_id_with_other_bytes_is_not_overlooked() -> None:
    renamed = msgspec.structs.replace(ALERT, client_name="Acme Ltd")
    assert [r.result for r in compare([ALERT], recorded(ALERT, ALERT), circumstances())] == ["same"]
    (row,) = compare([ALERT], recorded(ALERT, renamed), circumstances())
    assert (row.result, row.detail) == ("different", "configured otherwise since: client_name")


def test_why_an_alert_is_missing() -> None:
    before = fired_alert(CLIENT, OTHER, START)
    assert missing(beside=(before,)).cause is Cause.CHANGED_REVISION
    later = msgspec.structs.replace(TRIGGER, enabled_at=(START + 1) * 1000)
    assert missing(triggers={61: later}).cause is Cause.STALE_CONFIG
    cut = {"hits": Extent((START + 5) * 1000)}
    assert missing(extents=cut).cause is Cause.RANGE_CUT
    long_after = {"hits": Extent((START + 60 + 60_000) * 1000)}
    assert missing(extents=long_after).cause is Cause.LATE
    assert missing(partitions={"hits": "8, not 4"}).detail == "8, not 4"
    assert missing().cause is Cause.UNKNOWN


def test_why_an_alert_is_extra() -> None:
    assert extra(triggers={}).detail == "trigger 61 is not configured now"
    disabled = msgspec.structs.replace(TRIGGER, enabled=False)
    assert extra(triggers={61: disabled}).cause is Cause.STALE_CONFIG
    assert extra(triggers={61: OTHER}).cause is Cause.CHANGED_REVISION
    assert extra(extents={"hits": Extent(None, (START + 5) * 1000)}).cause is Cause.RANGE_CUT
    behind = extra(extents={"hits": Extent(None, (START + 600) * 1000)})
    assert behind.cause is Cause.RANGE_CUT
    assert behind.detail.startswith("0 events are in its window; others may lie behind")
    late = extra(late={window_of(ALERT): 3}.__getitem__)
    assert (late.cause, late.detail) == (
        Cause.LATE,
        "3 events of its window came late in the replay",
    )
    assert extra(partitions={"hits": "?"}).cause is Cause.PARTITION_COUNT
    unknown = extra(total={window_of(ALERT): 4}.__getitem__)
    assert unknown.cause is Cause.UNKNOWN
    assert unknown.detail == "4 events are in its window, and more than 5 fire"


def test_why_alerts_of_notices_differ() -> None:
    integration = Integration(521, 1, "x", True, "opsgenie", "", "", ("system",), epoch=0)
    newer = msgspec.structs.replace(integration, updated_at=START * 1000 + 1)
    assert missing(NOTICE, integrations={521: newer}).cause is Cause.STALE_CONFIG
    assert missing(NOTICE, integrations={521: integration}).cause is Cause.UNKNOWN
    assert extra(NOTICE).cause is Cause.UNKNOWN


def test_only_alerts_of_what_was_replayed_can_be_extra() -> None:
    other_kind = msgspec.structs.replace(
        ALERT,
        id="a",
        trigger=msgspec.structs.replace(ALERT.trigger, template_id="attacks_exceeded"),
    )
    found = recorded(ALERT, NOTICE, other_kind)
    found.add_record(b"{", lambda _alert: True)
    assert found.unreadable == 1
    assert window_of(ALERT) in found.windows
    read = {"hits": Extent(START * 1000, None), "account": Extent(None, START * 1000)}
    (row,) = compare([], found, circumstances(extents=read))
    assert (row.result, row.alert) == (ComparisonResult.EXTRA, ALERT)
    later = circumstances(extents={"hits": Extent((START + 60) * 1000)})
    assert not list(compare([], found, later))


def test_an_alert_of_late_uploads_is_found_though_its_window_lies_before_what_was_read() -> None:
    """Its events were appended within the range, but happened before it."""
    later = {"hits": Extent((START + 3600) * 1000)}
    (row,) = compare([ALERT], recorded(ALERT), circumstances(extents=later))
    assert row == ComparedAlert(ComparisonResult.SAME, ALERT)
    alone = missing(extents=later)
    assert alone.cause is Cause.RANGE_CUT
    assert "outside of what was read" in alone.detail
    within = {"hits": Extent((START + 5) * 1000)}
    assert "only partly within what was read" in missing(extents=within).detail
    before = fired_alert(CLIENT, OTHER, START)
    assert missing(beside=(before,), extents=later).cause is Cause.CHANGED_REVISION


@pytest.mark.parametrize("wanted", [True, False])
def test_alerts_that_are_not_meant_are_left_out(wanted: bool) -> None:  # noqa: FBT001
    found = RecordedAlerts()
    found.add_record(encode_alert(ALERT), lambda alert: isinstance(alert, Alert) and wanted)
    assert bool(found.alerts) is wanted
