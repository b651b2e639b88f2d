from __future__ import annotations

import json
from typing import Any

import pytest

from stream_app.cli.configuration.change_report import show_changes
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.plans.plan import Action, Change
from stream_app.domain.plans.steps import changed_fields

BLOCK = {"id": "block_ips", "params": {"lock_time": 3600}}
VECTOR: dict[str, Any] = {"template_id": "vector_attack", "actions": [BLOCK]}
SAID = ["condition vector_attack", "reaction block_ips"]
CHANGES = [
    Change(
        Kind.TRIGGER,
        62,
        "Payloads",
        Action.UPDATED,
        VECTOR,
        ("enabled",),
        before={"enabled": True, "threshold": 1, **VECTOR},
    ),
    Change(Kind.TRIGGER, 62, "Payloads", Action.UNCHANGED, VECTOR),
    Change(Kind.TRIGGER, 62, "Payloads", Action.DELETED, None, before=VECTOR),
    Change(Kind.CLIENT, 62, "Acme", Action.CREATED, {**VECTOR, "client_id": 62}),
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
    return Change(kind, 61, "Hits", Action.UPDATED, after, fields, before=before)


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
