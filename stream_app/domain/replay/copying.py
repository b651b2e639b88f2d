"""Copying recorded events to another installation: the time shift, and how a copy is resumed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from stream_app.domain.errors import UsageError
from stream_app.domain.foreign_text.printable import quoted

_SPANS = re.compile(
    r"(?P<topic>[^=\s]+)=(?P<spans>\d{1,18}:\d{1,18}(,\d{1,18}:\d{1,18})*)"
    r"((?P<shift>[+-]\d{1,12})s)?"
)

#: Topic (full name) -> (first offset, end) of each of its partitions, in their order.
Spans = dict[str, list[tuple[int, int]]]


@dataclass(frozen=True)
class Remainder:
    """What an interrupted copy has not copied yet, and by how many seconds it shifts the times."""

    spans: Spans
    shift_seconds: int | None = None


def seconds_to_now(newest_seconds: int, now_ms: int) -> int:
    """Return by how many seconds to shift events so that the newest happens now.

    No event is then ahead of its record's timestamp.

    Args:
        newest_seconds: time of the newest event, Unix seconds.
        now_ms: when the copy begins, Unix ms.
    """
    return ceil(now_ms / 1000) - 1 - newest_seconds


def parse_remainder(texts: Iterable[str]) -> Remainder:
    """Parse what `remainder_texts` returned.

    Raises:
        UsageError: a text has another form, or the texts have different shifts.
    """
    spans: Spans = {}
    shifts: set[int | None] = set()
    for text in texts:
        match = _SPANS.fullmatch(text)
        if match is None:
            raise UsageError(
                f"--resume {quoted(text)} is not TOPIC=FIRST:END,FIRST:END,...[+SECONDSs] with a "
                "pair for each partition: give it as the interrupted run printed it"
            )
        pairs = (pair.split(":") for pair in match["spans"].split(","))
        spans[match["topic"]] = [(int(first), int(end)) for first, end in pairs]
        shifts.add(int(match["shift"]) if match["shift"] else None)
    if len(shifts) > 1:
        raise UsageError(
            "all --resume options of a copy have the same shift: give them as the interrupted run "
            "printed them"
        )
    return Remainder(spans, *shifts)


def remainder_texts(remainder: Remainder) -> list[str]:
    """Return what is left to be copied, one text for each topic."""
    shift = "" if remainder.shift_seconds is None else f"{remainder.shift_seconds:+}s"
    return [
        f"{topic}=" + ",".join(f"{min(first, end)}:{end}" for first, end in rows) + shift
        for topic, rows in remainder.spans.items()
    ]
