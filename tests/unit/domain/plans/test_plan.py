from __future__ import annotations

import json
from typing import Any

import pytest

from stream_app.domain.configuration.fields import changed_fields
from stream_app.domain.configuration.kinds import Kind, Stored, kind_of
from stream_app.domain.errors import ConfigurationError, SealingError
from stream_app.domain.plans.file_object import FileObject
from stream_app.domain.plans.keys import shown_form
from stream_app.domain.plans.plan import Action, Change, Plan, Rules
from stream_app.domain.plans.planner import make_plan

NOW = 1767225600000
CLEAR = "fake-key-not-real"
US = "https://api.opsgenie.com/v2/alerts"
EU = "https://api.eu.opsgenie.com/v2/alerts"


class FakeKeeper:
    """Seals readably, so that a test can look at what was bound to what."""

    def seal(self, clear: str, context: str) -> str:
        if clear == "unsealable":
            raise SealingError("no secret key: `stream-app secrets generate` makes one")
        return f"sealed:v1:{context.encode().hex()}_{clear.encode().hex()}"

    def open(self, stored: str, context: str) -> str:
        if not stored.startswith(f"sealed:v1:{context.encode().hex()}_"):
            raise SealingError(f"does not belong to {context}")
        return bytes.fromhex(stored.partition("_")[2]).decode()

    def is_sealed_with_newest(self, clear: str, stored: str, context: str) -> bool:
        return stored == self.seal(clear, context)


KEEPER = FakeKeeper()
SEALED = KEEPER.seal(CLEAR, "1111/521@api.opsgenie.com")


def check_api(api: str) -> None:
    if "opsgenie.com" not in api:
        raise ConfigurationError("target.api: not allowed: use Opsgenie")


def client(**changes: Any) -> dict[str, Any]:
    return {"client_id": 1111, "name": "Acme", "cloud": "EU"} | changes


def integration(token: object = CLEAR, api: str = US, **changes: Any) -> dict[str, Any]:
    return {
        "id": 521,
        "client_id": 1111,
        "name": "On-call",
        "active": True,
        "type": "opsgenie",
        "target": {"token": token, "api": api},
        "events": [{"event": "system", "active": True}],
    } | changes


def trigger(**changes: Any) -> dict[str, Any]:
    return {
        "id": 61,
        "client_id": 1111,
        "name": "Incidents",
        "enabled": True,
        "template_id": "incidents_exceeded",
        "filters": [],
        "threshold": {"count": 1, "period": 60},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
    } | changes


def stored_objects(**changes: dict[int, dict[str, object]]) -> Stored:
    records: Stored = {
        Kind.CLIENT: {1111: client()},
        Kind.INTEGRATION: {521: integration(SEALED) | {"updated_at": 5}},
        Kind.TRIGGER: {61: trigger() | {"enabled_at": 5}},
    }
    return records | {Kind(kind): rows for kind, rows in changes.items()}


def plan(
    *objects: dict[str, Any],
    stored: Stored | None = None,
    prune: bool = False,
    is_answer: bool = False,
) -> Plan:
    rows = [
        FileObject("acme.yaml", number, obj, is_answer)
        for number, obj in enumerate(objects, start=1)
    ]
    rules = Rules(now_ms=NOW, allowed_periods=(1, 60, 3600), keeper=KEEPER, check_api=check_api)
    return make_plan(rows, stored or {kind: {} for kind in Kind}, rules, prune=prune)


def written(change: Change) -> dict[str, object]:
    """Return the record of a change that is no deletion."""
    assert change.record is not None
    return change.record


@pytest.mark.parametrize(
    ("obj", "kind"),
    [
        ({"trigger": {}}, Kind.TRIGGER),
        ({"template_id": "x", "name": "n"}, Kind.TRIGGER),
        ({"target": {}, "events": []}, Kind.INTEGRATION),
        ({"type": "opsgenie", "events": []}, Kind.INTEGRATION),
        ({"name": "n", "cloud": "EU"}, Kind.CLIENT),
        ({"kind": "client"}, Kind.CLIENT),
        ({"kind": "integration", "template_id": "x"}, Kind.INTEGRATION),
        ({"kind": "rule", "template_id": "x"}, None),
        ({"name": "n"}, None),
        ({"target": {}}, None),
    ],
)
def test_an_object_is_recognised_by_kind_or_shape(obj: dict[str, Any], kind: Kind | None) -> None:
    assert kind_of(obj) == kind


