"""The attempts of a delivery, with equal ones in a row as one group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from stream_app.domain.delivery.records import Result


@dataclass(frozen=True)
class AttemptGroup:
    """Attempts in a row that ended alike: the first, the last, and how many there are."""

    first: Result
    last: Result
    count: int


def grouped(attempts: Iterable[Result]) -> list[AttemptGroup]:
    """Return attempts, given in their order, in groups that ended alike."""
    found = []
    for _, rows in groupby(attempts, lambda a: (a.redrives, a.accepted, a.reason, a.status)):
        group = list(rows)
        found.append(AttemptGroup(group[0], group[-1], len(group)))
    return found
