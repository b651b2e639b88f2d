from __future__ import annotations

import pytest

from stream_app.opsgenie.sandbox.state import (
    AlertAction,
    IdentifierType,
    RequestView,
    SandboxState,
    iso_time,
)

NOW_MS = 1_767_225_661_042
#: When what was accepted then is processed.
LATER_MS = NOW_MS + 100


@pytest.fixture
def state() -> SandboxState:
    return SandboxState(capacity=3, processing_ms=100)


def test_an_alert_has_what_was_sent(state: SandboxState) -> None:
    payload = {"message": "m", "alias": "a", "description": "d", "details": {"k": "v"}}
    alert = state.create({**payload, "tags": ["t"], "priority": "P1"}, "r1", NOW_MS)
    assert alert.as_json() == {
        "id": "r1",
        "alias": "a",
        "message": "m",
        "description": "d",
        "details": {"k": "v"},
        "tags": ["t"],
        "priority": "P1",
        "entity": "",
        "source": "",
        "status": "open",
        "count": 1,
        "requests": 1,
        "notes": [],
        "log": [],
        "createdAt": "2026-01-01T00:01:01.042Z",
    }


def test_an_alert_without_priority_is_p3(state: SandboxState) -> None:
    assert state.create({"message": "m"}, "r1", NOW_MS).priority == "P3"


def test_an_open_alias_counts_and_keeps_its_text(state: SandboxState) -> None:
    state.create({"message": "first", "alias": "a"}, "r1", NOW_MS)
    state.create({"message": "second", "alias": "a"}, "r2", NOW_MS + 1)
    (alert,) = state.alerts
    assert (alert.message, alert.count, alert.created_at_ms) == ("first", 2, NOW_MS)


def test_the_count_stops_at_100_and_the_requests_do_not(state: SandboxState) -> None:
    for number in range(120):
        state.create({"message": "m", "alias": "a"}, f"r{number}", NOW_MS)
    (alert,) = state.alerts
    assert (alert.count, alert.requests, len(alert.log)) == (100, 120, 100)
    assert alert.log[0].as_json() == {
        "createdAt": "2026-01-01T00:01:01.042Z",
        "text": "Alert is created again, count 2",
    }


def test_aliases_are_compared_exactly(state: SandboxState) -> None:
    for alias in ("a", "A", "a "):
        state.create({"message": "m", "alias": alias}, f"r{alias}", NOW_MS)
    assert [alert.count for alert in state.alerts] == [1, 1, 1]


def test_alerts_without_alias_stay_apart(state: SandboxState) -> None:
    aliases = {state.create({"message": "m"}, name, NOW_MS).alias for name in ("r1", "r2")}
    assert len(aliases) == 2


def test_a_closed_alias_opens_a_new_alert(state: SandboxState) -> None:
    state.create({"message": "m", "alias": "a"}, "r1", NOW_MS)
    state.act(AlertAction.CLOSE, "a", "r2", LATER_MS)
    assert [alert.status for alert in state.alerts] == ["closed"]
    state.create({"message": "m", "alias": "a"}, "r3", NOW_MS)
    assert [(alert.id, alert.status) for alert in state.alerts] == [
        ("r1", "closed"),
        ("r3", "open"),
    ]


def test_a_request_is_processed_a_moment_later(state: SandboxState) -> None:
    state.create({"message": "m", "alias": "a"}, "r1", NOW_MS)
    assert state.is_known("r1")
    assert state.request_data("r1", NOW_MS + 99) is None
    assert state.request_data("r1", NOW_MS + 100) == {
        "isSuccess": True,
        "action": "Create",
        "status": "Created alert",
        "alertId": "r1",
        "alias": "a",
        "integrationId": "sandbox",
        "processedAt": "2026-01-01T00:01:01.142Z",
    }


def test_closing_what_is_not_open_is_no_success(state: SandboxState) -> None:
    state.create({"message": "m", "alias": "a"}, "r1", NOW_MS)
    state.act(AlertAction.CLOSE, "a", "r2", LATER_MS)
    for alias, request_id in (("a", "r3"), ("never", "r4")):
        state.act(AlertAction.CLOSE, alias, request_id, NOW_MS)
        data = state.request_data(request_id, NOW_MS + 100)
        assert data is not None
        assert data["isSuccess"] is False
        assert (data["status"], data["alias"]) == ("Alert does not exist", alias)


