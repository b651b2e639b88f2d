"""When an event happened, and whether its time can be trusted."""

from __future__ import annotations

from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events import TIME_FIELDS, Event, EventKind
from stream_app.domain.time_units import unit_hint
from stream_app.domain.windows import MAX_AHEAD_SECONDS


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


def ahead_error(seconds: int, timestamp_ms: int) -> RejectedEventError:
    """Return why an event is refused whose time is too far ahead of its record's."""
    if timestamp_ms < 0:
        # Nothing shows that its clock is right, and a wrong one would close everyone's windows.
        return RejectedEventError(
            DeadLetterReason.MISSING_TIME,
            "the record has no timestamp to check the event time against: "
            f"set message.timestamp.type=LogAppendTime on the topic{unit_hint(seconds)}",
        )
    return RejectedEventError(
        DeadLetterReason.FUTURE_TIMESTAMP,
        f"event time {seconds} is {seconds - timestamp_ms // 1000} s ahead of the record's "
        f"append time, more than {MAX_AHEAD_SECONDS} s{unit_hint(seconds)}",
    )
