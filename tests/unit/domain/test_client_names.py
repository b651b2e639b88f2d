"""Clients and applications found by name."""

from __future__ import annotations

import pytest

from stream_app.domain.client_names import ClientNames
from stream_app.domain.clients import Client
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from tests.unit.domain.documented_events import ACME, NAMES, TWIN


def test_a_client_is_found_by_its_exact_name() -> None:
    assert NAMES.client_id("Acme Retail") == ACME


@pytest.mark.parametrize(
    ("name", "number"), [("acme retail", 0), ("Acme Retail ", 0), ("Nobody", 0), ("Twin", 2)]
)
def test_a_name_of_no_or_of_several_clients_is_refused_and_told(name: str, number: int) -> None:
    with pytest.raises(RejectedEventError, match=f"'{name}': {number} clients .* one must") as told:
        NAMES.client_id(name)
    assert told.value.reason is DeadLetterReason.UNKNOWN_CLIENT


def test_a_long_name_is_shown_cut() -> None:
    with pytest.raises(RejectedEventError) as told:
        NAMES.client_id("x" * 5000)
    assert len(str(told.value)) < 250


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["Shop"], (7,)),
        (["default"], (-1,)),
        (["Shop", "default"], (7, -1)),
        (["API"], (8, 9)),
        (["shop", "Blog"], ()),
        (["Blog", "Shop"], (7,)),
        ([], ()),
        ([" Shop", "default "], (7, -1)),
        (["", " "], ()),
    ],
)
def test_applications_are_found_by_the_names_that_their_client_gives_them(
    names: list[str], ids: tuple[int, ...]
) -> None:
    assert NAMES.application_ids(ACME, names) == ids


def test_applications_of_another_client_are_not_found() -> None:
    assert NAMES.application_ids(TWIN, ["Shop"]) == ()
    assert NAMES.application_ids(404, ["Shop", "default"]) == (-1,)


def test_outer_white_space_is_no_part_of_the_name_of_an_application() -> None:
    names = ClientNames({1: Client(1, "One", "EU", {5: " Shop", 6: "Shop ", 7: " "})})
    assert names.application_ids(1, ["Shop"]) == (5, 6)
    assert names.application_ids(1, ["\tShop"]) == (5, 6)
    assert names.application_ids(1, ["", " "]) == ()


def test_the_default_application_may_have_a_name_of_its_own() -> None:
    names = ClientNames({1: Client(1, "One", "EU", {-1: "Main", 5: "default"})})
    assert names.application_ids(1, ["Main"]) == (-1,)
    assert names.application_ids(1, ["default"]) == (-1, 5)
    again = ClientNames({1: Client(1, "One", "EU", {-1: "default"})})
    assert again.application_ids(1, ["default"]) == (-1,)
