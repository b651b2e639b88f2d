"""Copying recorded events to another installation: how fast, by how much moved, from where on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from math import ceil

from stream_app.domain.errors import UsageError
from stream_app.domain.text.printable import quoted

_SPANS = re.compile(r"(?P<topic>[^=\s]+)=(?P<spans>\d{1,18}:\d{1,18}(,\d{1,18}:\d{1,18})*)")

#: Topic (full name) -> (first offset, end) of each of its partitions, in their order.
Spans = dict[str, list[tuple[int, int]]]


class Speed(StrEnum):
    """How fast records follow each other."""

    MAX = "max"
    REAL = "1x"
    TENFOLD = "10x"

    @property
    def factor(self) -> int | None:
        """Seconds of the recording in one second of the copy; None: as fast as it goes."""
        return {Speed.MAX: None, Speed.REAL: 1, Speed.TENFOLD: 10}[self]


def seconds_to_now(
    newest_seconds: int, recorded_ms: tuple[int, int], speed: Speed, now_ms: int
) -> int:
    """Return by how many seconds events are moved so that they happen now.

    The newest happens when it is sent: now, or at a given speed when the copy ends. So none lies
    in the future of the record that it comes in.

    Args:
        newest_seconds: time of the newest event, Unix seconds.
        recorded_ms: timestamps of the first and the last record, Unix ms.
        speed: how fast the copy is.
        now_ms: when it begins, Unix ms.
    """
    first, last = recorded_ms
    lasts_ms = 0 if speed.factor is None else (last - first) / speed.factor
    return ceil((now_ms + lasts_ms) / 1000) - 1 - newest_seconds


def due_ms(record_ms: int, first_ms: int, began_ms: float, speed: Speed) -> float:
    """Return when a record is to be sent, in Unix ms: as long after the first as its speed says."""
    if speed.factor is None:
        return began_ms
    return began_ms + max(0, record_ms - first_ms) / speed.factor


def parse_spans(texts: Iterable[str]) -> Spans:
    """Return what is left to be copied, as `spans_text` has written it.

    Raises:
        UsageError: it is written otherwise.
    """
    found: Spans = {}
    for text in texts:
        match = _SPANS.fullmatch(text)
        if match is None:
            raise UsageError(
                f"--resume {quoted(text)} is not TOPIC=FIRST:END,FIRST:END,... with a pair for "
                "each partition: give it as the interrupted run has printed it"
            )
        pairs = (pair.split(":") for pair in match["spans"].split(","))
        found[match["topic"]] = [(int(first), int(end)) for first, end in pairs]
    return found


def spans_text(spans: Mapping[str, Sequence[tuple[int, int]]]) -> list[str]:
    """Return what is left to be copied, one text for each topic."""
    return [
        f"{topic}=" + ",".join(f"{min(first, end)}:{end}" for first, end in rows)
        for topic, rows in spans.items()
    ]
