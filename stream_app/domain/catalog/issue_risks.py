"""The risk of a security issue, read from its notice under newer or older names."""

from __future__ import annotations

RISKS = ("critical", "high", "medium", "low", "info")
#: Objects of a notice that hold an issue, and fields with its risk; the older name comes last.
ISSUE_BODIES = ("security_issue", "vuln")
RISK_FIELDS = ("risk", "threat")


def risk_of_kind(kind: str) -> str:
    """Return the risk that an older kind such as `vuln_high` names; empty if it names none."""
    word = kind.partition("vuln_")[2]
    return word.capitalize() if word in RISKS else ""


def known_risk(kind: str, *given: object) -> str:
    """Return the first of the given values that is a risk, or else the kind's; empty if none is.

    An older `threat` may be a number, which is not documented.
    """
    words = (*given, risk_of_kind(kind))
    return next((word for word in words if isinstance(word, str) and word.lower() in RISKS), "")
