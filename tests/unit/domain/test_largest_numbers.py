"""Numbers in configured objects are refused if they are too large for a record."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.domain.catalog.numbers import MAX_INTEGER
from stream_app.domain.configuration.clients import read_client
from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.triggers import read_trigger
from stream_app.domain.events.model import EventKind
from tests.unit.domain.counting.test_poison import trigger

LARGE = MAX_INTEGER + 1


def problems(obj: dict[str, Any]) -> list[str]:
    _, found = read_trigger(obj, allowed_periods=(60,))
    return [str(problem) for problem in found]


def of_trigger(path: str, value: int) -> dict[str, Any]:
    obj = trigger(1, EventKind.HITS, 60, {"id": "pool", "operator": "eq", "values": [7]})
    places: dict[str, tuple[Any, Any]] = {
        "id": (obj, "id"),
        "client_id": (obj, "client_id"),
        "threshold.count": (obj["threshold"], "count"),
        "actions[0].params.integration_ids[0]": (obj["actions"][0]["params"]["integration_ids"], 0),
        "filters[0].values[0]": (obj["filters"][0]["values"], 0),
    }
    parent, key = places[path]
    parent[key] = value
    return obj


PATHS = [
    "id",
    "client_id",
    "threshold.count",
    "actions[0].params.integration_ids[0]",
    "filters[0].values[0]",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("value", [LARGE, 2**64, 10**30])
def test_a_number_that_no_record_takes_is_refused(path: str, value: int) -> None:
    assert problems(of_trigger(path, value)) == [
        f"{path}: {value}: must be at most {MAX_INTEGER}: no record takes a larger number"
    ]


@pytest.mark.parametrize("path", PATHS)
def test_the_largest_number_is_taken(path: str) -> None:
    assert problems(of_trigger(path, MAX_INTEGER)) == []


@pytest.mark.parametrize("path", PATHS)
def test_a_negative_number_is_refused(path: str) -> None:
    assert len(problems(of_trigger(path, -2))) == 1


@pytest.mark.parametrize("value", [0, -1, LARGE])
def test_ids_of_clients_and_integrations_have_the_same_limits(value: int) -> None:
    client = {"client_id": value, "name": "Acme", "cloud": "EU"}
    assert [problem.path for problem in read_client(client)[1]] == ["client_id"]
    for path in ("id", "client_id"):
        integration = {
            "id": 1, "client_id": 1, "name": "n", "active": True, "type": "opsgenie",
            "target": {"token": "env:STREAM_APP_KEY_1_A"}, "events": [], path: value,
        }  # fmt: skip
        assert path in [problem.path for problem in read_integration(integration)[1]]


def test_an_id_of_a_specification_has_the_same_limits() -> None:
    for value, number in ((LARGE, 1), (0, 1), (MAX_INTEGER, 0)):
        one = {"id": "api_spec_ids", "operator": "eq", "values": [value]}
        obj = trigger(1, EventKind.HITS, 60, one) | {"template_id": "rogue_api_detected"}
        del obj["threshold"]
        assert len(problems(obj)) == number


@pytest.mark.parametrize("number", ["-2", "9999999999999999999", "1.5", ""])
def test_an_id_of_an_application_is_a_whole_number_within_the_limits(number: str) -> None:
    client = {"client_id": 1, "name": "Acme", "cloud": "EU", "applications": {number: "Shop"}}
    assert len(read_client(client)[1]) == 1
