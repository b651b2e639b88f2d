from __future__ import annotations

import pytest

from stream_app.domain.catalog.roles import ROLES, role_code, role_name


@pytest.mark.parametrize(("code", "name"), ROLES.items())
def test_a_role_is_known_by_its_code_and_its_name_in_any_case(code: str, name: str) -> None:
    for text in (code, name, code.upper(), name.lower(), f" {name} "):
        assert role_code(text) == code
        assert role_name(text) == name


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("Admin", "admin"),
        ("analyst", "analytic"),
        ("read_only", "auditor"),
        ("Read  Only", "auditor"),
        ("API developer", "api_developer"),
        ("global_admin", "partner_admin"),
        ("Global administrator", "partner_admin"),
        ("global_analyst", "partner_analytic"),
        ("Global read only", "partner_auditor"),
    ],
)
def test_other_spellings_are_known_too(spelling: str, code: str) -> None:
    assert role_code(spelling) == code


def test_an_unknown_role_keeps_its_text() -> None:
    assert role_code("Night Watch") == "night watch"
    assert role_name("Night Watch") == "Night Watch"
