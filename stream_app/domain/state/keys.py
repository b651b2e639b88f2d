"""What states on Kafka share: keys of their changelog records, and the offset of nothing yet."""

from __future__ import annotations

#: The offset, or the time, of what has not come yet.
NEVER = -1
#: Changelog key of the progress; no cell has it, because a cell's key has a window.
PROGRESS_KEY = b"progress"
