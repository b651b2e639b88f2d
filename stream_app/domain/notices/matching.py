"""Triggers without a count: which of a client's triggers tell of a notice.

The semantics are those of counting triggers (`domain/counting/matching.py`): filters combine with
AND, the values of one filter with OR; `ne` holds when none of the notice's values is among the
filter's. A field that the notice lacks fails `eq` and passes `ne`.

Compiled once for each state of the configuration and found by client and kind of notice: what
other clients and other conditions have costs a notice nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from stream_app.domain.catalog.conditions import CONDITIONS, Family
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.notices.fields import (
    FIELDS,
    NOTHING,
    Values,
    application_ids,
    wanted_values,
)
from stream_app.domain.notices.incoming import IncomingNotice

#: Kind of notice -> the condition of the triggers that tell of it.
CONDITION_OF_KIND: Mapping[str, str] = {
    row.notification_type: name for name, row in CONDITIONS.items() if row.family is Family.NOTICED
}


class CompiledTrigger:
    """A trigger as matching needs it: (filter, wanted values, whether none may match)."""

    __slots__ = ("conditions", "trigger")

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger
        self.conditions = tuple(
            (item.id, wanted_values(item.id, item.values), item.operator == "ne")
            for item in trigger.filters
            if item.values
        )

    def matches(self, values: Mapping[str, Values]) -> bool:
        """Tell whether the trigger tells of a notice with these values by filter id."""
        for name, wanted, negated in self.conditions:
            if values[name].isdisjoint(wanted) != negated:
                return False
        return True


class ClientTriggers:
    """A client's triggers of one condition, in the order of their ids."""

    def __init__(self, client: Client, condition: str, triggers: Iterable[Trigger]) -> None:
        self._client = client
        self._readers = FIELDS[condition]
        self._triggers = [CompiledTrigger(t) for t in sorted(triggers, key=lambda t: t.id)]
        self._filter_ids = {name for one in self._triggers for name, _, _ in one.conditions}

    @functools.cached_property
    def _application_ids(self) -> Mapping[str, Values]:
        return application_ids(self._client.applications)

    def matching(self, notice: IncomingNotice) -> list[Trigger]:
        """Return the triggers that tell of the notice."""
        values = {name: self._read(name, notice) for name in self._filter_ids}
        return [one.trigger for one in self._triggers if one.matches(values)]

    def _read(self, filter_id: str, notice: IncomingNotice) -> Values:
        """Return the notice's values; a filter of a later version finds none."""
        read = self._readers.get(filter_id)
        return read(notice.details, self._application_ids) if read else NOTHING


class NoticeTriggers:
    """The enabled triggers of notices, as they are configured at one time."""

    def __init__(self, clients: Mapping[int, Client], triggers: Iterable[Trigger]) -> None:
        found: dict[tuple[int, str], list[Trigger]] = {}
        for one in triggers:
            if one.enabled and one.template_id in FIELDS and one.client_id in clients:
                found.setdefault((one.client_id, one.template_id), []).append(one)
        self._by_client = {
            (client_id, condition): ClientTriggers(clients[client_id], condition, those)
            for (client_id, condition), those in found.items()
        }

    def matching(self, client_id: int, notice: IncomingNotice) -> list[Trigger]:
        """Return the client's triggers that tell of the notice, in the order of their ids."""
        condition = CONDITION_OF_KIND.get(notice.kind)
        triggers = self._by_client.get((client_id, condition)) if condition else None
        return triggers.matching(notice) if triggers else []
