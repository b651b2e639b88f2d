from __future__ import annotations

import json

import pytest

from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.plans.keys import shown_form
from stream_app.domain.plans.plan import Action
from tests.unit.domain.plans.planning import (
    CLEAR,
    EU,
    NOW,
    SEALED,
    US,
    client,
    integration,
    plan,
    stored_objects,
    written,
)


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
        "acme.yaml: integration 521: target.token: '(hidden)': "
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
    assert "integration 521: target.token: '(hidden)': " in found[0]
    assert "12345678" not in found[0]


def test_a_sealed_key_of_another_integration_is_a_problem() -> None:
    (problem,) = plan(integration(SEALED, id=522), stored=stored_objects()).problems
    assert "integration 522: target.token: '(hidden)': does not belong to 1111/522@" in problem


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
        "acme.yaml: integration 521: notes[0].text: '(hidden)': holds the key: take it out",
    )


def test_the_mark_of_a_sealed_key_means_the_stored_one() -> None:
    marked = integration("(sealed)", name="(sealed) and delivered")
    (change,) = plan(marked, stored=stored_objects()).changes
    assert change.fields == ("name",)
    assert written(change)["target"] == {"token": SEALED, "api": US}
    fresh = plan(client(), marked)
    assert [text.partition(": must")[0] for text in fresh.problems] == [
        "acme.yaml: integration 521: target.token: is missing"
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
