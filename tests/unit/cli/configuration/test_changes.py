from __future__ import annotations

import json
from typing import Any

import pytest

from stream_app.cli.configuration.change_report import show_changes, warn_of_operator
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.plans.plan import Action, Change
from stream_app.domain.plans.steps import changed_fields
from stream_app.settings import Settings

BLOCK = {"id": "block_ips", "params": {"lock_time": 3600}}
VECTOR: dict[str, Any] = {"name": "Payloads", "template_id": "vector_attack", "actions": [BLOCK]}
SAID = ["condition vector_attack", "reaction block_ips"]
CHANGES = [
    Change(
        Kind.TRIGGER,
        62,
        Action.UPDATED,
        VECTOR,
        ("enabled",),
        before={"enabled": True, "threshold": 1, **VECTOR},
    ),
    Change(Kind.TRIGGER, 62, Action.UNCHANGED, VECTOR),
    Change(Kind.TRIGGER, 62, Action.DELETED, None, before=VECTOR),
    Change(Kind.CLIENT, 62, Action.CREATED, {**VECTOR, "name": "Acme", "client_id": 62}),
]


def test_a_line_says_what_is_not_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    show_changes(CHANGES, {}, dry_run=True, as_json=False)
    mark = f": not evaluated here: {', '.join(SAID)}"
    assert capsys.readouterr().out.splitlines() == [
        f"would change trigger 62 'Payloads'{mark}",
        "             enabled: true → not set",
        f"unchanged    trigger 62 'Payloads'{mark}",
        "would delete trigger 62 'Payloads'",
        "would create client 62 'Acme'",
    ]


def test_json_has_fields_for_what_is_not_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    show_changes(CHANGES, {}, dry_run=True, as_json=True)
    rows = json.loads(capsys.readouterr().out)["changes"]
    assert [row["not_evaluated"] for row in rows] == [SAID, SAID, [], []]
    assert [row["tells_nobody"] for row in rows] == [False] * 4


def lines_of(change: Change, capsys: pytest.CaptureFixture[str], *, dry_run: bool) -> list[str]:
    show_changes([change], {}, dry_run=dry_run, as_json=False)
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("would change" if dry_run else "updated  ")
    return [line.strip() for line in rest]


def changed(before: dict[str, Any], after: dict[str, Any], kind: Kind = Kind.TRIGGER) -> Change:
    fields = tuple(changed_fields(before, after))
    return Change(kind, 61, Action.UPDATED, after, fields, before=before)


def test_changes_are_shown_with_the_names_used_in_files(capsys: pytest.CaptureFixture[str]) -> None:
    item = {"id": "domain", "operator": "eq", "values": ["a.example"]}
    before = {"name": "Old", "enabled": True, "comment": None, "filters": [item], "ids": [1]}
    after = {
        "name": "[red]New\x1b[2J", "enabled": False, "comment": "x",
        "filters": [item | {"values": ["a.example", "b"]}], "ids": [1, 2],
    }  # fmt: skip
    assert lines_of(changed(before, after), capsys, dry_run=True) == [
        "comment: not set → 'x'",
        "enabled: true → false",
        "filters[domain].values: added 'b'",
        "ids: added 2",
        "name: 'Old' → '[red]New\\x1b[2J'",
    ]


def test_items_of_lists_are_shown_as_added_and_removed(capsys: pytest.CaptureFixture[str]) -> None:
    system = {"event": "system", "active": True}
    rules = {"event": "rules_and_triggers", "active": True}
    clauses = [{"id": "ip", "operator": operator, "values": [1]} for operator in ("eq", "ne")]
    before = {"events": [system], "filters": clauses, "order": [1, 2], "tags": ["a", "b"]}
    after = {
        "events": [rules, system | {"active": False}], "filters": clauses[:1], "order": [2, 1],
        "tags": ["b", "c", "d"],
    }  # fmt: skip
    assert lines_of(changed(before, after), capsys, dry_run=True) == [
        "events[system].active: true → false",
        "events: added {event: 'rules_and_triggers', active: true}",
        "filters: removed {id: 'ip', operator: 'ne', values: [1]}",
        "order: [1, 2] → [2, 1]",
        "tags: added 'c', 'd'; removed 'a'",
    ]
    many = changed({"values": []}, {"values": [f"host-{number}" for number in range(900)]})
    (line,) = lines_of(many, capsys, dry_run=True)
    assert line.startswith("values: added 900: 'host-0', 'host-1', ")
    assert (line.endswith("…"), len(line) < 200) == (True, True)


def test_json_has_the_old_and_the_new_value_but_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    before = {"name": "a", "target": {"token": "sealed:1:a"}, "tags": ["x"]}
    after = {"name": "a", "target": {"token": "sealed:1:b"}, "tags": ["x", "y"], "active": True}
    show_changes([changed(before, after, Kind.INTEGRATION)], {}, dry_run=True, as_json=True)
    text = capsys.readouterr().out
    assert "sealed:" not in text
    assert json.loads(text)["changes"][0]["differences"] == [
        {"field": "active", "old": None, "new": True, "is_hidden": False},
        {"field": "tags", "old": ["x"], "new": ["x", "y"], "is_hidden": False},
        {"field": "target.token", "old": None, "new": None, "is_hidden": True},
    ]


def test_only_the_differing_part_of_a_long_text_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    same = "same " * 100
    change = changed({"text": f"{same}old"}, {"text": f"{same}new"})
    assert lines_of(change, capsys, dry_run=False) == [
        "text: …same same same same old' → …same same same same new'"
    ]


@pytest.mark.parametrize("token", ["sealed:1:a", "a-clear-key-of-before"])
def test_a_changed_key_is_reported_without_its_value(
    token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {"target": {"token": token, "api": "https://a.example"}}
    after = {"target": {"token": "sealed:1:b", "api": "https://b.example"}}
    assert lines_of(changed(before, after, Kind.INTEGRATION), capsys, dry_run=False) == [
        "target.api: 'https://a.example' → 'https://b.example'",
        "target.token: changed, and not shown",
    ]
    named = {"target": {"token": "env:STREAM_APP_KEY_A", "api": "https://a.example"}}
    (line,) = lines_of(changed(before, named, Kind.INTEGRATION), capsys, dry_run=False)
    assert line == "target.token: '(sealed)' → 'env:STREAM_APP_KEY_A'"


ON, OFF = ({"name": "Platform", "active": active} for active in (True, False))


@pytest.mark.parametrize(
    ("number", "action", "record", "is_told"),
    [
        (900, Action.DELETED, None, True),
        (900, Action.UPDATED, OFF, True),
        (900, Action.UPDATED, ON, False),
        (900, Action.UNCHANGED, OFF, False),
        (901, Action.DELETED, None, False),
    ],
)
def test_the_end_of_the_operator_integration_is_said_with_what_follows(
    number: int,
    action: Action,
    record: dict[str, Any] | None,
    *,
    is_told: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change = Change(Kind.INTEGRATION, number, action, record, before=ON)
    trigger = Change(Kind.TRIGGER, 900, Action.DELETED, None, before=VECTOR)
    warn_of_operator(Settings(operator_integration=900), [trigger, change])
    warn_of_operator(Settings(), [change])
    told = capsys.readouterr()
    assert told.out == ""
    line = (
        "integration 900 is the operator integration (STREAM_APP_OPERATOR_INTEGRATION): without it "
        "the platform team is not told of integrations that the system disables, or of a pulse "
        "that stops"
    )
    assert told.err.splitlines() == is_told * [line]
