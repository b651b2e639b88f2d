from __future__ import annotations

from typing import Any

import pytest

from stream_app.domain.configuration.clients import Client
from stream_app.domain.errors import InvalidObjectError
from tests.unit.domain.objects import parse_client

ACME: dict[str, Any] = {
    "client_id": 1111,
    "name": "Acme Retail",
    "cloud": "EU",
    "applications": {"-1": "default", "7": "Shop"},
}


def test_a_client_is_read_with_its_applications_by_id() -> None:
    assert parse_client(ACME) == Client(1111, "Acme Retail", "EU", {-1: "default", 7: "Shop"})


def test_a_client_needs_no_applications() -> None:
    assert parse_client(ACME | {"applications": None}).applications == {}


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"client_id": 0}, "client_id"),
        ({"client_id": "1111"}, "client_id"),
        ({"name": ""}, "name"),
        ({"cloud": "eu"}, "cloud"),
        ({"cloud": None}, "cloud"),
        ({"applications": ["Shop"]}, "applications"),
        ({"applications": {"shop": "Shop"}}, "applications.shop"),
        ({"applications": {"-2": "Shop"}}, "applications.-2"),
        ({"applications": {"7": 7}}, "applications.7"),
    ],
)
def test_a_client_that_breaks_a_rule_is_refused(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidObjectError) as caught:
        parse_client(ACME | changes)
    assert caught.value.path == path


def test_the_clouds_are_named() -> None:
    with pytest.raises(InvalidObjectError, match="cloud: 'AP': must be one of EU, US, ME"):
        parse_client(ACME | {"cloud": "AP"})


@pytest.mark.parametrize("spelling", ["+7", " 7", "0_7", "\u0667", "7.0", "true"])
def test_an_application_id_has_one_spelling(spelling: str) -> None:
    """Two spellings of one id could give it two names."""
    with pytest.raises(InvalidObjectError, match="application id"):
        parse_client(ACME | {"applications": {spelling: "Shop"}})
