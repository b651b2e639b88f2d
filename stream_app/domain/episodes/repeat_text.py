"""What a repeat says beyond the text of its window: what was folded since the last one.

All of it is numbers and times, and the link that the alert's text has, so no foreign text gets in.
"""

from __future__ import annotations

import msgspec

from stream_app.domain.alerts.threshold_text import Message
from stream_app.domain.episodes.episode import Decision, FiredWindow
from stream_app.domain.times import utc_text


def repeat_message(message: Message, decision: Decision) -> Message:
    """Return the message of a window that is told again: what was folded comes first."""
    said = folded_text(decision)
    if not said:
        return message
    number = str(decision.folded) if decision.is_exact else f"at least {decision.folded}"
    return msgspec.structs.replace(
        message,
        description=f"{said}\n\n{message.description}",
        details={
            **message.details,
            "folded_windows": number,
            "folded_since": str(decision.since),
        },
    )


def note_text(window: FiredWindow, message: Message, decision: Decision) -> str:
    """Return the note on the open alert: this window, what was folded, and since when it lasts."""
    start, end = utc_text(window.start), utc_text(window.end)
    lines = [
        f"The trigger has fired in the window from {start} to {end}.",
        folded_text(decision),
        f"The first window of this run began at {utc_text(decision.episode.begin)}.",
        "View events:",
        message.details["link"],
    ]
    return "\n".join(line for line in lines if line)


def folded_text(decision: Decision) -> str:
    """Return how many windows made no request of their own, and since when; empty: none did."""
    number = decision.folded
    if not number and decision.is_exact:
        return ""
    since = f"since the one that began at {utc_text(decision.since)}."
    if not number:
        return f"Further windows may have fired {since}"
    verb = "window has" if number == 1 else "windows have"
    least = "" if decision.is_exact else "At least "
    return f"{least}{number} more {verb} fired {since}"
