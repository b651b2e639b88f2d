"""Filters that refuse an event or a notice, in words that name both sides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from stream_app.domain.configuration.triggers import Filter
from stream_app.domain.counting.matching import (
    FILTER_FIELDS,
    CountingTrigger,
    Values,
    inferred_target,
    refusing_filters,
)
from stream_app.domain.events.model import Event, EventKind

#: Most values of a side that a text shows, and most characters of one.
MAX_SHOWN, MAX_CHARS = 5, 60


@dataclass(frozen=True)
class FilterRefusal:
    """A filter, and the values that refuse to pass it. `note` says where these come from."""

    filter: Filter
    has: tuple[str | int, ...]
    note: str = ""
    subject: str = "event"

    @property
    def rule(self) -> str:
        """The filter, as `attack_type eq sqli`."""
        return f"{self.filter.id} {self.filter.operator} {_listed(self.filter.values)}"

    def __str__(self) -> str:
        """Return both sides: `attack_type eq sqli: the event has xss`."""
        found = _listed(self.has) if self.has else f"no {self.filter.id}"
        return f"{self.rule}: the {self.subject} has {found}{self.note}"


def event_refusals(
    kind: EventKind, trigger: CountingTrigger, event: Event
) -> tuple[FilterRefusal, ...]:
    """Return the filters of a trigger that an event does not pass."""
    return tuple(
        FilterRefusal(item, *_values_of(kind, item.id, event))
        for item in refusing_filters(kind, trigger, event)
    )


def notice_refusals(found: Iterable[tuple[Filter, Values]]) -> tuple[FilterRefusal, ...]:
    """Return filters that a notice does not pass, each with the notice's values."""
    return tuple(
        FilterRefusal(item, tuple(sorted(values, key=str)), subject="notice")
        for item, values in found
    )


def _values_of(kind: EventKind, filter_id: str, event: Event) -> tuple[tuple[str | int, ...], str]:
    """Return the values of an event that a filter looks at, and a note on them."""
    if filter_id == "target" and not event.target:
        return (inferred_target(event.type),), f" (from its type {event.type or 'none'})"
    fields = FILTER_FIELDS[kind][filter_id]
    found: list[str | int] = []
    for name in fields[:1] if filter_id == "target" else fields:
        value = attrgetter(name)(event)
        found += value if isinstance(value, tuple) else () if value in (None, "") else (value,)
    return tuple(found), ""


def _listed(values: Iterable[str | int]) -> str:
    texts = [str(value) for value in values]
    shown = [text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}…" for text in texts]
    more = f" and {len(texts) - MAX_SHOWN} more" if len(texts) > MAX_SHOWN else ""
    return ", ".join(shown[:MAX_SHOWN]) + more
