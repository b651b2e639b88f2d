"""The risk of a security issue: what its notice says of it, under newer or older names."""

from __future__ import annotations

RISKS = ("critical", "high", "medium", "low", "info")
#: Objects of a notice that hold an issue, and the fields of its risk; the older name comes last.
ISSUE_BODIES = ("security_issue", "vuln")
RISK_FIELDS = ("risk", "threat")


def risk_of_kind(kind: str) -> str:
    """Return the risk that an older kind names, such as `vuln_high`; empty: it names none."""
    word = kind.partition("vuln_")[2]
    return word.capitalize() if word in RISKS else ""


def known_risk(kind: str, *said: object) -> str:
    """Return the first word of `said`, then of the kind, that is a risk; empty: none is.

    An older `threat` may be a number, which no document explains.
    """
    words = (*said, risk_of_kind(kind))
    return next((word for word in words if isinstance(word, str) and word.lower() in RISKS), "")
