"""Triggers, or parts of them, that a worker keeps but does not evaluate: counted and logged."""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.domain.configuration.triggers import NOT_EVALUATED_PARTS, Trigger
from stream_app.logs import get_logger
from stream_app.metrics import Metrics

log = get_logger(__name__)

#: Most triggers that one line of the log names.
MAX_NAMED = 50


class NotEvaluated:
    """The configured triggers that have parts which do nothing here."""

    def __init__(self) -> None:
        self._logged: dict[int, tuple[str, ...]] = {}
        #: Triggers that are not evaluated at all, and others with parts that do nothing.
        self._counts = (0, 0)

    def note(self, triggers: Mapping[int, Trigger]) -> None:
        """Log which of all triggers have such parts, if that is new or has changed."""
        found = {number: what for number, t in triggers.items() if (what := t.not_evaluated)}
        new = {number: what for number, what in found.items() if self._logged.get(number) != what}
        self._logged = found
        if new:
            log.info(
                "triggers_not_evaluated",
                count=len(new),
                triggers={
                    number: ", ".join(what) for number, what in list(new.items())[:MAX_NAMED]
                },
                then="kept as they are; these parts of them do nothing here",
            )
        conditions = sum(not triggers[number].is_evaluated for number in found)
        self._counts = (conditions, len(found) - conditions)

    def report(self, metrics: Metrics) -> None:
        """Bring the metric up to date."""
        for part, number in zip(NOT_EVALUATED_PARTS, self._counts, strict=True):
            metrics.triggers_not_evaluated.labels(part).set(number)
