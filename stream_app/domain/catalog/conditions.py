"""Conditions of triggers, and the filters, threshold and reactions that each allows.

A condition is a row of `CONDITIONS`, a filter a row of `FILTERS`. The product's documented rules
hold for all conditions, also for those that are not evaluated here: a trigger that is kept must be
one that the product would take.

A new condition that counts events also needs a row in `events/model.py` and its words in
`alerts/threshold_text.py`. One that matches notices needs a row in `notices/filter_fields.py`, its
text in `alerts/triggered_text.py`, and its kind of notice in `notices/subscriptions.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum

from stream_app.domain.catalog import filter_values as values
from stream_app.domain.catalog.attack_types import ATTACK_TYPES
from stream_app.domain.catalog.filter_values import FilterValue
from stream_app.domain.catalog.numbers import MAX_INTEGER, TOO_LARGE
from stream_app.domain.catalog.roles import ROLES

OPERATORS = ("eq", "ne")
ONLY_EQ = ("eq",)


class Evaluation(Enum):
    """How stream_app evaluates a condition; NONE: only the product itself does."""

    COUNTING = "counting"
    NOTICE_MATCHING = "notice matching"
    NONE = "none"


class Presence(Enum):
    """Whether a trigger has a threshold."""

    REQUIRED = "required"
    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"


class Reaction(StrEnum):
    """What a trigger does when its condition holds. stream_app only sends notifications."""

    SEND_NOTIFICATION = "send_notification"
    BLOCK_IPS = "block_ips"
    ADD_TO_GRAYLIST = "add_to_graylist"
    MARK_AS_BRUTE = "mark_as_brute"
    GROUP_ATTACK_BY_IP = "group_attack_by_ip"


@dataclass(frozen=True)
class FilterRule:
    """A filter's label in texts, its operators, and its values.

    `normal` returns a value in its stored form, or None if it is not allowed; `allowed` describes
    the allowed values.
    """

    label: str
    allowed: str
    normal: Callable[[object], FilterValue | None]
    operators: tuple[str, ...] = OPERATORS


@dataclass(frozen=True)
class Condition:
    """What a trigger of one `template_id` may contain.

    The period is a multiple of `period_step_seconds`, or, if that is None, one of the periods that
    the installation allows. `notification_type` is the kind of the notices that meet the condition.
    """

    evaluation: Evaluation
    filters: tuple[str, ...]
    threshold: Presence
    reactions: tuple[Reaction, ...]
    period_step_seconds: int | None = None
    notification_type: str = ""

    @property
    def is_evaluated(self) -> bool:
        """Tell whether stream_app evaluates the condition."""
        return self.evaluation is not Evaluation.NONE


def _one_of(allowed: tuple[str, ...]) -> str:
    return "one of " + ", ".join(allowed)


_change_type = values.choice(values.CHANGE_TYPES, {values.UNUSED: values.EXCLUDED})

FILTERS: dict[str, FilterRule] = {
    "attack_type": FilterRule("Attack type", "a documented attack type code", values.attack_type),
    "pool": FilterRule("Application", "an application id: -1 (default) or more", values.pool),
    "ip_address": FilterRule("IP", "a single IPv4 or IPv6 address, no subnet", values.ip_address),
    "domain": FilterRule("Domain", "a host name, without scheme or path", values.domain),
    "response_status": FilterRule(
        "Response status", 'a number from 100 to 599, or "1xx" to "5xx"', values.response_status
    ),
    "target": FilterRule("Target", _one_of(values.TARGETS), values.choice(values.TARGETS)),
    "change_type": FilterRule("Change type", _one_of(values.CHANGE_TYPES), _change_type, ONLY_EQ),
    "pii": FilterRule(
        "Sensitive data",
        "a kind of sensitive data, such as " + ", ".join(values.SENSITIVE_DATA),
        values.sensitive_data,
        ONLY_EQ,
    ),
    "deviation_type": FilterRule(
        "Deviation type",
        _one_of(values.DEVIATION_TYPES),
        values.choice(values.DEVIATION_TYPES),
        ONLY_EQ,
    ),
    "api_spec_ids": FilterRule(
        "Specification", "a specification id: 1 or more", values.specification, ONLY_EQ
    ),
    "role": FilterRule("Role", _one_of(tuple(ROLES)), values.role),
    "hint_tag": FilterRule("URI", "a text, the id of a counter", values.text),
    "url": FilterRule("URL", "a text", values.text),
}

_WITHOUT_TARGET = ("attack_type", "pool", "ip_address", "domain", "response_status")
_WITH_TARGET = (*_WITHOUT_TARGET, "target")
_NOTIFY = (Reaction.SEND_NOTIFICATION,)
_NOTIFY_OR_LIST = (*_NOTIFY, Reaction.BLOCK_IPS, Reaction.ADD_TO_GRAYLIST)
_MARK_OR_LIST = (Reaction.MARK_AS_BRUTE, Reaction.BLOCK_IPS, Reaction.ADD_TO_GRAYLIST)
#: Documented steps are 30 seconds and 10 minutes; a multiple of 10 minutes is one of both.
_PERIOD_STEP_SECONDS = 30


def _counting_condition(filters: tuple[str, ...]) -> Condition:
    return Condition(Evaluation.COUNTING, filters, Presence.REQUIRED, _NOTIFY_OR_LIST)


def _notice_condition(notification_type: str, *filters: str) -> Condition:
    return Condition(
        Evaluation.NOTICE_MATCHING,
        filters,
        Presence.FORBIDDEN,
        _NOTIFY,
        notification_type=notification_type,
    )


def _request_condition(threshold: Presence) -> Condition:
    """Return a condition on the requests from one address, which the product's nodes count."""
    filters = ("hint_tag", "url", "pool", "ip_address")
    return Condition(Evaluation.NONE, filters, threshold, _MARK_OR_LIST, _PERIOD_STEP_SECONDS)