def test_new_objects_are_created_clients_first() -> None:
    result = plan(trigger(), integration(), client())
    assert result.problems == ()
    assert [(c.kind, c.id, c.action) for c in result.changes] == [
        (Kind.CLIENT, 1111, Action.CREATED),
        (Kind.INTEGRATION, 521, Action.CREATED),
        (Kind.TRIGGER, 61, Action.CREATED),
    ]


def test_a_second_apply_changes_nothing() -> None:
    first = plan(client(), integration(), trigger())
    stored: Stored = {change.kind: {change.id: written(change)} for change in first.changes}
    again = plan(client(), integration(), trigger(), stored=stored)
    assert {change.action for change in again.changes} == {Action.UNCHANGED}
    assert [written(change) for change in again.changes] == [written(c) for c in first.changes]


def test_a_key_is_sealed_for_its_integration_and_host_and_stands_nowhere_in_the_clear() -> None:
    result = plan(client(), integration())
    record = written(result.changes[1])
    assert record["target"] == {"token": SEALED, "api": US}
    assert CLEAR not in json.dumps(record)
    assert CLEAR not in repr(result)
    assert record["updated_at"] == NOW


@pytest.mark.parametrize("target", [{"token": CLEAR}, {"token": CLEAR, "api": None}])
def test_an_address_that_is_not_given_is_that_of_the_us_instance(target: object) -> None:
    result = plan(client(), integration(target=target))
    assert result.problems == ()
    assert written(result.changes[1])["target"] == {"token": SEALED, "api": US}
    (change,) = plan(integration(target=target), stored=stored_objects()).changes
    assert change.action is Action.UNCHANGED


def test_a_key_of_another_instance_is_not_kept_when_no_address_is_given() -> None:
    stored = stored_objects(
        integration={521: written(plan(client(), integration(api=EU)).changes[1])}
    )
    (problem,) = plan(integration(target={"token": "(sealed)"}), stored=stored).problems
    assert "target.api has another host than before: give the key again" in problem


def test_an_empty_address_is_a_problem() -> None:
    (problem,) = plan(client(), integration(api="")).problems
    assert "integration[521].target.api: '': must be a text, not empty" in problem


def test_a_text_that_may_be_empty_is_not_said_to_be_needed() -> None:
    (problem,) = plan(client(), integration(), trigger(comment=5)).problems
    assert problem.endswith("trigger[61].comment: 5: must be a text")


def test_an_address_that_a_record_never_had_is_no_new_target() -> None:
    record = {**stored_objects()[Kind.INTEGRATION][521], "target": {"token": SEALED}, "epoch": 5}
    (change,) = plan(integration(), stored=stored_objects(integration={521: record})).changes
    assert (change.fields, written(change)["epoch"]) == (("target.api",), 5)


@pytest.mark.parametrize("token", ["env:STREAM_APP_KEY_1111_ACME", "file:1111/acme", SEALED])
def test_a_named_or_sealed_key_is_stored_as_it_is(token: str) -> None:
    target = written(plan(client(), integration(token)).changes[1])["target"]
    assert target == {"token": token, "api": US}


@pytest.mark.parametrize("token", [None, ""])
def test_a_key_that_is_not_given_is_kept(token: str | None) -> None:
    change = plan(integration(token, name="Renamed"), stored=stored_objects()).changes[0]
    assert written(change)["target"] == {"token": SEALED, "api": US}
    assert change.fields == ("name",)


def test_a_key_is_not_kept_for_another_host() -> None:
    result = plan(integration(None, api=EU), stored=stored_objects())
    (problem,) = result.problems
    assert problem == (
        "acme.yaml: integration[521].target.token: '(hidden)': "
        "target.api has another host than before: give the key again"
    )
    assert plan(integration(CLEAR, api=EU), stored=stored_objects()).problems == ()


def test_a_new_integration_needs_a_key() -> None:
    (problem,) = plan(client(), integration(None)).problems
    assert "target.token: is missing" in problem


def test_a_stored_key_in_the_clear_is_not_kept() -> None:
    stored = stored_objects(integration={521: integration(CLEAR)})
    (problem,) = plan(integration(None), stored=stored).problems
    assert "target.token: is missing" in problem


def test_another_key_is_an_update_that_shows_only_the_field() -> None:
    change = plan(integration("fake-key-number-2"), stored=stored_objects()).changes[0]
    assert (change.action, change.fields) == (Action.UPDATED, ("target.token",))
    assert written(change)["updated_at"] == NOW


