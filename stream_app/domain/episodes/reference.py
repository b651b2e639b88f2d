"""What a delivery says of the episode that its alert belongs to."""

from __future__ import annotations

import msgspec


class EpisodeReference(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An episode, and one window of it. Times are Unix seconds.

    `alias` names the episode's alert at the service. `close_after_seconds` is the silence after
    which that alert is closed; 0: it is never closed.
    """

    alias: str
    trigger_id: int
    revision: str
    window_start: int
    window_end: int
    close_after_seconds: int = 0
