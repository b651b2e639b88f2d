from __future__ import annotations

import pytest

from stream_app.opsgenie.sandbox.limits import find_errors
from tests.unit.opsgenie.payloads import payload_of


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"message": "x" * 130},
        {"alias": "x" * 512},
        {"description": "x" * 15_000},
        {"details": {"k": "x" * 7999}},
        {"tags": ["x" * 50] * 20},
        {"responders": [{"type": "team", "id": "t"}]},
        {"priority": "P5"},
        {"unknown": 1},
    ],
)
def test_what_the_service_allows_passes(fields: dict[str, object]) -> None:
    assert find_errors({"message": "m", **fields}) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message", ""),
        ("message", "  "),
        ("message", None),
        ("message", 7),
        ("message", "x" * 131),
        ("message", "😀" * 66),
        ("alias", "x" * 513),
        ("alias", None),
        ("description", "x" * 15_001),
        ("entity", "x" * 513),
        ("source", "x" * 101),
        ("user", "x" * 101),
        ("note", "x" * 25_001),
        ("details", {"k": 1}),
        ("details", {"k": None}),
        ("details", {"k": {"nested": "x"}}),
        ("details", {"k": "x" * 8000}),
        ("details", ["k"]),
        ("tags", "a,b"),
        ("tags", ["x"] * 21),
        ("tags", ["x" * 51]),
        ("tags", [1]),
        ("actions", ["x"] * 11),
        ("responders", [{"id": "t"}]),
        ("responders", ["t"]),
        ("visibleTo", [{"type": "team"}] * 51),
        ("priority", "P6"),
        ("priority", "p1"),
        ("priority", None),
        ("priority", ["P1"]),
    ],
)
def test_what_the_service_refuses_is_named(field: str, value: object) -> None:
    assert list(find_errors({"message": "m", field: value})) == [field]


def test_all_wrong_fields_are_named() -> None:
    assert set(find_errors({"priority": "P9", "tags": 1})) == {"message", "priority", "tags"}


def test_a_payload_cut_to_fit_is_never_refused() -> None:
    payload = payload_of(
        "😀 " * 500,
        "\u2019<b> " * 9000,
        "ä" * 2000,
        {f"key{n}": "x" * 500 for n in range(50)},
        tags=["a, b" * 50, *map(str, range(30))],
        source="s" * 500,
        entity="e" * 900,
    )
    assert find_errors(payload) == {}