@pytest.mark.parametrize(
    "token", ["env:HOME", "sealed:v9:abc", "file:1111/a b", 12345678, "unsealable"]
)
def test_a_key_that_cannot_be_stored_is_a_problem_that_does_not_show_it(token: object) -> None:
    stored = stored_objects(integration={})
    found = plan(integration(token), stored=stored).problems
    assert len(found) == 1
    assert "integration[521].target.token: '(hidden)': " in found[0]
    assert "12345678" not in found[0]


def test_a_sealed_key_of_another_integration_is_a_problem() -> None:
    (problem,) = plan(integration(SEALED, id=522), stored=stored_objects()).problems
    assert "integration[522].target.token: '(hidden)': does not belong to 1111/522@" in problem


def test_keys_among_the_fields_of_an_answer_are_left_out_and_named() -> None:
    obj = integration(
        created_by="bo@acme.example",
        api_key="another-fake-key",
        target={"token": CLEAR, "api": US, "team": "blue", "genie_key": "another-fake-key"},
    )
    change = plan(client(), obj, is_answer=True).changes[1]
    assert written(change)["created_by"] == "bo@acme.example"
    assert written(change)["target"] == {"token": SEALED, "api": US}
    assert set(change.key_fields) == {"api_key", "target.genie_key"}
    assert "another-fake-key" not in json.dumps(written(change))


def test_the_key_in_another_field_is_a_problem() -> None:
    obj = integration(notes=[{"text": f"the key is {CLEAR}"}])
    assert plan(client(), obj, is_answer=True).problems == (
        "acme.yaml: integration[521].notes[0].text: '(hidden)': holds the key: take it out",
    )


def test_an_address_that_is_not_allowed_is_a_problem() -> None:
    assert plan(client(), integration(api="https://evil.example")).problems == (
        "acme.yaml: integration[521].target.api: not allowed: use Opsgenie",
    )


@pytest.mark.parametrize(
    ("before", "after", "enabled_at"),
    [
        (None, trigger(), NOW),
        (None, trigger(enabled=False), None),
        (trigger(enabled=False), trigger(), NOW),
        (trigger(enabled=False, enabled_at=5), trigger(), NOW),
        (trigger(enabled_at=5), trigger(name="Other"), 5),
        (trigger(enabled_at=5), trigger(enabled=False), 5),
        (trigger(enabled_at=5), trigger(enabled_at=9, name="Other"), 5),
        (trigger(), trigger(name="Other"), None),
    ],
)
def test_enabled_at_is_set_when_a_trigger_becomes_enabled(
    before: dict[str, Any] | None, after: dict[str, Any], enabled_at: int | None
) -> None:
    stored = stored_objects(trigger={} if before is None else {61: before})
    change = plan(after, stored=stored).changes[0]
    assert written(change).get("enabled_at") == enabled_at


def test_a_wrapped_trigger_is_stored_flat() -> None:
    inner = trigger()
    del inner["client_id"]
    change = plan({"trigger": inner, "clientid": 1111, "kind": "trigger"}, stored=stored_objects())
    assert change.changes[0].action is Action.UNCHANGED


def test_a_client_may_write_its_id_as_id() -> None:
    obj = {"id": 1111, "name": "Acme", "cloud": "EU"}
    assert written(plan(obj).changes[0]) == client()


def test_every_problem_of_every_object_is_reported_where_it_stands() -> None:
    result = plan(
        client(cloud="XX"),
        trigger(id=None, threshold={"count": -1, "period": 7}),
        {"what": "is this"},
        trigger(),
    )
    unknown = "actions[0].params.integration_ids[0]: 521: no such integration: apply it, too"
    missing = "is missing: must be an integer, 1 or more"
    assert result.problems == (
        "acme.yaml: client[1111].cloud: 'XX': must be one of EU, US, ME",
        f"acme.yaml: trigger[#2].id: {missing}",
        "acme.yaml: trigger[#2].threshold.count: -1: must be an integer, 0 or more",
        "acme.yaml: trigger[#2].threshold.period: 7: must be one of 1, 60, 3600 (seconds)",
        f"acme.yaml: trigger[#2].{unknown}",
        "acme.yaml: object 3: kind: not set: must be client, integration or trigger",
        f"acme.yaml: trigger[61].{unknown}",
    )


def test_a_trigger_may_name_integrations_of_its_own_client_only() -> None:
    stored = stored_objects(client={1111: client(), 2222: client(client_id=2222)})
    (problem,) = plan(trigger(id=62, client_id=2222), stored=stored).problems
    assert (
        "trigger[62].actions[0].params.integration_ids[0]: 521: is not an integration of" in problem
    )


