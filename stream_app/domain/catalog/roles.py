"""Roles of users: the API's codes, and the names that people see in the console."""

from __future__ import annotations

from collections.abc import Mapping

#: Code -> display name. The documents name `admin_ext` as a code only.
ROLES: Mapping[str, str] = {
    "admin": "Administrator",
    "admin_ext": "admin_ext",
    "analytic": "Analyst",
    "api_developer": "API developer",
    "auditor": "Read only",
    "deploy": "Deploy",
    "partner_admin": "Global Administrator",
    "partner_analytic": "Global Analyst",
    "partner_auditor": "Global Read Only",
}
#: Other spellings of a code, in lower case: the display names, and those of the vendor's clients.
_SPELLINGS: Mapping[str, str] = {
    **{name.lower(): code for code, name in ROLES.items()},
    "analyst": "analytic",
    "read_only": "auditor",
    "global_admin": "partner_admin",
    "global_analyst": "partner_analytic",
    "global_read_only": "partner_auditor",
}


def role_code(text: str) -> str:
    """Return the code of a role's code or name, in any case; an unknown one in lower case."""
    word = " ".join(text.lower().split())
    return _SPELLINGS.get(word, word)


def role_spellings() -> tuple[str, ...]:
    """Return all texts that mean a role, in lower case, each once."""
    return tuple(dict.fromkeys((*ROLES, *_SPELLINGS)))


def role_name(role: str) -> str:
    """Return the display name of a role's code or name; an unknown one as it is."""
    return ROLES.get(role_code(role), role)
