"""Clients and applications are found by their names."""

from __future__ import annotations

import pytest

from stream_app.domain.configuration.client_names import ClientNames, normal_name, shared_names
from stream_app.domain.configuration.clients import Client
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from tests.unit.domain.documented_events import ACME, NAMES, OTHER_TWIN, TWIN


@pytest.mark.parametrize(
    "name",
    ["Acme Retail", "acme retail", "Acme Retail ", "ACME\u00a0RETAIL", "\uff21cme  Re\u200btail\n"],
)
def test_a_client_is_found_by_its_name_in_any_spelling_that_looks_the_same(name: str) -> None:
    for _ in range(2):
        assert NAMES.client_id(name) == ACME


def test_the_exact_spelling_of_a_client_stays_its_own() -> None:
    """Such clients may be stored already: the events of each must stay its own."""
    clients = {
        n: Client(n, name, "EU", {}) for n, name in ((4, "Acme"), (7, "ACME"), (9, "\u200b"))
    }
    names = ClientNames(clients)
    assert [names.client_id(name) for name in ("Acme", "ACME", "acme", "aCME")] == [4, 7, 4, 4]
    for nothing in ("", " ", "\u2060"):
        with pytest.raises(RejectedEventError):
            names.client_id(nothing)


def test_other_spellings_cost_neither_memory_nor_time_without_a_bound() -> None:
    names = ClientNames({4: Client(4, "a" * 20, "EU", {})})
    for number in range(12_000):
        spelled = "".join("aA"[number >> bit & 1] for bit in range(20))
        assert names.client_id(spelled) == 4
    assert len(names._by_name) < 11_000
    with pytest.raises(RejectedEventError):
        names.client_id(f"{'a' * 20}{' ' * 1_000_000}")


@pytest.mark.parametrize("name", ["acmeretail", "Acme-Retail", "Nobody"])
def test_a_name_of_no_client_is_refused(name: str) -> None:
    with pytest.raises(RejectedEventError, match=f"'{name}': 0 clients .* one must") as told:
        NAMES.client_id(name)
    assert told.value.reason is DeadLetterReason.UNKNOWN_CLIENT


def test_a_name_of_several_clients_belongs_to_the_lowest_id() -> None:
    assert NAMES.client_id("Twin") == TWIN
    clients = {n: Client(n, "Twin", "EU", {}) for n in (OTHER_TWIN, TWIN)}
    assert ClientNames(clients).client_id("Twin") == TWIN, "in whatever order they come"
    assert shared_names({9: "b", 3: "a", 5: "a", 4: "a"}) == {4: 3, 5: 3}


@pytest.mark.parametrize(
    "name",
    [
        "ACME  retail",
        " Acme\u00a0Retail\t",
        "Acme\u200b Retail",
        "\uff21cme Retail",
        "Acme\u202eRetail x",
    ],
)
def test_names_that_look_the_same_have_one_normal_form(name: str) -> None:
    assert (normal_name(name) == "acme retail") is ("x" not in name)


def test_case_and_composition_are_folded() -> None:
    assert normal_name("STRASSE Caf\u00e9") == normal_name("Straße cafe\u0301")


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
