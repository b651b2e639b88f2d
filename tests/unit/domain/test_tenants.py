"""Clients do not trust each other: no client's file can name anything of another client."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.domain.plans.file_object import FileObject
from stream_app.domain.plans.plan import Plan, PlanRules
from stream_app.domain.plans.planner import make_plan
from tests.unit.domain.plans.planning import (
    KEEPER,
    NOW,
    SEALED,
    check_api,
    client,
    integration,
    plan,
    stored_objects,
    trigger,
)

OTHER = client(client_id=2222, name="Bolt")


def only(*objects: dict[str, Any], stored: Stored | None = None, is_answer: bool = False) -> Plan:
    rows = [FileObject("acme.yaml", n, obj, is_answer) for n, obj in enumerate(objects, start=1)]
    rules = PlanRules(now_ms=NOW, allowed_periods=(1, 60, 3600), keeper=KEEPER, check_api=check_api)
    found = stored_objects() if stored is None else stored
    return make_plan(rows, found, rules, prune=True, only_client=1111)


@pytest.mark.parametrize(
    "name", ["Acme", "ACME", " acme ", "\uff21cme", "acm\uff25", "\u00a0Acme\u2003"]
)
def test_a_name_that_a_client_has_is_refused_to_a_second_one(name: str) -> None:
    for stored, objects in (
        (stored_objects(), [client(client_id=2222, name=name)]),
        (stored_objects(client={}), [client(), client(client_id=2222, name=name)]),
    ):
        (problem,) = plan(*objects, stored=stored).problems
        assert problem == (
            f"acme.yaml: client 2222: name: {name!r}: is the name of client 1111, and events name "
            "their client by it: give it another"
        )


def test_a_lower_id_takes_no_name_away() -> None:
    (problem,) = plan(client(client_id=5), stored=stored_objects()).problems
    assert "client 5: name: 'Acme': is the name of client 1111" in problem


def test_a_name_that_is_given_up_in_the_same_files_is_free() -> None:
    stored = stored_objects(client={1111: client(), 2222: OTHER})
    swapped = [client(name="Bolt"), client(client_id=2222, name="Acme")]
    assert plan(*swapped, stored=stored).problems == ()
    assert plan(client(name="ACME"), stored=stored).problems == (), "its own in another spelling"


def test_of_two_records_with_one_name_the_lower_id_may_stay_and_the_other_must_change() -> None:
    stored = stored_objects(client={1111: client(), 2222: client(client_id=2222)})
    assert plan(client(applications={"7": "Shop"}), stored=stored).problems == ()
    (problem,) = plan(client(client_id=2222), stored=stored).problems
    assert "client 2222: name: 'Acme': is the name of client 1111" in problem
    assert plan(client(client_id=2222, name="Bolt"), stored=stored).problems == ()


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("env:STREAM_APP_KEY_2222_BOLT", "is a key of client 2222, and this one is client 1111's"),
        ("file:2222/bolt", "is a key of client 2222, and this one is client 1111's"),
        ("env:STREAM_APP_KEY_ACME", "notifiers run, and write env:STREAM_APP_KEY_1111_ACME"),
        ("file:acme", "move the file where notifiers run, and write file:1111/acme"),
    ],
)  # fmt: skip
def test_a_file_names_keys_of_its_client_only(token: str, text: str) -> None:
    (problem,) = plan(client(), integration(token)).problems
    assert problem.startswith(f"acme.yaml: integration 521: target.token: {token!r}: ")
    assert problem.endswith(text)


def test_a_key_that_is_kept_is_named_for_its_client_too() -> None:
    stored = stored_objects(integration={521: integration("env:STREAM_APP_KEY_ACME")})
    kept = integration()
    del kept["target"]["token"]
    (problem,) = plan(kept, stored=stored).problems
    assert "write env:STREAM_APP_KEY_1111_ACME" in problem


def test_a_sealed_key_of_a_deleted_integration_does_not_open_for_another_client() -> None:
    stored = stored_objects(client={1111: client(), 2222: OTHER}, integration={}, trigger={})
    (problem,) = plan(integration(SEALED, client_id=2222), stored=stored).problems
    assert "does not belong to 2222/521@" in problem


@pytest.mark.parametrize(
    ("obj", "path", "whose"),
    [
        (OTHER, "client 2222: client_id", "is of client 2222"),
        (integration(id=522, client_id=2222), "integration 522: client_id", "is of client 2222"),
        (trigger(id=62, client_id=2222), "trigger 62: client_id", "is of client 2222"),
        (
            {"trigger": trigger(id=62, client_id=2222)},
            "trigger 62: client_id",
            "is of client 2222",
        ),
        (
            {n: v for n, v in trigger(id=62).items() if n != "client_id"},
            "trigger 62: client_id",
            "does not say whose it is",
        ),
        (
            integration(id=523, client_id=2222, type="slack"),
            "integration 523: client_id",
            "is of client 2222",
        ),
        (
            integration(id=523, client_id="1111"),
            "integration 523: client_id",
            "is of client 1111",
        ),
    ],
)
def test_only_what_is_the_clients_is_taken(obj: dict[str, Any], path: str, whose: str) -> None:
    stored = stored_objects(client={1111: client(), 2222: OTHER})
    (problem,) = only(client(), obj, stored=stored).problems
    assert problem == (
        f"acme.yaml: {path}: {whose}: --only-client 1111 takes nothing but that client's"
    )


def test_nothing_of_another_client_is_pruned_or_named() -> None:
    stored = stored_objects(
        client={1111: client(), 2222: OTHER},
        integration={521: integration(SEALED), 522: integration(SEALED, id=522, client_id=2222)},
        trigger={61: trigger(), 62: trigger(id=62, client_id=2222)},
    )
    found = only(client(), integration(), stored=stored)
    assert found.problems == ()
    assert all(change.id != 522 for change in found.changes)
    others = integration(id=524, client_id=2222, type="slack")
    assert len(only(integration(), others, stored=stored, is_answer=True).problems) == 1
    actions = [{"id": "send_notification", "params": {"integration_ids": [522]}}]
    (problem,) = only(trigger(actions=actions), stored=stored).problems
    assert "522: is not an integration of client 1111" in problem
    taken = only(integration(SEALED, id=522), stored=stored).problems
    assert any("it belongs to client 2222: use a new id" in problem for problem in taken)
    assert Kind.CLIENT in stored
