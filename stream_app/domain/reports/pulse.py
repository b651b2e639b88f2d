"""The pulse in an overview: what the notifiers have noted about it, and what a person does."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from stream_app.domain.pulse.note import NEXT_STEPS, PulseNote, PulseReason
from stream_app.domain.reports.problems import Problem
from stream_app.domain.times import iso_utc

#: The pulse is pinged once a minute, and noted at least every other minute.
SILENT_MS = 5 * 60 * 1000
STOPPED_MS = 3 * 60 * 1000
#: Every note has it, and another record of the topic only by chance.
_MARK = b'"type":"pulse"'
_decode = msgspec.json.Decoder(PulseNote).decode


class PulseNotes:
    """Collects notes from the records of `delivery-results`."""

    def __init__(self) -> None:
        self._newest: PulseNote | None = None
        self._pinged_ms = 0

    def add_record(self, value: bytes) -> None:
        """Add a record if it is a note of the notifier that pings.

        Raises:
            msgspec.MsgspecError: it only looks like one.
        """
        if _MARK not in value:
            return
        note = _decode(value)
        if note.is_owner:
            self._pinged_ms = max(self._pinged_ms, note.pinged_at_ms)
            if self._newest is None or note.noted_at_ms >= self._newest.noted_at_ms:
                self._newest = note

    def newest(self) -> PulseNote | None:
        """Return the newest note, with the last ping that any note tells; None: there is none."""
        note = self._newest
        return note and msgspec.structs.replace(note, pinged_at_ms=self._pinged_ms)


def pulse_problems(note: PulseNote | None, now_ms: int, *, is_set: bool) -> Iterator[Problem]:
    """Yield what is wrong with the pulse; `is_set` says that the settings name a heartbeat."""
    if note is None:
        if is_set:
            yield Problem(
                "STREAM_APP_HEARTBEAT__… is set, and no notifier has pinged it in 12 h",
                "give the notifiers the same settings, and start them again",
            )
        return
    since = f"since {iso_utc(note.pinged_at_ms)}" if note.pinged_at_ms else "ever"
    if now_ms - note.noted_at_ms > SILENT_MS:
        yield Problem(
            f"the pulse has stopped: no heartbeat was pinged {since}, and no notifier says why",
            "start a notifier with STREAM_APP_HEARTBEAT__…; if it was turned off on purpose, this "
            "is said for 12 h",
        )
    elif note.stops and now_ms - note.pinged_at_ms > STOPPED_MS:
        for stop in note.stops:
            yield Problem(
                f"the pulse has stopped: no heartbeat was pinged {since}: {stop}",
                NEXT_STEPS[stop.reason],
            )
    else:
        for stop in note.stops:
            if stop.reason is PulseReason.HEARTBEAT:
                yield Problem(f"the pulse reaches nobody: {stop}", NEXT_STEPS[stop.reason])