def test_an_object_that_no_record_would_take_is_a_problem() -> None:
    result = plan(client(name="x" * 530_000), integration(), trigger(name="y" * 140_000))
    large, other = result.problems
    assert large.startswith("acme.yaml: client[1111].bytes: 530")
    assert "must be at most 524288 as JSON" in large
    assert other.startswith("acme.yaml: trigger[61].bytes: 140")
    assert "must be at most 131072 as JSON" in other
    apps = {str(number): "An application's name" for number in range(10_000)}
    assert plan(client(applications=apps)).problems == ()


def test_an_unknown_client_is_a_problem() -> None:
    (problem,) = plan(integration()).problems
    assert "integration[521].client_id: 1111: no such client" in problem


def test_an_object_stays_with_its_client() -> None:
    stored = stored_objects(client={1111: client(), 2222: client(client_id=2222)})
    (problem,) = plan(integration(client_id=2222), stored=stored).problems
    assert "integration[521].client_id: 2222: it belongs to client 1111" in problem


def test_an_object_that_stands_twice_is_a_problem() -> None:
    (problem,) = plan(client(), client(name="Other")).problems
    assert problem == "acme.yaml: client[1111].id: 1111: stands twice: acme.yaml, object 1, too"


def test_changed_fields_are_paths() -> None:
    before = {"a": 1, "b": {"c": 1, "d": [1]}, "e": None}
    assert changed_fields(before, before) == []
    assert changed_fields(before, {"a": 2, "b": {"c": 1, "d": [2]}}) == ["a", "b.d", "e"]


def test_a_new_integration_gets_all_stamps_and_those_of_the_file_are_ignored() -> None:
    (_, change) = plan(client(), integration(epoch=7, enabled_at=7, updated_at=7)).changes
    assert {name: written(change)[name] for name in ("updated_at", "epoch", "enabled_at")} == {
        "updated_at": NOW,
        "epoch": NOW,
        "enabled_at": NOW,
    }


STAMPED = {"updated_at": 5, "epoch": 6, "enabled_at": 4}


@pytest.mark.parametrize(
    ("changes", "epoch"),
    [
        ({"name": "Renamed"}, 6),
        ({"active": False}, 6),
        ({"token": "another-fake-key"}, NOW),
        ({"token": "env:STREAM_APP_KEY_1111_ACME"}, NOW),
        ({"token": None, "api": "https://api.opsgenie.com"}, NOW),
    ],
)
def test_the_epoch_grows_with_a_new_target_only(changes: dict[str, Any], epoch: int) -> None:
    stored = stored_objects(integration={521: integration(SEALED) | STAMPED})
    (change,) = plan(integration(**changes), stored=stored).changes
    assert change.action is Action.UPDATED
    assert written(change)["epoch"] == epoch
    assert written(change)["enabled_at"] == 4
    assert written(change)["updated_at"] == NOW


def test_turning_an_integration_on_is_a_new_epoch_but_voids_no_status() -> None:
    before = integration(SEALED, active=False) | STAMPED | {"epoch": NOW + 10}
    (change,) = plan(integration(), stored=stored_objects(integration={521: before})).changes
    assert written(change)["epoch"] == NOW + 11, "the clock that set the old one was ahead"
    assert written(change)["enabled_at"] == 4


def test_a_key_that_is_sealed_anew_is_no_new_target() -> None:
    class Rotated(FakeKeeper):
        def seal(self, clear: str, context: str) -> str:
            return super().seal(clear, context) + "_2"

        def open(self, stored: str, context: str) -> str:
            return super().open(stored.removesuffix("_2"), context)

    rules = Rules(now_ms=NOW, allowed_periods=(60,), keeper=Rotated(), check_api=check_api)
    stored = stored_objects(integration={521: integration(SEALED) | STAMPED})
    (change,) = make_plan([FileObject("a", 1, integration())], stored, rules).changes
    assert change.fields == ("target.token",)
    assert written(change)["epoch"] == 6


def test_the_mark_of_a_sealed_key_means_the_stored_one() -> None:
    marked = integration("(sealed)", name="(sealed) and delivered")
    (change,) = plan(marked, stored=stored_objects()).changes
    assert change.fields == ("name",)
    assert written(change)["target"] == {"token": SEALED, "api": US}
    fresh = plan(client(), marked)
    assert [text.partition(": must")[0] for text in fresh.problems] == [
        "acme.yaml: integration[521].target.token: is missing"
    ]


