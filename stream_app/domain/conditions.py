"""Conditions of triggers: which filters each allows, and what a filter's values may be.

A condition is a row of `CONDITIONS`, a filter a row of `FILTERS`; the checks read both tables.
Values are returned in the form in which they are stored and compared, so that two spellings of
one address or one attack type are one value.
"""

from __future__ import annotations

import difflib
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream_app.domain.attack_types import ATTACK_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

TARGETS = ("server", "client", "database")
STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
OPERATORS = ("eq", "ne")
DEFAULT_APPLICATION = -1
_MIN_STATUS, _MAX_STATUS = 100, 599

FilterValue = str | int


@dataclass(frozen=True)
class FilterRule:
    """What a filter's values may be.

    `normal` returns a value in its stored form, or None when it is not allowed; `allowed` says
    in words what is.
    """

    label: str
    allowed: str
    normal: Callable[[object], FilterValue | None]
    operators: tuple[str, ...] = OPERATORS


@dataclass(frozen=True)
class Condition:
    """What a trigger of one `template_id` may say."""

    name: str
    filters: tuple[str, ...]
    has_threshold: bool


def _pool(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < DEFAULT_APPLICATION:
        return None
    return value


def _response_status(value: object) -> FilterValue | None:
    if isinstance(value, str):
        return value.lower() if value.lower() in STATUS_CLASSES else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if _MIN_STATUS <= value <= _MAX_STATUS else None


def _ip_address(value: object) -> str | None:
    if not isinstance(value, str) or "%" in value:
        return None
    try:
        return ipaddress.ip_address(value.strip()).compressed
    except ValueError:
        return None


def _attack_type(value: object) -> str | None:
    return value.lower() if isinstance(value, str) and value.lower() in ATTACK_TYPES else None


def _domain(value: object) -> str | None:
    host = value.strip().lower() if isinstance(value, str) else ""
    return host if host and not any(c.isspace() or c == "/" for c in host) else None


def _target(value: object) -> str | None:
    return value.lower() if isinstance(value, str) and value.lower() in TARGETS else None


FILTERS: dict[str, FilterRule] = {
    "attack_type": FilterRule("Attack type", "a documented attack type code", _attack_type),
    "pool": FilterRule("Application", "an application id: -1 (default) or more", _pool),
    "ip_address": FilterRule("IP", "a single IPv4 or IPv6 address, no subnet", _ip_address),
    "domain": FilterRule("Domain", "a host name, without scheme or path", _domain),
    "response_status": FilterRule(
        "Response status", 'a number from 100 to 599, or "1xx" to "5xx"', _response_status
    ),
    "target": FilterRule("Target", "one of " + ", ".join(TARGETS), _target),
}

_WITHOUT_TARGET = ("attack_type", "pool", "ip_address", "domain", "response_status")
_WITH_TARGET = (*_WITHOUT_TARGET, "target")

CONDITIONS: dict[str, Condition] = {
    "attacks_exceeded": Condition("Number of attacks", _WITH_TARGET, has_threshold=True),
    "hits_exceeded": Condition("Number of hits", _WITHOUT_TARGET, has_threshold=True),
    "incidents_exceeded": Condition("Number of incidents", _WITH_TARGET, has_threshold=True),
}


def normal_filter_value(filter_id: str, value: object) -> FilterValue | None:
    """Return a filter's value in its stored form; None when it is not allowed."""
    return FILTERS[filter_id].normal(value)


def allowed_values(filter_id: str, value: object) -> str:
    """Say which values the filter takes, with the nearest one to a mistyped attack type."""
    rule = FILTERS[filter_id]
    if filter_id == "attack_type" and isinstance(value, str):
        close = difflib.get_close_matches(value.lower(), ATTACK_TYPES, n=1)
        if close:
            return f"must be {rule.allowed}: did you mean {close[0]}?"
    return f"must be {rule.allowed}"
