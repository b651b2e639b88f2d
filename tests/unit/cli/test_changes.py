from __future__ import annotations

import json
from typing import Any

import pytest

from stream_app.cli.changes import show_changes
from stream_app.domain.plans import Action, Change, Kind

BLOCK = {"id": "block_ips", "params": {"lock_time": 3600}}
VECTOR: dict[str, Any] = {"template_id": "vector_attack", "actions": [BLOCK]}
SAID = ["condition vector_attack", "reaction block_ips"]
CHANGES = [
    Change(Kind.TRIGGER, 62, "Payloads", Action.UPDATED, VECTOR, ("enabled",)),
    Change(Kind.TRIGGER, 62, "Payloads", Action.UNCHANGED, VECTOR),
    Change(Kind.TRIGGER, 62, "Payloads", Action.DELETED, None, before=VECTOR),
    Change(Kind.CLIENT, 62, "Acme", Action.CREATED, {**VECTOR, "client_id": 62}),
]


def test_a_line_says_what_is_not_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    show_changes(CHANGES, {}, dry_run=True, as_json=False)
    mark = f": not evaluated here: {', '.join(SAID)}"
    assert capsys.readouterr().out.splitlines() == [
        f"updated   trigger 62 'Payloads' (enabled){mark}",
        f"unchanged trigger 62 'Payloads'{mark}",
        "deleted   trigger 62 'Payloads'",
        "created   client 62 'Acme'",
    ]


def test_json_says_it_in_fields(capsys: pytest.CaptureFixture[str]) -> None:
    show_changes(CHANGES, {}, dry_run=True, as_json=True)
    rows = json.loads(capsys.readouterr().out)["changes"]
    assert [row["not_evaluated"] for row in rows] == [SAID, SAID, [], []]
    assert [row["tells_nobody"] for row in rows] == [False] * 4
