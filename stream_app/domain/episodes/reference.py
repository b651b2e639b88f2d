"""What a delivery says of the episode that its alert belongs to."""

from __future__ import annotations

from typing import Annotated

import msgspec

from stream_app.domain.bounds import Int64, PlausibleSeconds

#: What the service takes as an alias. A longer one would make the id of its close too long.
AliasText = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
#: Some 16 characters. Route takes an alert with any that is no longer than this.
RevisionText = Annotated[str, msgspec.Meta(max_length=1000)]


class EpisodeReference(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An episode, and one window of it. Times are Unix seconds.

    `alias` names the episode's alert at the service. `close_after_seconds` is the silence after
    which that alert is closed; 0: it is never closed.
    """

    alias: AliasText
    trigger_id: Int64
    revision: RevisionText
    window_start: PlausibleSeconds
    window_end: PlausibleSeconds
    close_after_seconds: PlausibleSeconds = 0
