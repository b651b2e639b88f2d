"""Roles of users: the API's codes, and their names in the console."""

from __future__ import annotations

from collections.abc import Mapping

#: Code -> display name. The documentation has only the code of `admin_ext`.
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
#: Other spelling in lower case -> code: the display names, and the words of the vendor's clients.
ROLE_SPELLINGS: Mapping[str, str] = {
    **{name.lower(): code for code, name in ROLES.items()},
    "analyst": "analytic",
    "read_only": "auditor",
    "global_admin": "partner_admin",
    "global_analyst": "partner_analytic",
    "global_read_only": "partner_auditor",
}


def role_code(text: str) -> str:
    """Return the code for a role's code or name in any case; an unknown role in lower case."""
    word = " ".join(text.lower().split())
    return ROLE_SPELLINGS.get(word, word)


def role_name(role: str) -> str:
    """Return the display name for a role's code or name; an unknown role unchanged."""
    return ROLES.get(role_code(role), role)