def test_what_is_shown_of_an_integration_has_no_key_and_applies_as_unchanged() -> None:
    shown = shown_form(stored_objects()[Kind.INTEGRATION][521])
    assert SEALED not in json.dumps(shown)
    (change,) = plan(shown, stored=stored_objects()).changes
    assert change.action is Action.UNCHANGED
    clear = integration("never-sealed-key", api_key="another-fake-key")
    assert "fake" not in json.dumps(shown_form(clear))
    assert "never" not in json.dumps(shown_form(clear))
    named = integration("env:STREAM_APP_KEY_1111_ACME")
    assert shown_form(named) == named


def test_options_of_alerts_are_a_change_and_no_new_target_and_are_shown_as_they_were_given() -> (
    None
):
    alert = {"priority": "P2", "tags": ["waf"], "responders": [{"type": "team", "id": "t1"}]}
    stored = stored_objects(integration={521: integration(SEALED) | STAMPED})
    (change,) = plan(integration(alert=alert), stored=stored).changes
    assert (change.fields, written(change)["epoch"]) == (("alert",), 6)
    record = written(change)
    stored = stored_objects(integration={521: record})
    (again,) = plan(shown_form(record), stored=stored).changes
    assert (again.action, shown_form(record)["alert"]) == (Action.UNCHANGED, alert)
    (other,) = plan(integration(alert=alert | {"priority": "P1"}), stored=stored).changes
    assert other.fields == ("alert.priority",)


def test_a_wrong_or_unknown_option_of_alerts_is_a_problem() -> None:
    found = plan(client(), integration(alert={"priority": "high", "prioirty": "P1"}))
    unknown, wrong = found.problems
    where = "acme.yaml: integration[521].alert"
    assert wrong == f"{where}.priority: 'high': must be one of P1, P2, P3, P4, P5"
    assert unknown.startswith(f"{where}.prioirty: is no field here: did you mean priority?")


def pruned(*objects: dict[str, Any], stored: Stored) -> list[tuple[Kind, int]]:
    found = plan(*objects, stored=stored, prune=True)
    assert found.problems == ()
    return [(c.kind, c.id) for c in found.changes if c.action is Action.DELETED]


def test_pruning_deletes_what_the_files_do_not_hold_of_their_kinds_and_clients() -> None:
    stored = stored_objects(
        client={1111: client(), 2222: client(client_id=2222)},
        integration={
            521: integration(SEALED),
            522: integration("env:STREAM_APP_KEY_1111_A", id=522),
            523: integration("env:STREAM_APP_KEY_1111_B", id=523, client_id=2222),
        },
        trigger={61: trigger(), 62: trigger(id=62)},
    )
    assert pruned(integration(), stored=stored) == [(Kind.INTEGRATION, 522)]
    assert pruned(trigger(), stored=stored) == [(Kind.TRIGGER, 62)]
    assert pruned(client(), stored=stored) == [], "clients are never pruned"
    both = pruned(integration(), trigger(), stored=stored)
    assert both == [(Kind.TRIGGER, 62), (Kind.INTEGRATION, 522)], "who names it goes first"


def test_a_trigger_of_the_files_keeps_its_integration_from_being_pruned() -> None:
    stored = stored_objects(integration={521: integration(SEALED), 522: integration(id=522)})
    other = integration("env:STREAM_APP_KEY_1111_A", id=522)
    (problem,) = plan(trigger(), other, stored=stored, prune=True).problems
    assert problem.endswith("integration_ids[0]: 521: would be pruned: apply the integration, too")


def test_a_trigger_may_keep_the_id_of_an_integration_that_is_gone() -> None:
    stored = stored_objects(integration={})
    assert plan(trigger(name="Renamed"), stored=stored).problems == ()
    new = trigger(id=62)
    assert "no such integration" in plan(new, stored=stored).problems[0]


@pytest.mark.parametrize(
    ("before", "after", "turns_off"),
    [(True, False, True), (True, None, True), (True, True, False), (False, None, False)],
)
def test_a_change_knows_whether_it_takes_an_integration_out_of_use(
    *, before: bool, after: bool | None, turns_off: bool
) -> None:
    record = None if after is None else integration(active=after)
    change = Change(
        Kind.INTEGRATION, 521, "", Action.UPDATED, record, before=integration(active=before)
    )
    assert change.turns_off is turns_off
