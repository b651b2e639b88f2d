"""How an integration is told of one attack, in the words of a file and in those of a person."""

from __future__ import annotations

from stream_app.domain.alerts.threshold_text import period_text
from stream_app.domain.configuration.repeat_options import RepeatOptions


def as_written(options: RepeatOptions) -> str:
    """Return the options as a file has them; what has no effect on pages is left out."""
    parts = [f"deduplicate: {options.deduplicate}"]
    parts += [
        f"{name}: {seconds}"
        for name, seconds in (
            ("repeat_seconds", options.repeat_seconds),
            ("close_after_seconds", options.close_after_seconds),
        )
        if seconds
    ]
    return ", ".join(parts)


def in_words(options: RepeatOptions) -> str:
    """Return what the options do, as one line."""
    if not options.has_episodes:
        return "each fired window of a trigger is an alert of its own, which stays open"
    often = (
        f"at most every {period_text(options.repeat_seconds)}"
        if options.repeat_seconds
        else "with every window"
    )
    end = (
        f"it is closed when no window has fired for {period_text(options.close_after_seconds)}"
        if options.close_after_seconds
        else "it is not closed; after a day without a window the next one opens another"
    )
    note = ", each time with a note" if options.repeat_notes else ""
    return (
        "the windows of one attack are one alert, which the first one opens; it is repeated "
        f"{often}{note}, and pages again only if somebody has closed it; {end}"
    )
