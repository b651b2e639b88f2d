"""Triggers of notices: which of a client's triggers match a notice.

Filters work as for counting triggers (`domain/counting/matching.py`): they combine with AND, the
values of one filter with OR; `ne` holds if none of the notice's values is among the filter's. A
field that the notice lacks fails `eq` and passes `ne`.

Triggers are compiled once per version of the configuration and looked up by client and kind of
notice, so the triggers of other clients and conditions cost a notice nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping

from stream_app.domain.catalog.conditions import CONDITIONS, Evaluation
from stream_app.domain.configuration.client_names import ApplicationIds, application_ids_by_name
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Filter, Trigger
from stream_app.domain.counting.matching import Values
from stream_app.domain.notices.filter_fields import FILTER_READERS, NOTHING, wanted_values
from stream_app.domain.notices.incoming import IncomingNotice

#: Kind of notice -> the condition that it meets.
CONDITION_OF_KIND: Mapping[str, str] = {
    condition.notification_type: name
    for name, condition in CONDITIONS.items()
    if condition.evaluation is Evaluation.NOTICE_MATCHING
}

FilterAndValues = tuple[Filter, Values]


class ConditionMatcher:
    """A client's triggers of one condition, in the order of their ids."""

    def __init__(self, client: Client, condition: str, triggers: Iterable[Trigger]) -> None:
        self._client = client
        self._readers = FILTER_READERS[condition]
        self._triggers = [
            (
                one,
                [
                    (item, wanted_values(item.id, item.values))
                    for item in one.filters
                    if item.values
                ],
            )
            for one in sorted(triggers, key=lambda one: one.id)
        ]
        self._filter_ids = {item.id for _, filters in self._triggers for item, _ in filters}

    @functools.cached_property
    def _application_ids(self) -> ApplicationIds:
        return application_ids_by_name(self._client.applications)

    def matching(self, notice: IncomingNotice) -> list[Trigger]:
        """Return the triggers that match the notice."""
        return [trigger for trigger, refused in self.refusals(notice) if not refused]

    def refusals(self, notice: IncomingNotice) -> Iterator[tuple[Trigger, list[FilterAndValues]]]:
        """Yield each trigger with the filters that the notice fails, and the notice's values.

        A trigger matches if no filter refuses the notice.
        """
        values = {name: self._read(name, notice) for name in self._filter_ids}
        for trigger, filters in self._triggers:
            yield (
                trigger,
                [
                    (item, values[item.id])
                    for item, wanted in filters
                    if values[item.id].isdisjoint(wanted) != (item.operator == "ne")
                ],
            )

    def _read(self, filter_id: str, notice: IncomingNotice) -> Values:
        """Return the notice's values; a filter of a newer version finds none."""
        read = self._readers.get(filter_id)
        return read(notice.details, self._application_ids) if read else NOTHING


class NoticeTriggerIndex:
    """The enabled triggers of notices in one version of the configuration."""

    def __init__(self, clients: Mapping[int, Client], triggers: Iterable[Trigger]) -> None:
        found: dict[tuple[int, str], list[Trigger]] = {}
        for one in triggers:
            if one.enabled and one.template_id in FILTER_READERS and one.client_id in clients:
                found.setdefault((one.client_id, one.template_id), []).append(one)
        self._matchers = {
            (client_id, condition): ConditionMatcher(clients[client_id], condition, its_triggers)
            for (client_id, condition), its_triggers in found.items()
        }

    def matching(self, client_id: int, notice: IncomingNotice) -> list[Trigger]:
        """Return the client's triggers that match the notice, in the order of their ids."""
        condition = CONDITION_OF_KIND.get(notice.kind)
        matcher = self._matchers.get((client_id, condition)) if condition else None
        return matcher.matching(notice) if matcher else []
