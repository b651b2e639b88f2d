"""What the platform team is told when the pulse stops."""

from __future__ import annotations

from collections.abc import Sequence

from stream_app.domain.notices.operator_notice import OperatorNotice
from stream_app.domain.pulse.note import NEXT_STEPS, PulseStop, bounded
from stream_app.domain.times import iso_utc

KIND = "pulse_stopped"


def pulse_stopped(
    worker: str, since_ms: int, pinged_ms: int, stops: Sequence[PulseStop]
) -> OperatorNotice:
    """Return the message.

    Args:
        worker: the notifier that pings.
        since_ms: when it was last well, by its own clock; with the worker it names this one stop.
        pinged_ms: when it last pinged, Unix ms; 0: never.
        stops: what stops the pulse.
    """
    since = f"since {iso_utc(pinged_ms)}" if pinged_ms else "yet"
    told = bounded(stops)
    return OperatorNotice(
        kind=KIND,
        identity=f"{worker}/{since_ms}",
        title="The pulse has stopped: alerts may not arrive",
        lines=[
            f"No heartbeat was pinged by {worker} {since}.",
            "",
            *(f"{stop}: {NEXT_STEPS[stop.reason]}" for stop in told),
            "",
            "stream-app status",
        ],
        details={"reasons": ", ".join(sorted({stop.reason for stop in told}))},
    )
