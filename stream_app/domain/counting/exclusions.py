"""What is not counted: experimental events, hits outside the sample, and false positives.

This is the whole rule. The workers, `replay` and `backtest` count by `PartitionCounts`, which asks
here for each event that is not plain. The events' own fields are in `domain/events/model.py`.
"""

from __future__ import annotations

from enum import StrEnum

from stream_app.domain.events.model import Event

FALSE_POSITIVE_STATE = "falsepositive"


class Exclusion(StrEnum):
    """Why an event is not counted, in the order in which the reasons are checked."""

    EXPERIMENTAL = "experimental"
    UNSAMPLED = "unsampled"
    FALSE_POSITIVE = "false_positive"


def exclusion_of(event: Event) -> Exclusion | None:
    """Return why an event is not counted; None: it is.

    A plain event is counted: not experimental, in the sample, and without a `state`. The loop in
    `PartitionCounts` looks at these three fields itself, because a call for each event costs more.
    """
    if event.experimental:
        return Exclusion.EXPERIMENTAL
    if event.sampled is False:
        return Exclusion.UNSAMPLED
    return Exclusion.FALSE_POSITIVE if event.state == FALSE_POSITIVE_STATE else None
