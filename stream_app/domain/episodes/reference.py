"""What a delivery says of the episode that its alert belongs to."""

from __future__ import annotations

import msgspec

from stream_app.domain.bounds import IdText, Int64, Seconds


class EpisodeReference(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An episode, and one window of it. Times are Unix seconds.

    `alias` names the episode's alert at the service. `close_after_seconds` is the silence after
    which that alert is closed; 0: it is never closed.
    """

    alias: IdText
    trigger_id: Int64
    revision: IdText
    window_start: Seconds
    window_end: Seconds
    close_after_seconds: Seconds = 0
