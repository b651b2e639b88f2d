from __future__ import annotations

import json
from typing import Any

import pytest

from stream_app.domain.errors import ConfigurationError, SealingError
from stream_app.domain.plans import (
    Action,
    FileObject,
    Kind,
    Plan,
    Rules,
    Stored,
    changed_fields,
    kind_of,
    make_plan,
)

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
SEALED = KEEPER.seal(CLEAR, "521@api.opsgenie.com")


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


def plan(*objects: dict[str, Any], stored: Stored | None = None) -> Plan:
    rows = [FileObject("acme.yaml", number, obj) for number, obj in enumerate(objects, start=1)]
    rules = Rules(now_ms=NOW, allowed_periods=(1, 60, 3600), keeper=KEEPER, check_api=check_api)
    return make_plan(rows, stored or {kind: {} for kind in Kind}, rules)


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
    stored: Stored = {change.kind: {change.id: change.record} for change in first.changes}
    again = plan(client(), integration(), trigger(), stored=stored)
    assert {change.action for change in again.changes} == {Action.UNCHANGED}
    assert [change.record for change in again.changes] == [c.record for c in first.changes]


def test_a_key_is_sealed_for_its_integration_and_host_and_stands_nowhere_in_the_clear() -> None:
    result = plan(client(), integration())
    record = result.changes[1].record
    assert record["target"] == {"token": SEALED, "api": US}
    assert CLEAR not in json.dumps(record)
    assert CLEAR not in repr(result)
    assert record["updated_at"] == NOW


@pytest.mark.parametrize("token", ["env:STREAM_APP_KEY_ACME", "file:acme", SEALED])
def test_a_named_or_sealed_key_is_stored_as_it_is(token: str) -> None:
    target = plan(client(), integration(token)).changes[1].record["target"]
    assert target == {"token": token, "api": US}


@pytest.mark.parametrize("token", [None, ""])
def test_a_key_that_is_not_given_is_kept(token: str | None) -> None:
    change = plan(integration(token, name="Renamed"), stored=stored_objects()).changes[0]
    assert change.record["target"] == {"token": SEALED, "api": US}
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
    assert "target.token: None: is missing" in problem


def test_a_stored_key_in_the_clear_is_not_kept() -> None:
    stored = stored_objects(integration={521: integration(CLEAR)})
    (problem,) = plan(integration(None), stored=stored).problems
    assert "target.token: None: is missing" in problem


def test_another_key_is_an_update_that_shows_only_the_field() -> None:
    change = plan(integration("fake-key-number-2"), stored=stored_objects()).changes[0]
    assert (change.action, change.fields) == (Action.UPDATED, ("target.token",))
    assert change.record["updated_at"] == NOW


@pytest.mark.parametrize("token", ["env:HOME", "sealed:v9:abc", "file:a b", 12345678, "unsealable"])
def test_a_key_that_cannot_be_stored_is_a_problem_that_does_not_show_it(token: object) -> None:
    stored = stored_objects(integration={})
    found = plan(integration(token), stored=stored).problems
    assert len(found) == 1
    assert "integration[521].target.token: '(hidden)': " in found[0]
    assert "12345678" not in found[0]


def test_a_sealed_key_of_another_integration_is_a_problem() -> None:
    (problem,) = plan(integration(SEALED, id=522), stored=stored_objects()).problems
    assert "integration[522].target.token: '(hidden)': does not belong to 522@" in problem


def test_other_fields_are_kept_but_keys_among_them_are_left_out() -> None:
    obj = integration(
        created_by="bo@acme.example",
        api_key="another-fake-key",
        target={"token": CLEAR, "api": US, "team": "blue", "genie_key": "another-fake-key"},
    )
    change = plan(client(), obj).changes[1]
    assert change.record["created_by"] == "bo@acme.example"
    assert change.record["target"] == {"token": SEALED, "api": US, "team": "blue"}
    assert set(change.left_out) == {"api_key", "target.genie_key"}
    assert "another-fake-key" not in json.dumps(change.record)


def test_the_key_in_another_field_is_a_problem() -> None:
    obj = integration(notes=[{"text": f"the key is {CLEAR}"}])
    assert plan(client(), obj).problems == (
        "acme.yaml: integration[521].notes[0].text: '(hidden)': holds the key: take it out",
    )


def test_an_address_that_is_not_allowed_is_a_problem() -> None:
    assert plan(client(), integration(api="https://evil.example")).problems == (
        "acme.yaml: integration[521].target.api: '(hidden)': not allowed: use Opsgenie",
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
    assert change.record.get("enabled_at") == enabled_at


def test_a_wrapped_trigger_is_stored_flat() -> None:
    inner = trigger()
    del inner["client_id"]
    change = plan({"trigger": inner, "clientid": 1111, "kind": "trigger"}, stored=stored_objects())
    assert change.changes[0].action is Action.UNCHANGED


def test_a_client_may_write_its_id_as_id() -> None:
    obj = {"id": 1111, "name": "Acme", "cloud": "EU"}
    assert plan(obj).changes[0].record == client()


def test_every_problem_of_every_object_is_reported_where_it_stands() -> None:
    result = plan(
        client(cloud="XX"),
        trigger(id=None, threshold={"count": -1, "period": 7}),
        {"what": "is this"},
        trigger(),
    )
    unknown = "actions.params.integration_ids: 521: no such integration: apply it, too"
    assert result.problems == (
        "acme.yaml: client[1111].cloud: 'XX': must be one of EU, US, ME",
        "acme.yaml: trigger[#2].id: None: is missing: must be an integer, 1 or more",
        "acme.yaml: trigger[#2].threshold.count: -1: must be an integer, 0 or more",
        "acme.yaml: trigger[#2].threshold.period: 7: must be one of 1, 60, 3600 (seconds)",
        f"acme.yaml: trigger[#2].{unknown}",
        "acme.yaml: object 3: kind: None: must be client, integration or trigger",
        f"acme.yaml: trigger[61].{unknown}",
    )


def test_a_trigger_may_name_integrations_of_its_own_client_only() -> None:
    stored = stored_objects(client={1111: client(), 2222: client(client_id=2222)})
    (problem,) = plan(trigger(id=62, client_id=2222), stored=stored).problems
    assert "trigger[62].actions.params.integration_ids: 521: is not an integration of" in problem


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