#: By `template_id`; the comments are the product's names. Its "Weak JWT" is missing, because the id
#: is not documented. A trigger with an unknown condition is refused in a file, and left out of an
#: answer of the API.
CONDITIONS: dict[str, Condition] = {
    # Number of attacks, of hits, of incidents
    "attacks_exceeded": _counting_condition(_WITH_TARGET),
    "hits_exceeded": _counting_condition(_WITHOUT_TARGET),
    "incidents_exceeded": _counting_condition(_WITH_TARGET),
    # Denylisted IP
    "blacklist_ip_added": _notice_condition("ip_blocked", "pool"),
    # Changes in API
    "api_structure_changed": _notice_condition(
        "api_structure_changed", "pool", "domain", "change_type", "pii"
    ),
    # Rogue API detected
    "rogue_api_detected": _notice_condition(
        "api_comparison_result", "pool", "domain", "deviation_type", "api_spec_ids"
    ),
    # Compromised user account
    "compromised_logins": _notice_condition(
        "compromised_logins", "pool", "domain", "response_status"
    ),
    # User added
    "user_created": _notice_condition("create_user", "role"),
    # Number of malicious payloads
    "vector_attack": Condition(Evaluation.NONE, _WITH_TARGET, Presence.REQUIRED, _NOTIFY_OR_LIST),
    # Brute force, forced browsing, BOLA
    "bruteforce_started": _request_condition(Presence.REQUIRED),
    "forced_browsing_started": _request_condition(Presence.ALLOWED),
    "bola_search_started": _request_condition(Presence.ALLOWED),
    # Hits from the same IP
    "attack_ip_grouping": Condition(
        Evaluation.NONE,
        (),
        Presence.ALLOWED,
        (Reaction.GROUP_ATTACK_BY_IP,),
        _PERIOD_STEP_SECONDS,
    ),
}


def bad_value_message(filter_id: str, value: object) -> str:
    """Return what to say of a bad value; for a mistyped attack type it suggests the nearest."""
    rule = FILTERS[filter_id]
    if isinstance(value, int) and value > MAX_INTEGER:
        return TOO_LARGE
    if filter_id == "attack_type" and isinstance(value, str):
        close = difflib.get_close_matches(value.lower(), ATTACK_TYPES, n=1)
        if close:
            return f"must be {rule.allowed}: did you mean {close[0]}?"
    return f"must be {rule.allowed}"
