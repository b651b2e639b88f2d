"""Triggers: rules that notify integrations of many events within a period, or of one notice.

A trigger whose condition is not evaluated here is read by the same rules and kept. It counts and
matches nothing, and the commands say so.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Literal, cast

import msgspec

from stream_app.domain.catalog.conditions import (
    CONDITIONS,
    FILTERS,
    Condition,
    Presence,
    bad_value_message,
)
from stream_app.domain.catalog.filter_values import FilterValue
from stream_app.domain.configuration.api_objects import stored_form
from stream_app.domain.configuration.fields import Fields, Problems
from stream_app.domain.configuration.reactions import read_reactions

THRESHOLD_OPERATORS = ("gt",)
#: Parts of a trigger that may be kept without being evaluated.
NOT_EVALUATED_PARTS = ("condition", "reactions")
_REVISION_CHARACTERS = 16
_FILTER = "{id: attack_type, operator: eq, values: [sqli]}"


class Filter(msgspec.Struct, frozen=True, gc=False):
    """One clause: `eq`, any of `values` matches the event; `ne`, none does."""

    id: str
    operator: Literal["eq", "ne"]
    values: tuple[str | int, ...]


class Threshold(msgspec.Struct, frozen=True, gc=False):
    """Fires when more than `count` events fall into one window of `period` seconds."""

    count: int
    period: int


class Trigger(msgspec.Struct, frozen=True, dict=True):
    """A configured trigger. `enabled_at` is in Unix ms, 0 if nobody has set it.

    Filters without values are left out, because they let everything through. A trigger of a
    counted condition always has a threshold. `other_reactions` are not carried out here.
    """

    id: int
    client_id: int
    name: str
    template_id: str
    enabled: bool
    filters: tuple[Filter, ...]
    threshold: Threshold | None
    integration_ids: tuple[int, ...]
    enabled_at: int
    comment: str = ""
    other_reactions: tuple[str, ...] = ()

    @property
    def is_evaluated(self) -> bool:
        """Tell whether the trigger's condition is evaluated here."""
        condition = CONDITIONS.get(self.template_id)
        return condition is not None and condition.is_evaluated

    @property
    def not_evaluated(self) -> tuple[str, ...]:
        """The parts that are kept without effect here: `condition X`, `reaction Y`."""
        condition = () if self.is_evaluated else (f"condition {self.template_id}",)
        return (*condition, *(f"reaction {name}" for name in self.other_reactions))

    @property
    def tells_nobody(self) -> bool:
        """Tell whether the trigger is evaluated here, but notifies no integration."""
        return self.is_evaluated and not self.integration_ids

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for a person, if the trigger does less than it says."""
        parts = self.not_evaluated
        return (
            *([f"not evaluated here: {', '.join(parts)}"] if parts else ()),
            *(["tells nobody: no integration is named"] if self.tells_nobody else ()),
        )

    @functools.cached_property
    def revision(self) -> str:
        """A hash of everything that affects a count: a trigger with a new revision counts anew.

        The order of filters and of their values has no effect, nor have names and integrations.
        """

        def order(value: str | int) -> tuple[bool, str | int]:
            return isinstance(value, str), value  # Python cannot compare a number with a text

        filters = sorted(
            ([f.id, f.operator, sorted(f.values, key=order)] for f in self.filters),
            key=lambda item: (item[:2], [order(value) for value in item[2]]),
        )
        threshold = self.threshold and [self.threshold.count, self.threshold.period]
        canonical = json.dumps(
            [self.template_id, filters, threshold, self.enabled_at], separators=(",", ":")
        )
        return hashlib.sha256(canonical.encode()).hexdigest()[:_REVISION_CHARACTERS]


def read_trigger(
    obj: Mapping[str, object], *, allowed_periods: Collection[int]
) -> tuple[Trigger, Problems]:
    """Build a trigger from the API object plus `client_id`, wrapped in `trigger` or not.

    Returns:
        The trigger and all its problems. With any problem it must not be used.
    """
    problems: Problems = []
    fields = Fields(stored_form(obj), problems)
    condition = _read_condition(fields)
    suffix = f" for condition {fields.obj.get('template_id')}" if condition is not None else ""
    trigger = Trigger(
        id=fields.integer("id", 1),
        client_id=fields.integer("client_id", 1),
        name=fields.text("name"),
        template_id=str(fields.obj.get("template_id")),
        enabled=fields.boolean("enabled"),
        filters=_read_filters(fields, condition, suffix),
        threshold=_read_threshold(fields, condition, allowed_periods, suffix),
        integration_ids=(reactions := read_reactions(fields, condition, suffix)).integration_ids,
        enabled_at=fields.integer("enabled_at", 0, default=0),
        comment=fields.text("comment", default=""),
        other_reactions=reactions.others,
    )
    return trigger, problems


def _read_condition(fields: Fields) -> Condition | None:
    template_id = fields.text("template_id")
    condition = CONDITIONS.get(template_id)
    if template_id and condition is None:
        known = ", ".join(CONDITIONS)
        fields.add_problem(
            "template_id", template_id, f"condition is unknown: must be one of {known}"
        )
    return condition


def _read_filters(fields: Fields, condition: Condition | None, suffix: str) -> tuple[Filter, ...]:
    """Return the filters; those of an unknown condition are not checked."""
    if condition is None:
        return ()
    filters = []
    for item in fields.children("filters", _FILTER, required=False):
        filter_id = _read_filter_id(item, condition, suffix)
        if filter_id not in condition.filters:
            continue
        rule = FILTERS[filter_id]
        operator = item.choice("operator", rule.operators, f" for filter {filter_id}")
        values: dict[FilterValue, None] = {}
        for index, value in enumerate(item.items("values")):
            normal = rule.normal(value)
            if normal is None:
                item.add_problem(f"values[{index}]", value, bad_value_message(filter_id, value))
            else:
                values[normal] = None
        if values:
            filters.append(Filter(filter_id, cast("Literal['eq', 'ne']", operator), tuple(values)))
    return tuple(filters)


def _read_filter_id(item: Fields, condition: Condition, suffix: str) -> str:
    if condition.filters:
        return item.choice("id", condition.filters, suffix)
    item.add_problem("id", item.obj.get("id"), f"no filter is allowed{suffix}")
    return ""


def _read_threshold(
    fields: Fields, condition: Condition | None, allowed_periods: Collection[int], suffix: str
) -> Threshold | None:
    if "thresholds" in fields.obj:
        text = "says something else than threshold, and a trigger has one: leave it out"
        fields.add_problem("thresholds", fields.obj["thresholds"], text)
    if condition is None:
        return None
    given = fields.obj.get("threshold")
    if condition.threshold is Presence.FORBIDDEN and given is not None:
        fields.add_problem("threshold", given, f"must not be given{suffix}")
    if condition.threshold is Presence.FORBIDDEN:
        return None
    if condition.threshold is Presence.ALLOWED and given is None:
        return None
    item = fields.child("threshold", "{count: 5, period: 60}")
    count, period = item.integer("count", 0), item.integer("period", 1)
    if item.obj.get("operator") is not None:
        item.choice("operator", THRESHOLD_OPERATORS)
    if item.obj.get("period") == period:  # else it is no integer, which is a problem already
        _check_period(item, period, condition.period_step_seconds, allowed_periods)
    return Threshold(count=count, period=period)


def _check_period(
    item: Fields, period: int, step: int | None, allowed_periods: Collection[int]
) -> None:
    if step is not None:
        if period % step:
            item.add_problem("period", period, f"must be a multiple of {step} (seconds)")
    elif period not in allowed_periods:
        allowed = ", ".join(str(p) for p in sorted(allowed_periods))
        item.add_problem("period", period, f"must be one of {allowed} (seconds)")
