"""When an event happened, and whether its time can be trusted."""

from __future__ import annotations

from typing import Any

from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.model import TIME_FIELDS, Event, EventKind
from stream_app.domain.events.time_units import shown_number, timestamp_hint, unit_hint

#: Kafka's number for a record whose timestamp is the broker's (LogAppendTime).
BY_THE_BROKER = 1
#: An event further ahead of its record's append time than this has a wrong clock.
MAX_AHEAD_SECONDS = 300


def trusted_ms(record: Any, now_ms: int | None) -> int:
    """Return the append time of a record as far as it can be trusted, Unix ms.

    A CreateTime timestamp is a claim of the producer. One in the future would make the future times
    of its own events look right, so the reader's clock `now_ms` bounds it. A timestamp of the
    broker (LogAppendTime) holds, whatever the reader's clock says. `None`: there is no clock.
    """
    timestamp_ms: int = record.timestamp
    if now_ms is None or record.timestamp_type == BY_THE_BROKER:
        return timestamp_ms
    return min(timestamp_ms, now_ms)


def event_seconds(event: Event, kind: EventKind, timestamp_ms: int) -> int:
    """Return the event time in whole Unix seconds.

    Raises:
        RejectedEventError: the event and its record have no time.
    """
    seconds = getattr(event, TIME_FIELDS[kind])
    if seconds is None:
        seconds = event.create_time
    if seconds is not None:
        return int(seconds)
    if timestamp_ms < 0:
        raise RejectedEventError(
            DeadLetterReason.MISSING_TIME,
            f"no {TIME_FIELDS[kind]}, no create_time, and the record has no timestamp",
        )
    return timestamp_ms // 1000


def ahead_error(seconds: int, timestamp_ms: int, trusted: int | None = None) -> RejectedEventError:
    """Return why an event is refused whose time is too far ahead of its record's.

    `trusted` is how much of `timestamp_ms` can be trusted (`trusted_ms`); `None`: all of it.
    """
    if timestamp_ms < 0:
        # Nothing proves that its clock is right, and a wrong one would close everyone's windows.
        return RejectedEventError(
            DeadLetterReason.MISSING_TIME,
            "the record has no timestamp to check the event time against: "
            f"set message.timestamp.type=LogAppendTime on the topic{unit_hint(seconds)}",
        )
    clock = "the record's append time"
    if trusted is not None and trusted != timestamp_ms:
        timestamp_ms, clock = trusted, "the worker's clock (the record's time is its producer's)"
    return RejectedEventError(
        DeadLetterReason.FUTURE_TIMESTAMP,
        f"event time {shown_number(seconds)} is "
        f"{shown_number(seconds - timestamp_ms // 1000)} s ahead of {clock}, "
        f"more than {MAX_AHEAD_SECONDS} s{unit_hint(seconds) or timestamp_hint(timestamp_ms)}",
    )
