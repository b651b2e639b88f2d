"""Triggers that a worker keeps, but does not act on: counted, and said in the log once each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream_app.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stream_app.domain.triggers import Trigger
    from stream_app.metrics import Metrics

log = get_logger(__name__)

#: Triggers that one line of the log names; it counts the rest.
MAX_NAMED = 50


class NotEvaluated:
    """What the configured triggers hold that comes to nothing here."""

    def __init__(self, metrics: Metrics | None) -> None:
        self._metrics = metrics
        self._said: dict[int, tuple[str, ...]] = {}

    def note(self, triggers: Mapping[int, Trigger]) -> None:
        """Look at all triggers after a change; those that are as they were are not said again."""
        found = {number: what for number, t in triggers.items() if (what := t.not_evaluated)}
        new = {number: what for number, what in found.items() if self._said.get(number) != what}
        self._said = found
        if new:
            log.info(
                "triggers_not_evaluated",
                count=len(new),
                triggers={
                    number: ", ".join(what) for number, what in list(new.items())[:MAX_NAMED]
                },
                then="kept as they are; these parts of them do nothing here",
            )
        if self._metrics is not None:
            conditions = sum(not triggers[number].is_evaluated for number in found)
            gauge = self._metrics.triggers_not_evaluated
            gauge.labels("condition").set(conditions)
            gauge.labels("reactions").set(len(found) - conditions)
