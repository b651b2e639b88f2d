"""Events that decode but cannot be used: they become rejected parts of their records."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from stream_app.domain.counting.tally import Tally
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.batches import STEP_EVENTS, BatchDecoder, Record
from stream_app.domain.events.parts_decoder import MAX_REFUSED_PARTS, Rejected, bounded
from stream_app.domain.events.time_units import shown_number

#: A record, an event of it that decodes, and why the event cannot be used.
Unusable = tuple[Record, Any, RejectedEventError]


def reject(unusable: Iterable[Unusable], decoder: BatchDecoder, tally: Tally) -> Iterator[None]:
    """Add unusable events to the rejected parts of a tally, in short steps.

    Args:
        unusable: in the order of their records.
        decoder: finds the bytes of an event in its record.
        tally: gets the rejected parts.
    """
    for _, group in groupby(unusable, key=lambda item: item[0].offset):
        items = list(group)
        record = items[0][0]
        found: list[Rejected] = []
        more: list[bytes] = []
        for place in decoder.places_of(record.value or b"", [e for _, e, _ in items]):
            if place is None:
                yield
                continue
            error = items[len(found) + len(more)][2]
            if len(found) <= MAX_REFUSED_PARTS:
                found.append(Rejected(*place, error.reason, str(error)))
            else:
                more.append(place[1])
            if not len(more) % STEP_EVENTS:
                yield
        tally.rejected += [(record, part) for part in bounded(found, more)]


@functools.lru_cache(maxsize=100)
def unknown_client(client_id: int) -> RejectedEventError:
    """Return why an event of a client that is not configured cannot be used."""
    return RejectedEventError(
        DeadLetterReason.UNKNOWN_CLIENT,
        f"client {shown_number(client_id)} is not in config.clients",
    )