def test_a_close_and_a_note_before_the_alert_is_processed_do_nothing(state: SandboxState) -> None:
    state.create({"message": "m", "alias": "a"}, "r1", NOW_MS)
    state.act(AlertAction.CLOSE, "a", "r2", LATER_MS - 1, note="over")
    state.act(AlertAction.NOTE, "a", "r3", LATER_MS - 1, note="37 more windows")
    (alert,) = state.alerts
    assert (alert.status, alert.notes) == ("open", ())
    for request_id, action in (("r2", "Close"), ("r3", "AddNote")):
        data = state.request_data(request_id, LATER_MS + 100)
        assert data is not None
        assert (data["isSuccess"], data["action"]) == (False, action)
        assert data["status"] == "Alert does not exist"


def test_notes_go_to_the_open_alert_by_alias_or_id_and_are_lost_else() -> None:
    state = SandboxState(capacity=10, processing_ms=100)
    state.create({"message": "m", "alias": "a"}, "r1", NOW_MS)
    state.act(AlertAction.NOTE, "a", "r2", LATER_MS, note="37 more windows")
    state.act(AlertAction.NOTE, "r1", "r3", LATER_MS, note="and 5", by=IdentifierType.ID)
    state.act(AlertAction.NOTE, "r1", "r4", LATER_MS, note="by a wrong name")
    state.act(AlertAction.CLOSE, "a", "r5", LATER_MS, note="over")
    state.act(AlertAction.NOTE, "a", "r6", LATER_MS, note="too late")
    (alert,) = state.alerts
    assert [note.text for note in alert.notes] == ["37 more windows", "and 5", "over"]
    assert alert.as_json()["status"] == "closed"
    found = [state.request_data(name, LATER_MS + 100) for name in ("r2", "r3", "r4", "r5", "r6")]
    assert [data["isSuccess"] for data in found if data] == [True, True, False, True, False]


def test_a_discarded_request_shows_only_in_its_status(state: SandboxState) -> None:
    state.discard(AlertAction.CREATE, "a", "r1", NOW_MS)
    assert state.alerts == []
    assert state.request_data("r1", NOW_MS + 99) is None
    data = state.request_data("r1", NOW_MS + 100)
    assert data is not None
    assert (data["isSuccess"], data["action"], data["alias"]) == (False, "Create", "a")


def test_only_the_newest_are_kept(state: SandboxState) -> None:
    for number in range(5):
        state.create({"message": "m", "alias": f"a{number}"}, f"r{number}", NOW_MS)
        state.add_request(RequestView(NOW_MS, "POST", "/", 202, f"a{number}", f"r{number}", "4444"))
    assert [alert.alias for alert in state.alerts] == ["a2", "a3", "a4"]
    assert [request.alias for request in state.requests] == ["a2", "a3", "a4"]
    assert [state.is_known(f"r{number}") for number in range(5)] == [False, False, True, True, True]
    assert state.create({"message": "m", "alias": "a0"}, "r9", NOW_MS).count == 1


def test_a_dropped_alert_does_not_close_the_newer_one_of_its_alias(state: SandboxState) -> None:
    state.create({"message": "m", "alias": "a"}, "r1", NOW_MS)
    state.act(AlertAction.CLOSE, "a", "r2", LATER_MS)
    for number, alias in enumerate(("a", "b", "c")):
        state.create({"message": "m", "alias": alias}, f"n{number}", NOW_MS)
    assert state.create({"message": "m", "alias": "a"}, "n9", NOW_MS).count == 2


def test_clearing_forgets_everything(state: SandboxState) -> None:
    state.create({"message": "m", "alias": "a"}, "r1", NOW_MS)
    state.add_request(RequestView(NOW_MS, "POST", "/", 202, "a", "r1", "4444"))
    state.clear()
    assert (state.alerts, state.requests, state.is_known("r1")) == ([], [], False)
    assert state.create({"message": "m", "alias": "a"}, "r2", NOW_MS).count == 1


def test_times_are_utc_with_milliseconds() -> None:
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"
