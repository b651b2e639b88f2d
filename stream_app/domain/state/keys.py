"""The key and the offset that the states of all agents share."""

from __future__ import annotations

#: The offset or time before the first record.
NEVER = -1
#: Changelog key of the progress. No cell has it, because the key of a cell has a window.
PROGRESS_KEY = b"progress"
